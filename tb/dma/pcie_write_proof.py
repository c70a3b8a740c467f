"""Proofs of the parts of hdl.dma.PcieWrite."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.dma import MemoryRequestLayout, WriteIntake, WriteShift, WriteSplitter
from hdl.dma.write_parts import WritePieceLayout, WriteStepLayout
from hdl.pcie.tlp import TlpBeatLayout
from hdl.stream import PacketSignature
from tb.prove import Proof

from ..stream.rules import assert_stream, assume_stream

__all__ = ["PROOFS"]

_ROW_BYTES = 32
_BEAT_DWORDS = 8
_PAGE_DWORDS = 1024
_RESPONSES = 4


def _is_mask(mask: Value) -> Value:
    """Whether it is that of a Max_Payload_Size, 4 to 128 beats less 1."""
    return reduce(or_, ((mask == (4 << n) - 1) for n in range(6)))


def _dwords_1(mask: Value) -> Value:
    """DW of a TLP of that many beats, less 1."""
    return Cat(C(_BEAT_DWORDS - 1, 3), mask)


class _Cut(wiring.Component):
    """A splitter of any pieces.

    No TLP crosses 4 KB or is longer than Max_Payload_Size; it has as many DW as its length says,
    without a pause; one begins where the last one ended, the last one ends where the piece does.
    """

    max_payload: Signal
    link_up: Signal
    ready: Signal
    valid: Signal
    piece: Any

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {
                "max_payload": In(3),
                "link_up": In(1),
                "ready": In(1),
                "valid": In(1),
                "piece": In(WritePieceLayout(1, _ROW_BYTES)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = WriteSplitter(client_count=1, row_bytes=_ROW_BYTES)
        step, plan, coming = dut.o.p, dut.plan, dut.next_plan
        piece = plan.piece
        m.d.comb += [
            dut.i.payload.eq(self.piece),
            dut.i.valid.eq(self.valid),
            dut.max_payload.eq(self.max_payload),
            dut.link_up.eq(self.link_up),
            dut.o.ready.eq(self.ready),
        ]

        # What is seen from outside: beats of the TLP, its length, where the next one begins.
        active = Signal()
        moves = Signal()
        inside = Signal()
        past = Signal(10)  # DW of the TLP before this beat
        said = Signal(10)
        begun = Signal(10)  # where the TLP began
        follows = Signal()  # a TLP of the piece has ended
        m.d.comb += [
            active.eq(dut.valid & piece.send & ~dut.priming),
            moves.eq(active & dut.o.ready),
        ]
        length_1 = Mux(step.sop, step.length_1, said)
        begin = Mux(step.sop, step.dword, begun)
        before = Mux(step.sop, 0, past)
        with m.If(moves):
            m.d.sync += [
                past.eq(before + _BEAT_DWORDS),
                said.eq(length_1),
                begun.eq(Mux(step.eop, begin + length_1 + 1, begin)),
                inside.eq(~step.eop),
                follows.eq(dut.beats_left != 0),
            ]

        started = Signal()
        last_code = Signal(3)
        largest = Signal(11)
        m.d.sync += [started.eq(1), last_code.eq(self.max_payload)]
        # Not as a table: the solver would let it hold anything.
        m.d.comb += largest.eq(C(32, 11) << Mux(self.max_payload > 5, 5, self.max_payload))
        first, last = piece.first[2:], piece.last[2:]
        rest = Signal(8)  # beats from where the TLP began, less 1
        wanted = Signal(10)
        m.d.comb += [
            rest.eq((dut.beat & plan.mask) + dut.beats_left),
            wanted.eq(Mux(rest > plan.mask, _dwords_1(plan.mask), Cat(plan.dwords_1, rest))),
        ]
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~started | (last_code == self.max_payload), "max_payload changes"),
                Assume(~self.piece.send | (self.piece.first <= self.piece.last), "no byte"),
            ]
            if self.cover:
                m.d.comb += Cover(moves & step.eop & follows & ~step.sop, "a second TLP ends")
                return m
            m.d.comb += [
                # What is to be shown.
                Assert(~(moves & step.sop) | (step.dword + step.length_1 < _PAGE_DWORDS), "4 KB"),
                Assert(~(moves & step.sop) | (step.length_1 < largest), "Max_Payload_Size"),
                Assert(~moves | (step.sop == ~inside), "sop"),
                Assert(~inside | dut.o.valid, "a pause within a TLP"),
                Assert(~(moves & step.eop) | (before + step.dwords_1 == length_1), "length"),
                Assert(~(moves & step.sop & follows) | (step.dword == begun), "a hole"),
                Assert(~(moves & step.sop & ~follows) | (step.dword == first), "begin"),
                Assert(
                    ~(moves & (dut.beats_left == 0)) | (step.eop & (begin + length_1 == last)),
                    "end",
                ),
                # What ties the state together.
                Assert(_dwords_1(dut.mask) < largest, "mask"),
                Assert(~dut.next_valid | self._is_right(coming, largest), "coming"),
                Assert(~dut.valid | self._is_right(plan, largest), "plan"),
                Assert(~dut.valid | ~dut.priming | (dut.beat == 0), "priming"),
                Assert(~dut.valid | (dut.beat + dut.beats_left == plan.beats_1), "beats"),
                Assert(
                    ~dut.valid | (dut.dword_rows == (first[3:] + dut.beat)[:7]),
                    "address",
                ),
                Assert(~inside | active, "inside"),
                Assert(~active | (inside == (dut.beat & plan.mask).any()), "inside"),
                Assert(~active | (follows == (dut.beat != 0)) | inside, "follows"),
                Assert(dut.valid | ~follows, "follows"),
                Assert(~(dut.valid & (dut.priming | ~piece.send)) | ~follows, "follows"),
                Assert(~inside | (past == _BEAT_DWORDS * (dut.beat & plan.mask)), "past"),
                Assert(~inside | (said == wanted), "said"),
                Assert(~inside | (begun == (first + Cat(C(0, 3), dut.beat & ~plan.mask))), "begun"),
                Assert(
                    ~active | inside | ~follows | (begun == first + Cat(C(0, 3), dut.beat)), "begun"
                ),
            ]
        return m

    def _is_right(self, plan: Any, largest: Value) -> Value:
        """Whether a piece that was got ready has the beats that it needs."""
        span = Cat(plan.dwords_1, plan.beats_1)
        fits = plan.piece.first[2:] + span == plan.piece.last[2:]
        return (~plan.piece.send | fits) & _is_mask(plan.mask) & (_dwords_1(plan.mask) < largest)


class _Room(wiring.Component):
    """An intake whose rows come free in any order of time: the store is never overrun.

    Nor are there more requests without a response than there is room for.
    """

    request: stream.Interface
    data: stream.Interface
    ready: Signal
    freed: Signal
    answered: Signal

    def __init__(self):
        super().__init__(
            {
                "request": In(stream.Signature(MemoryRequestLayout())),
                "data": In(PacketSignature(_ROW_BYTES)),
                "ready": In(1),
                "freed": In(9),
                "answered": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = WriteIntake(
            client_count=1, row_bytes=_ROW_BYTES, response_count=_RESPONSES
        )
        wiring.connect(m, wiring.flipped(self.request), dut.request)
        wiring.connect(m, wiring.flipped(self.data), dut.data)
        assume_stream(m, "request", self.request)
        assume_stream(m, "data", self.data)
        m.d.comb += [
            dut.o.ready.eq(self.ready),
            dut.freed.eq(self.freed),
            dut.answered.eq(self.answered),
        ]

        was_freed = Signal(9)
        used = Signal(9)  # by what was free in the last cycle
        m.d.sync += was_freed.eq(self.freed)
        m.d.comb += used.eq(dut.row - was_freed)
        most = dut.store_rows - 1
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume((self.freed - was_freed)[:9] <= used, "what is not used comes free"),
                Assume(~self.answered | (dut.open_count > 0), "a response to nothing"),
                Assert(used <= most, "the store is overrun"),
                Assert(~dut.has_room | (used <= most - 1), "no room"),
                Assert(dut.open_count <= _RESPONSES, "too many requests"),
                Assert(dut.active == (dut.busy & ~dut.dropping), "active"),
            ]
        return m


class _NoPause(wiring.Component):
    """A shift whose steps do not pause within a TLP: its beats do not either."""

    i: stream.Interface
    o: stream.Interface
    done_ready: Signal

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(WriteStepLayout(1, _ROW_BYTES))),
                "o": Out(stream.Signature(TlpBeatLayout(1))),
                "done_ready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = WriteShift(client_count=1, segment_count=1)
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        wiring.connect(m, dut.o, wiring.flipped(self.o))
        m.d.comb += dut.done.ready.eq(self.done_ready)
        assume_stream(m, "i", self.i)
        assert_stream(m, "o", self.o)

        coming = Signal()
        going = Signal()
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += coming.eq(self.i.p.emit & ~self.i.p.eop)
        segment = self.o.p.segments[0]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += going.eq(~segment.eop)
        inside = Signal()  # behind the beat on `o`
        m.d.comb += inside.eq(Mux(self.o.valid, ~segment.eop, going))
        was_ready = Signal()
        m.d.sync += was_ready.eq(self.done_ready & ~dut.done.valid)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~coming | (self.i.valid & self.i.p.emit & ~self.i.p.sop), "a pause"),
                Assume(coming | ~self.i.valid | ~self.i.p.emit | self.i.p.sop, "no sop"),
                Assume(~self.i.p.end | ~self.i.p.emit | self.i.p.eop, "an end within a TLP"),
                Assume(~was_ready | self.done_ready, "room for responses is lost"),
                Assert(~dut.done.valid | ~inside | dut.done.ready, "a response is lost"),
                Assert(~going | self.o.valid, "a pause within a TLP"),
                Assert(~self.o.valid | self.o.p.valid[0], "a beat without a segment"),
                Assert(~self.o.valid | (segment.sop == ~going), "sop"),
            ]
        return m


PROOFS = [
    Proof("dma.PcieWrite/TLPs keep to 4 KB and MPS, and are the piece", _Cut, depth=2),
    Proof("dma.PcieWrite/a second TLP", lambda: _Cut(cover=True), depth=14, mode="cover"),
    Proof("dma.PcieWrite/the store is not overrun", _Room, depth=2),
    Proof("dma.PcieWrite/no pause within a TLP", _NoPause, depth=9, mode="bmc"),
]
