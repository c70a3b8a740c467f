"""Proofs of hdl.stream.PacketJoin."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import PacketJoin, PacketSignature
from tb.prove import Proof

from .realign_proof import SlotState, byte_count
from .rules import assert_stream, assume_stream, is_well_formed

__all__ = ["PROOFS"]


class _LegalSlots(wiring.Component):
    """From well-formed packets, the slots are legal and hold every byte of both inputs."""

    a: stream.Interface
    b: stream.Interface
    o: stream.Interface

    def __init__(self, data_bytes: int):
        self.data_bytes = data_bytes
        super().__init__(
            {
                "a": In(PacketSignature(data_bytes)),
                "b": In(PacketSignature(data_bytes)),
                "o": Out(PacketSignature(data_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = PacketJoin(data_bytes=self.data_bytes)
        for name in ("a", "b"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(dut, name))
            assume_stream(m, name, getattr(self, name))
        wiring.connect(m, dut.o, wiring.flipped(self.o))
        assert_stream(m, "o", self.o)

        port = dut.realign.i
        slot = port.payload
        inside = Signal()
        offset = Signal(range(self.data_bytes + 1))
        state = SlotState(inside, offset)
        # A full last beat of `a` leaves the packet of `b` to begin without a base.
        after_full = Signal()
        moves = port.valid & port.ready
        a_taken = self.a.valid & self.a.ready
        b_taken = self.b.valid & self.b.ready
        begins = ~inside & ~slot.restart & after_full & (slot.offset == 0)
        with m.If(moves):
            m.d.sync += [inside.eq(state.after(slot)[0]), offset.eq(state.after(slot)[1])]
            m.d.sync += after_full.eq(a_taken & self.a.p.last & ~b_taken)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(is_well_formed(self.a) & is_well_formed(self.b), "malformed packet"),
                Assert(~port.valid | state.allows(slot), "illegal slot"),
                Assert(dut.in_b == (inside | after_full), "states differ"),
                Assert(~inside | (dut.offset == offset), "offsets differ"),
                Assert(
                    ~after_full | (~inside & (dut.offset == 0)), "wrong offset after a full beat"
                ),
                Assert(~(a_taken | b_taken) | moves, "a beat was taken and not used"),
                Assert(
                    ~moves
                    | (
                        Mux(slot.restart, slot.offset, 0)
                        == Mux(a_taken, byte_count(self.a.p.keep), 0)
                    ),
                    "bytes of a differ",
                ),
                Assert(~moves | (slot.keep == Mux(b_taken, self.b.p.keep, 0)), "bytes of b differ"),
                Assert(~moves | (slot.last == (b_taken & self.b.p.last)), "ends differ"),
                Cover(moves & a_taken & b_taken & slot.last, "both packets end in one slot"),
                Cover(
                    moves & begins & slot.last, "a packet of b begins behind a full beat and ends"
                ),
            ]
        return m


PROOFS = [
    Proof("stream.PacketJoin/slots legal, no beat lost", lambda: _LegalSlots(2), depth=3),
    Proof("stream.PacketJoin/assumptions not vacuous", lambda: _LegalSlots(2), 8, "cover"),
]
