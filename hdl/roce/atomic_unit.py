"""Atomic operations, and the results that may be asked for again."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma import (
    MemoryReadSignature,
    MemoryRequestLayout,
    MemoryStatus,
    MemoryWriteSignature,
)
from ..memory import SimpleDualPortRam
from .answer_layouts import AnswerKind, AnswerLayout, AtomicLayout, JobKind
from .config import RoceConfig
from .layouts import CompletionStatus, FailureLayout, StrobeLayout
from .translate_signature import TranslateSignature

__all__ = ["AtomicUnit"]

#: An atomic operation changes so many bytes, at a multiple of as many (9.4.5).
_BYTES = 8
#: Bits of an address within the smallest page.
_PAGE_SHIFT = 12

#: Bits of one step of the addition: 64 in one cycle would be 87 FO4 deep.
_ADDER_BITS = 16

# AETH syndromes (9.7.5.2.8): an ACK that tells nothing of credits, and NAKs.
_NO_CREDITS = 0x1F
_REMOTE_ACCESS_NAK = 0x62
_REMOTE_OPERATION_NAK = 0x63


class AtomicUnit(wiring.Component):
    """Execute atomic operations one at a time, and answer for those that were executed before.

    COMPARE_SWAP and FETCH_ADD: the place is translated and its page claimed. With the claim, 8
    bytes are read, changed as a little-endian number and written; a comparison that fails writes
    nothing. When the write has been answered, the claim is given up, the original is remembered as
    the newest result of the queue pair, of which there are ``config.resources``, and answered.

    REPLAY: the remembered results of the queue pair are searched from the newest on for the PSN,
    and the original is answered with the job's MSN. If there is none there is no answer.

    If the translation is refused (NAK 0x62) or memory fails (NAK 0x63), the queue pair is told to
    ``failures`` and answered with the NAK. It is in error then, and all its results are forgotten.

    A queue pair's results mean something after it was first told to ``forget``. A result of an
    operation that is executed meanwhile is not remembered.

    Latency of an operation is 13 cycles and the waits for the Translator, the claim, the data and
    the write's response; of a replay 3 cycles, and 4 for each result that is looked at; if
    ``answers`` is ready. Throughput is one job at a time: one per round trip of a read and a write
    of memory. Whatever a job meets, it ends: each wait is for one answer of the Translator, of who
    grants claims, of memory, or of who takes what leaves here; a replay looks at
    ``config.resources`` results at most.

    Specification: IBTA Architecture Specification volume 1, 9.4.5 and 9.7.5 (atomic operations,
    duplicates, NAKs).

    Parameters
    ----------
    config : RoceConfig
        Sizes of the engine.

    Members
    -------
    jobs : In(stream.Signature(AtomicLayout(config)))
        Jobs; ``kind`` is not READ. A job is taken when all about it is done.
    translate : Out(TranslateSignature(config))
        Translations of 8 bytes. The place comes combinationally from ``jobs.p``; ``request.valid``
        is a register.
    reads, writes : Out(MemoryReadSignature(data_bytes)), Out(MemoryWriteSignature(data_bytes))
        8 bytes each. The addresses are registered.
    claim : Out({valid, space, page})
        Nobody else may write to this page of 4 KiB; ``page`` is ``address[12:]``. Registered.
    claimed : In(1)
        The claim is granted; while ``claim.valid`` it stays so once it is.
    answers : Out(stream.Signature(AnswerLayout(config)))
        ATOMIC_ACKNOWLEDGE or, as a NAK, ACKNOWLEDGE. All but the kind comes from ``jobs.p`` and
        the memory of results.
    done : Out(StrobeLayout(config))
        Strobe, registered: a job has ended, and its answer, if there was one, has been taken.
    failures : Out(stream.Signature(FailureLayout(config)))
        Queue pairs that fail: REMOTE_ACCESS or REMOTE_OPERATION; taken before ``done``.
    forget : In(StrobeLayout(config))
        Strobe, in every other cycle at most: forget the results of this queue pair. A job that is
        offered later finds none of them.
    """

    jobs: stream.Interface
    translate: Any
    reads: Any
    writes: Any
    claim: Any
    claimed: Signal
    answers: stream.Interface
    done: Any
    failures: stream.Interface
    forget: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        strobe = StrobeLayout(config)
        claim = data.StructLayout({"valid": 1, "space": 2, "page": 64 - _PAGE_SHIFT})
        super().__init__(
            {
                "jobs": In(stream.Signature(AtomicLayout(config))),
                "translate": Out(TranslateSignature(config)),
                "reads": Out(MemoryReadSignature(config.data_bytes)),
                "writes": Out(MemoryWriteSignature(config.data_bytes)),
                "claim": Out(claim),
                "claimed": In(1),
                "answers": Out(stream.Signature(AnswerLayout(config))),
                "done": Out(strobe),
                "failures": Out(stream.Signature(FailureLayout(config))),
                "forget": In(strobe),
            }
        )
        index_bits = config.bits("resources")
        # A queue pair's results are the `count` rows of its ring before `next`: to forget them is
        # one write. A row that is not among them may be written at any time.
        self._ring_layout = data.StructLayout({"next": index_bits, "count": index_bits + 1})
        self._result_layout = data.StructLayout({"psn": 24, "original": 64})
        self.rings = SimpleDualPortRam(
            shape=self._ring_layout,
            depth=config.queue_pairs,
            lane_count=1,
            latency=1,
            bypass=False,
        )
        self.results = SimpleDualPortRam(
            shape=self._result_layout,
            depth=config.queue_pairs * config.resources,
            lane_count=1,
            latency=2,
            bypass=False,
            block=True,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rings = rings = self.rings
        m.submodules.results = results = self.results
        jobs: Any = self.jobs
        queue_pair = jobs.p.queue_pair
        job = jobs.p.job
        ring: Any = rings.read_data
        result: Any = results.read_data
        new_result: Any = results.write_data
        request, response = self.translate.request, self.translate.response
        read, write = self.reads, self.writes

        # To forget waits while a job writes its ring, which takes it one cycle at most.
        forgets: Any = Signal(self.forget.shape())
        ring_written = Signal()
        fails = Signal()
        with m.If(self.forget.valid):
            m.d.sync += forgets.eq(self.forget)
        with m.Elif(~ring_written):
            m.d.sync += forgets.valid.eq(0)

        was_forgotten = Signal()  # since the job began
        index = Signal(self.config.bits("resources"), reset_less=True)
        left = Signal(len(index) + 1, reset_less=True)
        remembered: Any = Signal(self._ring_layout)
        m.d.comb += [
            remembered.next.eq(index + 1),
            # A power of two: with its highest bit, it is as many as there may be.
            remembered.count.eq(left + ~left[-1]),
            rings.write_lanes.eq(ring_written | forgets.valid),
            rings.write_address.eq(Mux(ring_written, queue_pair, forgets.queue_pair)),
            rings.write_data.eq(Mux(ring_written & ~fails & ~was_forgotten, remembered, 0)),
            rings.read_address.eq(queue_pair),
            results.read_address.eq(Cat(index, queue_pair)),
            results.write_address.eq(Cat(index, queue_pair)),
            new_result.psn.eq(job.psn),
            new_result.original.eq(read.data.p.data[: 8 * _BYTES]),
        ]
        with m.If(self.forget.valid & (self.forget.queue_pair == queue_pair)):
            m.d.sync += was_forgotten.eq(1)

        space = Signal(2, reset_less=True)
        address = Signal(64, reset_less=True)
        whole: Any = Signal(MemoryRequestLayout())
        addend = Signal(8 * _BYTES, reset_less=True)
        changed = Signal(8 * _BYTES, reset_less=True)
        parts = [slice(n, n + _ADDER_BITS) for n in range(0, len(addend), _ADDER_BITS)]
        answer: Any = self.answers.p
        failure: Any = self.failures.p
        is_refused = Signal()
        is_replay = Signal()
        is_swap = Signal()
        is_equal = Signal()
        m.d.comb += [
            is_replay.eq(job.kind == JobKind.REPLAY),
            is_swap.eq(job.kind == JobKind.COMPARE_SWAP),
            is_equal.eq(read.data.p.data[: 8 * _BYTES] == job.compare),
            request.p.place.eq(job.place),
            request.p.length.eq(_BYTES),
            whole.space.eq(space),
            whole.address.eq(address),
            whole.length.eq(_BYTES),
            read.request.payload.eq(whole),
            write.request.payload.eq(whole),
            write.data.p.data.eq(changed),
            write.data.p.keep.eq((1 << _BYTES) - 1),
            write.data.p.last.eq(1),
            self.claim.space.eq(space),
            self.claim.page.eq(address[_PAGE_SHIFT:]),
            # How the read ended is in its data, too.
            read.response.ready.eq(1),
            answer.queue_pair.eq(queue_pair),
            answer.psn.eq(job.psn),
            answer.msn.eq(job.msn),
            answer.original.eq(result.original),
            answer.syndrome.eq(Mux(is_refused, _REMOTE_ACCESS_NAK, _REMOTE_OPERATION_NAK)),
            answer.kind.eq(AnswerKind.ACKNOWLEDGE),
            failure.queue_pair.eq(queue_pair),
            failure.status.eq(
                Mux(is_refused, CompletionStatus.REMOTE_ACCESS, CompletionStatus.REMOTE_OPERATION)
            ),
        ]

        # Each part takes the carry that the one below it had a cycle before: so many cycles behind
        # the addend, the sum is right, and stays so.
        carries = Signal(len(parts) + 1, reset_less=True)
        for number, part in enumerate(parts):
            carry = carries[number] if number else C(0, 1)
            total = Signal(_ADDER_BITS + 2, name=f"total_{number}")
            m.d.comb += total.eq(Cat(carry, addend[part]) + Cat(carry, job.operand[part]))
            m.d.sync += Cat(changed[part], carries[number + 1]).eq(total[1:])

        # Of two streams that are offered something at the same time: which have taken it.
        was_taken = Signal(2)
        ends = Signal()
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += rings.read_en.eq(1)
                with m.If(jobs.valid & ~forgets.valid):
                    m.d.sync += was_forgotten.eq(
                        self.forget.valid & (self.forget.queue_pair == queue_pair)
                    )
                    m.next = "BEGIN"

            with m.State("BEGIN"):
                m.d.sync += [index.eq(ring.next), left.eq(ring.count)]
                m.next = "TRANSLATE"
                with m.If(is_replay):
                    m.next = "SEARCH"

            with m.State("SEARCH"):
                m.d.sync += [index.eq(index - 1), left.eq(left - 1)]
                m.next = "FETCH"
                with m.If(left == 0):
                    m.d.comb += ends.eq(1)
                    m.next = "IDLE"

            with m.State("FETCH"):
                m.d.comb += results.read_en.eq(1)
                m.next = "FETCHED"

            with m.State("FETCHED"):
                m.next = "COMPARE"

            with m.State("COMPARE"):
                m.next = "SEARCH"
                with m.If(result.psn == job.psn):
                    m.next = "ANSWER"

            with m.State("TRANSLATE"):
                m.d.sync += request.valid.eq(1)
                m.next = "TRANSLATING"

            with m.State("TRANSLATING"):
                m.d.sync += [
                    space.eq(response.p.spans[0].space),
                    address.eq(response.p.spans[0].address),
                    is_refused.eq(~response.p.ok),
                ]
                with m.If(response.valid):
                    m.d.sync += self.claim.valid.eq(response.p.ok)
                    m.next = "FORGET"
                    with m.If(response.p.ok):
                        m.next = "CLAIM"

            with m.State("CLAIM"), m.If(self.claimed):
                m.next = "READ"

            with m.State("READ"):
                m.d.comb += read.request.valid.eq(1)
                with m.If(read.request.ready):
                    m.next = "READING"

            with m.State("READING"):
                m.d.comb += [
                    read.data.ready.eq(1),
                    results.write_lanes.eq(read.data.valid),
                ]
                m.d.sync += addend.eq(Mux(is_swap, 0, read.data.p.data[: 8 * _BYTES]))
                with m.If(read.data.valid):
                    m.next = "ADD_0"
                    with m.If(read.data.p.error):
                        m.next = "FORGET"
                    with m.Elif(is_swap & ~is_equal):
                        m.next = "REMEMBER"

            for number, after in enumerate([*(range(1, len(parts))), None]):
                with m.State(f"ADD_{number}"):
                    m.next = "WRITE" if after is None else f"ADD_{after}"

            with m.State("WRITE"):
                m.d.comb += [
                    write.request.valid.eq(~was_taken[0]),
                    write.data.valid.eq(~was_taken[1]),
                ]
                taken = was_taken | Cat(write.request.ready, write.data.ready)
                m.d.sync += was_taken.eq(taken)
                with m.If(taken.all()):
                    m.d.sync += was_taken.eq(0)
                    m.next = "WRITING"

            with m.State("WRITING"):
                m.d.comb += write.response.ready.eq(1)
                with m.If(write.response.valid):
                    m.next = "FORGET"
                    with m.If(write.response.p.status == MemoryStatus.OK):
                        m.next = "REMEMBER"

            with m.State("REMEMBER"):
                m.d.comb += [ring_written.eq(1), results.read_en.eq(1)]
                m.d.sync += self.claim.valid.eq(0)
                m.next = "REMEMBERED"

            with m.State("REMEMBERED"):
                m.next = "ANSWER"

            with m.State("ANSWER"):
                m.d.comb += [
                    answer.kind.eq(AnswerKind.ATOMIC_ACKNOWLEDGE),
                    answer.syndrome.eq(_NO_CREDITS),
                    self.answers.valid.eq(1),
                ]
                with m.If(self.answers.ready):
                    m.d.comb += ends.eq(1)
                    m.next = "IDLE"

            with m.State("FORGET"):
                m.d.comb += [ring_written.eq(1), fails.eq(1)]
                m.d.sync += self.claim.valid.eq(0)
                m.next = "FAIL"

            with m.State("FAIL"):
                m.d.comb += [
                    self.answers.valid.eq(~was_taken[0]),
                    self.failures.valid.eq(~was_taken[1]),
                ]
                taken = was_taken | Cat(self.answers.ready, self.failures.ready)
                m.d.sync += was_taken.eq(taken)
                with m.If(taken.all()):
                    m.d.sync += was_taken.eq(0)
                    m.d.comb += ends.eq(1)
                    m.next = "IDLE"

        ended = Signal(len(queue_pair), reset_less=True)
        m.d.comb += [jobs.ready.eq(ends), self.done.queue_pair.eq(ended)]
        m.d.sync += [self.done.valid.eq(ends), ended.eq(queue_pair)]
        return m
