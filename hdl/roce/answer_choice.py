"""Which answer of a responder leaves next."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from ..headers import AETH, Opcode
from ..stream import PacketSignature, Queue
from .answer_layouts import AnswerKind, AnswerLayout
from .config import RoceConfig
from .merge import Merge
from .one_row import OneRow
from .send_layouts import FrameLayout

__all__ = ["AnswerChoice"]

# Beats of data that wait: an answer is chosen when its first one is here, and the next answer's
# headers are made while the last beats of this one leave. At 128 bytes a beat they take 4 cycles,
# and the queue 3: 7 beats would do; the queue's memory has a power of two.
_DATA_BEATS = 9


class AnswerChoice(wiring.Component):
    """Choose among a responder's answers, and say what their frames are.

    ``prompt`` and ``reads`` take turns where both have an answer. One of ``reads`` with data has
    one when its first beat of data is here: memory that takes its time holds up no acknowledgement,
    but for a packet whose data has begun. It waits while ``prompt`` offers an answer of its queue
    pair: that was there before, or is a CNP, and goes first.

    Latency is :attr:`latency` cycles from an answer of ``prompt`` to its frame. Throughput is 1
    frame per cycle, one per 2 cycles at 8 bytes a beat, and 1 beat of data per cycle.

    Specification: IBTA Architecture Specification volume 1, 9.2, 9.3, 9.7, 17.2.8 and Annex A17
    (RoCEv2).

    Parameters
    ----------
    config : RoceConfig

    Attributes
    ----------
    latency : int
        Cycles from ``prompt`` to ``frames``: 2 at 8 bytes a beat, else 1.

    Members
    -------
    prompt : In(stream.Signature(AnswerLayout(config))).array(2)
        Acknowledgements, CNPs, acknowledgements of atomic operations, of two who answer, in turns.
        ``prompt[*].ready`` depends combinationally on ``frames.ready``, ``reads`` and
        ``prompt[*].valid``.
    reads : In(stream.Signature(AnswerLayout(config)))
        READ responses, and NAKs in place of them. ``reads.ready`` depends combinationally on
        ``frames.ready``, ``prompt`` and ``reads`` itself.
    data : In(PacketSignature(data_bytes))
        For each answer of ``reads`` with bytes, a packet of as many; ``keep`` is not looked at.
        ``data.ready`` is a register.
    frames : Out(stream.Signature(FrameLayout(config)))
        Answers' frames. Above 8 bytes a beat, one that waits may be exchanged for another, or taken
        back.
    o_data : Out(PacketSignature(data_bytes))
        For each of ``frames`` with bytes, its data, registered; ``keep`` is 0.
    """

    prompt: list[stream.Interface]
    reads: stream.Interface
    data: stream.Interface
    frames: stream.Interface
    o_data: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self.latency = 1 + config.is_narrow
        super().__init__(
            {
                "prompt": In(stream.Signature(AnswerLayout(config))).array(2),
                "reads": In(stream.Signature(AnswerLayout(config))),
                "data": In(PacketSignature(config.data_bytes)),
                "frames": Out(stream.Signature(FrameLayout(config))),
                "o_data": Out(PacketSignature(config.data_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        data_queue = Queue(
            shape=StructLayout({"data": 8 * config.data_bytes, "last": 1, "error": 1}),
            depth=_DATA_BEATS,
            shallow=config.is_narrow,
        )
        m.submodules.data_queue = data_queue
        m.d.comb += [
            self.o_data.valid.eq(data_queue.o.valid),
            self.o_data.p.data.eq(data_queue.o.p.data),
            self.o_data.p.last.eq(data_queue.o.p.last),
            self.o_data.p.error.eq(data_queue.o.p.error),
            data_queue.o.ready.eq(self.o_data.ready),
        ]
        chosen = stream.Signature(AnswerLayout(config)).create(path=("chosen",))
        self._choose(m, chosen, data_queue)
        if config.is_narrow:
            m.submodules.answer = answer = OneRow(shape=AnswerLayout(config))
            wiring.connect(m, chosen, answer.i)
            chosen = answer.o
        m.d.comb += [self.frames.valid.eq(chosen.valid), chosen.ready.eq(self.frames.ready)]
        self._convert(m, chosen.p)
        return m

    def _choose(self, m: Module, answers: Any, data_queue: Queue) -> None:
        """Next answer."""
        m.submodules.merge = merge = Merge(shape=AnswerLayout(self.config), input_count=2)
        for port, inner in zip(self.prompt, merge.i, strict=True):
            wiring.connect(m, wiring.flipped(port), inner)
        prompt: Any = merge.o.p
        reads: Any = self.reads.p

        # Packets of data whose first beat is here and whose answer has not been chosen; each has a
        # beat in the queue.
        begun = Signal(range(data_queue.capacity + 1))
        in_data = Signal()
        begins = Signal()
        takes_data = Signal()
        accepted = Signal()
        m.d.comb += [
            data_queue.i.valid.eq(self.data.valid),
            data_queue.i.p.data.eq(self.data.p.data),
            data_queue.i.p.last.eq(self.data.p.last),
            data_queue.i.p.error.eq(self.data.p.error),
            self.data.ready.eq(data_queue.i.ready),
            accepted.eq(self.data.valid & data_queue.i.ready),
            begins.eq(accepted & ~in_data),
        ]
        with m.If(accepted):
            m.d.sync += in_data.eq(~self.data.p.last)
        with m.If(begins & ~takes_data):
            m.d.sync += begun.eq(begun + 1)
        with m.Elif(takes_data & ~begins):
            m.d.sync += begun.eq(begun - 1)

        has_bytes = Signal()
        # What was on its way when a READ was issued is in one of these when its response comes.
        is_behind = Signal()
        reads_waits = Signal()
        prompt_was_last = Signal()
        takes_reads = Signal()
        chosen: Any = answers.p
        m.d.comb += [
            has_bytes.eq(reads.payload_bytes != 0),
            is_behind.eq(
                Cat(
                    waiting.valid & (waiting.p.queue_pair == reads.queue_pair)
                    for waiting in (*self.prompt, merge.o)
                ).any()
            ),
            reads_waits.eq(self.reads.valid & (~has_bytes | (begun != 0)) & ~is_behind),
            takes_reads.eq(reads_waits & (prompt_was_last | ~merge.o.valid)),
            answers.valid.eq(reads_waits | merge.o.valid),
            self.reads.ready.eq(answers.ready & takes_reads),
            merge.o.ready.eq(answers.ready & ~takes_reads),
            takes_data.eq(self.reads.ready & has_bytes),
            chosen.kind.eq(Mux(takes_reads, reads.kind, prompt.kind)),
            chosen.queue_pair.eq(Mux(takes_reads, reads.queue_pair, prompt.queue_pair)),
            chosen.psn.eq(Mux(takes_reads, reads.psn, prompt.psn)),
            chosen.msn.eq(Mux(takes_reads, reads.msn, prompt.msn)),
            chosen.syndrome.eq(Mux(takes_reads, reads.syndrome, prompt.syndrome)),
            chosen.first.eq(reads.first),
            chosen.last.eq(reads.last),
            chosen.payload_bytes.eq(Mux(takes_reads, reads.payload_bytes, 0)),
            chosen.original.eq(prompt.original),
        ]
        with m.If(answers.valid & answers.ready):
            m.d.sync += prompt_was_last.eq(~takes_reads)

    def _convert(self, m: Module, answer: Any) -> None:
        """Frame of an answer."""
        is_read = answer.kind == AnswerKind.READ_RESPONSE
        is_atomic = answer.kind == AnswerKind.ATOMIC_ACKNOWLEDGE
        is_cnp = answer.kind == AnswerKind.CONGESTION_NOTIFICATION
        has_aeth = Signal()
        opcode = Signal(8)
        m.d.comb += has_aeth.eq(~is_cnp & (~is_read | answer.first | answer.last))
        with m.Switch(Cat(answer.last, answer.first, answer.kind)):
            for kind, first, last, code in (
                (AnswerKind.ACKNOWLEDGE, "-", "-", Opcode.RC_ACKNOWLEDGE),
                (AnswerKind.READ_RESPONSE, 1, 0, Opcode.RC_RDMA_READ_RESPONSE_FIRST),
                (AnswerKind.READ_RESPONSE, 0, 0, Opcode.RC_RDMA_READ_RESPONSE_MIDDLE),
                (AnswerKind.READ_RESPONSE, 0, 1, Opcode.RC_RDMA_READ_RESPONSE_LAST),
                (AnswerKind.READ_RESPONSE, 1, 1, Opcode.RC_RDMA_READ_RESPONSE_ONLY),
                (AnswerKind.ATOMIC_ACKNOWLEDGE, "-", "-", Opcode.RC_ATOMIC_ACKNOWLEDGE),
                (AnswerKind.CONGESTION_NOTIFICATION, "-", "-", Opcode.CNP),
            ):
                with m.Case(f"{kind:02b}{first}{last}"):
                    m.d.comb += opcode.eq(code)
        aeth = AETH.pack({"syndrome": answer.syndrome, "msn": answer.msn})
        # Highest byte first.
        original = Cat(answer.original.word_select(n, 8) for n in reversed(range(8)))
        # What a kind does not have is 0: of a multiplexer flip-flops make their synchronous reset.
        fields = {
            "row": answer.queue_pair,
            "opcode": opcode,
            "psn": Mux(is_cnp, C(0, 24), answer.psn),
            "migrated": C(1),
            "becn": is_cnp,
            "words": Cat(Mux(has_aeth, aeth, C(0, 32)), Mux(is_atomic, original, C(0, 64))),
            # A CNP reserves four.
            "word_count": Cat(has_aeth, is_atomic, is_cnp),
            "payload_bytes": answer.payload_bytes,
        }
        # In one: a simulator never executes the assignment of a constant to one bit.
        m.d.comb += self.frames.payload.eq(
            Cat(
                Cat(fields.get(str(name), C(0)), C(0, field.width))[: field.width]
                for name, field in FrameLayout(self.config)
            )
        )
