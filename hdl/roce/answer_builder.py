"""Packets of a responder's answers."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout, View
from amaranth.lib.wiring import In, Out

from ..stream import PacketSignature, Queue
from .answer_headers import AnswerHeaders
from .answer_layouts import AnswerLayout
from .answer_templates import AddressLayout, IdentityLayout
from .config import RoceConfig
from .icrc_insert import IcrcInsert, UnsealedLayout
from .merge import Merge
from .one_row import OneRow

__all__ = ["AnswerBuilder"]

# Beats of data that wait: an answer is chosen when its first one is here, and the next answer's
# headers are made while the last beats of this one leave. At 128 bytes a beat they take 4 cycles,
# and the queue 3: 7 beats would do; the queue's memory has a power of two.
_DATA_BEATS = 9


class AnswerBuilder(wiring.Component):
    """Make Ethernet frames of a responder's answers, without FCS.

    ``prompt`` and ``reads`` take turns where both have an answer. One of ``reads`` with data has
    one when its first beat of data is here: memory that takes its time holds up no acknowledgement,
    but for a packet whose data has begun. It waits while ``prompt`` offers an answer of its queue
    pair: that was there before, or is a CNP, and goes first.

    Frames shorter than 60 bytes are not padded. If the last beat of data has ``error``, the frame
    has it too, with an inverted ICRC.

    Latency is :attr:`latency` cycles from an answer of ``prompt`` to its first beat.
    Throughput is 1 beat per cycle: a packet takes as many cycles as it has beats, and the next one
    follows. A packet with a damaged row of addresses, or none, leaves with wrong addresses; it does
    not hang.

    Specification: IBTA Architecture Specification volume 1, 9.2, 9.3, 9.7 and Annex A17 (RoCEv2).

    Parameters
    ----------
    config : RoceConfig

    Attributes
    ----------
    latency : int
        Cycles from ``prompt`` to ``o``: 10 at 8 bytes a beat, 17 at 128.

    Members
    -------
    prompt : In(stream.Signature(AnswerLayout(config))).array(2)
        Acknowledgements, CNPs, acknowledgements of atomic operations, of two who answer, in turns.
        ``prompt[*].ready`` depends combinationally on ``o.ready``, ``reads`` and
        ``prompt[*].valid``.
    reads : In(stream.Signature(AnswerLayout(config)))
        READ responses, and NAKs in place of them. ``reads.ready`` depends combinationally on
        ``o.ready``, ``prompt`` and ``reads`` itself.
    data : In(PacketSignature(data_bytes))
        For each answer of ``reads`` with bytes, a packet of as many; ``keep`` is not looked at.
        ``data.ready`` is a register.
    addresses : In(stream.Signature({queue_pair, row: AddressLayout()}))
        Where answers of a queue pair go; see :class:`AnswerTemplates`.
    identity : In(IdentityLayout())
        Own addresses, taken while a row of ``addresses`` is written.
    o : Out(PacketSignature(data_bytes))
        Frames, registered.
    """

    prompt: list[stream.Interface]
    reads: stream.Interface
    data: stream.Interface
    addresses: stream.Interface
    identity: View
    o: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self.headers = AnswerHeaders(config=config)
        self.seal = IcrcInsert(data_bytes=config.data_bytes)
        self.latency = 2 + self.headers.wait_cycles + 2 + self.seal.latency + config.is_narrow
        queue_pair = config.bits("queue_pairs")
        write = StructLayout({"queue_pair": queue_pair, "row": AddressLayout()})
        super().__init__(
            {
                "prompt": In(stream.Signature(AnswerLayout(config))).array(2),
                "reads": In(stream.Signature(AnswerLayout(config))),
                "data": In(PacketSignature(config.data_bytes)),
                "addresses": In(stream.Signature(write)),
                "identity": In(IdentityLayout()),
                "o": Out(PacketSignature(config.data_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.headers = headers = self.headers
        m.submodules.seal = seal = self.seal
        wiring.connect(m, wiring.flipped(self.addresses), headers.addresses)
        wiring.connect(m, seal.o, wiring.flipped(self.o))
        m.d.comb += headers.identity.eq(self.identity)
        data_queue = Queue(
            shape=StructLayout({"data": 8 * config.data_bytes, "last": 1, "error": 1}),
            depth=_DATA_BEATS,
            shallow=config.is_narrow,
        )
        m.submodules.data_queue = data_queue
        self._choose(m, headers, data_queue)
        self._assemble(m, headers, data_queue, seal)
        return m

    def _choose(self, m: Module, headers: AnswerHeaders, data_queue: Queue) -> None:
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
        answers: Any = headers.i
        if self.config.is_narrow:
            m.submodules.answer = answer = OneRow(shape=AnswerLayout(self.config))
            wiring.connect(m, answer.o, headers.i)
            answers = answer.i
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

    def _assemble(self, m: Module, headers: AnswerHeaders, data_queue: Queue, seal: IcrcInsert):
        """Headers, and data behind them. Words of zeros pad, and keep the ICRC's place."""
        size = self.config.data_bytes
        words = size // 4
        word_bits = words.bit_length() - 1
        header: Any = headers.o.p
        moves = seal.i.ready

        # 0: what the next beat is made of. The first data come with the last beat of headers.
        in_packet = Signal()
        in_body = Signal()
        data_follow = Signal()
        tail = Signal.like(header.tail, reset_less=True)
        last_word = Signal(range(words), reset_less=True)
        shift = Signal.like(header.shift, reset_less=True)
        left = Signal(len(header.place) - word_bits, reset_less=True)
        damaged = Signal(reset_less=True)

        wants_data = Signal()
        gives = Signal()
        step = Signal()
        left_now = Signal.like(left)
        ends = Signal()
        tail_now = Signal.like(tail)
        damaged_now = Signal()
        m.d.comb += [
            wants_data.eq(Mux(in_body, data_follow, header.last & header.has_data)),
            gives.eq((in_body | headers.o.valid) & (~wants_data | data_queue.o.valid)),
            step.eq(moves & gives),
            headers.o.ready.eq(step & ~in_body),
            data_queue.o.ready.eq(step & wants_data),
            left_now.eq(Mux(in_packet, left, header.place[word_bits:])),
            ends.eq(left_now == 0),
            tail_now.eq(Mux(in_body, tail, header.tail)),
            damaged_now.eq(
                Mux(wants_data, data_queue.o.p.last & data_queue.o.p.error, in_body & damaged)
            ),
        ]
        with m.If(step):
            m.d.sync += [
                in_packet.eq(~ends),
                in_body.eq((in_body | header.last) & ~ends),
                data_follow.eq(wants_data & ~data_queue.o.p.last),
                left.eq(left_now - 1),
                damaged.eq(damaged_now),
            ]
            with m.If(~in_body):
                m.d.sync += [
                    tail.eq(header.tail),
                    shift.eq(header.shift),
                    last_word.eq(header.place[:word_bits]),
                ]

        # 1: headers; data, shifted with what they leave of the last beat.
        about_layout = StructLayout({"last": 1, "error": 1, "has_vlan": 1, "v6": 1})
        valid = Signal()
        about: Any = Signal(about_layout, reset_less=True)
        front = Signal(8 * size, reset_less=True)
        now = Signal(8 * size, reset_less=True)
        before = Signal(8 * size, reset_less=True)
        has_original = Signal()
        m.d.comb += has_original.eq(~in_body & header.last & header.has_original)
        # The low byte is last on the wire.
        original = Cat(header.original.word_select(n, 8) for n in reversed(range(8)))
        with m.If(moves):
            m.d.sync += valid.eq(gives)
        with m.If(step):
            m.d.sync += [
                about.last.eq(ends),
                about.error.eq(damaged_now),
                front.eq(Mux(in_body, 0, header.data)),
                before.eq(Mux(in_packet, now, 0)),
            ]
            with m.If(~in_body):
                m.d.sync += [about.has_vlan.eq(header.has_vlan), about.v6.eq(header.v6)]
            for n in range(size):
                is_data = wants_data & (~data_queue.o.p.last | (tail_now == 0) | (tail_now > n))
                byte = data_queue.o.p.data.word_select(n, 8) & is_data.replicate(8)
                if n < 8:
                    byte |= original.word_select(n, 8) & has_original.replicate(8)
                m.d.sync += now.word_select(n, 8).eq(byte)

        # 2: the beat.
        window = Cat(before, now)
        for level in reversed(range(word_bits)):
            kept = 32 * (words + (1 << level) - 1)
            window = Mux(shift[level], window[32 << level :], window)[:kept]
        beat: Any = Signal(UnsealedLayout(size), reset_less=True)
        beat_valid = Signal()
        m.d.comb += [seal.i.payload.eq(beat), seal.i.valid.eq(beat_valid)]
        with m.If(moves):
            m.d.sync += [
                beat_valid.eq(valid),
                beat.data.eq(window | front),
                beat.last.eq(about.last),
                beat.last_word.eq(last_word),
                beat.error.eq(about.error),
                beat.has_vlan.eq(about.has_vlan),
                beat.v6.eq(about.v6),
            ]
