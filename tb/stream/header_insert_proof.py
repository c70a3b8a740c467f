"""Proofs of hdl.stream.HeaderInsert."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import HeaderInsert, HeaderLayout, PacketSignature
from tb.prove import Proof

from .realign_proof import SlotState
from .rules import assert_stream, assume_stream, is_well_formed

__all__ = ["PROOFS"]

MAX_HEADER_BYTES = 5


class _LegalSlots(wiring.Component):
    """From well-formed packets, the slots are legal and hold every byte of the packets."""

    i: stream.Interface
    headers: stream.Interface
    o: stream.Interface

    def __init__(self, data_bytes: int):
        self.data_bytes = data_bytes
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "headers": In(stream.Signature(HeaderLayout(MAX_HEADER_BYTES))),
                "o": Out(PacketSignature(data_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = HeaderInsert(
            data_bytes=self.data_bytes, max_header_bytes=MAX_HEADER_BYTES
        )
        for name in ("i", "headers"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(dut, name))
            assume_stream(m, name, getattr(self, name))
        wiring.connect(m, dut.o, wiring.flipped(self.o))
        assert_stream(m, "o", self.o)

        port = dut.realign.i
        slot = port.payload
        inside = Signal()
        offset = Signal(range(self.data_bytes + 1))
        state = SlotState(inside, offset)
        moves = port.valid & port.ready
        taken = self.i.valid & self.i.ready
        with m.If(moves):
            m.d.sync += [inside.eq(state.after(slot)[0]), offset.eq(state.after(slot)[1])]
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(is_well_formed(self.i), "malformed packet"),
                Assert(~port.valid | state.allows(slot), "illegal slot"),
                Assert(dut.in_packet == inside, "states differ"),
                Assert(~inside | (dut.offset == offset), "offsets differ"),
                Assert(~taken | moves, "a beat was taken and not used"),
                Assert(~moves | (slot.keep == Mux(taken, self.i.p.keep, 0)), "bytes differ"),
                Assert(~moves | (slot.last == (taken & self.i.p.last)), "ends differ"),
                Cover(
                    moves & taken & slot.restart & slot.last & (slot.offset == 1),
                    "a one-beat packet behind a header byte",
                ),
                Cover(moves & ~taken, "a beat of the header alone"),
            ]
        return m


PROOFS = [
    Proof("stream.HeaderInsert/slots legal, no beat lost", lambda: _LegalSlots(2), depth=3),
    Proof("stream.HeaderInsert/assumptions not vacuous", lambda: _LegalSlots(2), 8, "cover"),
]
