"""Proofs of hdl.stream.HeaderRemove."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import HeaderLayout, HeaderRemove, PacketSignature, SlotLayout
from tb.prove import Proof

from .realign_proof import SlotState
from .rules import assert_stream, assume_stream, is_well_formed

__all__ = ["PROOFS"]

MAX_HEADER_BYTES = 5


class _LegalSlots(wiring.Component):
    """From well-formed packets, the slots are legal, one for each beat, with every packet's end.

    Each packet also gives one header, not before its first beat and not after its last.
    """

    i: stream.Interface
    lengths: stream.Interface
    o: stream.Interface
    headers: stream.Interface

    def __init__(self, data_bytes: int):
        self.data_bytes = data_bytes
        layout = HeaderLayout(MAX_HEADER_BYTES)
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "lengths": In(stream.Signature(layout["length"].shape)),
                "o": Out(PacketSignature(data_bytes)),
                "headers": Out(stream.Signature(layout)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = HeaderRemove(
            data_bytes=self.data_bytes, max_header_bytes=MAX_HEADER_BYTES
        )
        for name in ("i", "lengths"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(dut, name))
            assume_stream(m, name, getattr(self, name))
        for name in ("o", "headers"):
            wiring.connect(m, getattr(dut, name), wiring.flipped(getattr(self, name)))
            assert_stream(m, name, getattr(self, name))

        port = dut.realign.i
        slot = Signal(SlotLayout(self.data_bytes, has_base=True))
        m.d.comb += [
            slot[name].eq(port.payload[name])
            for name in ("data", "keep", "offset", "emit", "last", "error")
        ]
        inside = Signal()
        offset = Signal(range(self.data_bytes + 1))
        state = SlotState(inside, offset)
        # Headers that have begun and not left: of the packet at work, and in the output register.
        owed = Signal(range(4))
        moves = port.valid & port.ready
        taken = self.i.valid & self.i.ready
        m.d.sync += owed.eq(
            owed
            + (self.lengths.valid & self.lengths.ready)
            - (self.headers.valid & self.headers.ready)
        )
        with m.If(moves):
            m.d.sync += [inside.eq(state.after(slot)[0]), offset.eq(state.after(slot)[1])]
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(is_well_formed(self.i), "malformed packet"),
                Assert(~port.valid | state.allows(slot), "illegal slot"),
                Assert(dut.behind_header == inside, "states differ"),
                Assert(~inside | dut.in_packet, "behind the header of no packet"),
                Assert(~inside | (self.data_bytes - dut.later_rest == offset), "offsets differ"),
                Assert(taken == moves, "a beat is not a slot"),
                Assert(~moves | (slot.last == self.i.p.last), "ends differ"),
                Assert(
                    owed == self.headers.valid + (dut.in_packet & ~dut.behind_header),
                    "a header was lost or made",
                ),
                Cover(dut.runt, "a runt"),
                Cover(moves & inside & slot.last, "a last beat behind the header"),
            ]
        return m


PROOFS = [
    Proof("stream.HeaderRemove/slots legal, no header lost", lambda: _LegalSlots(2), depth=3),
    Proof("stream.HeaderRemove/assumptions not vacuous", lambda: _LegalSlots(2), 10, "cover"),
]
