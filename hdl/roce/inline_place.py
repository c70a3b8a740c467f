"""Where in memory inline data are: in the ring of their work queue."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .gather_layouts import FoundLayout
from .layouts import PAYLOAD_BITS
from .work_layouts import SLOT_BITS

__all__ = ["InlinePlace", "RingLayout"]

_SLOT_SHIFT = 6
#: Byte of an entry at which inline data begin.
_BEGIN = 32
#: Bits of a place in a ring: 2**15 slots of 64 bytes at most.
_RING_BITS = SLOT_BITS - 1 + _SLOT_SHIFT
#: Bits of an offset into inline data, of which there are 224 bytes at most.
_OFFSET_BITS = 8


class RingLayout(data.StructLayout):
    """A work queue's ring: 2 ** ``shift`` slots from ``address`` of ``space`` on."""

    def __init__(self):
        super().__init__({"space": 2, "address": 64, "shift": 4})


class InlinePlace(wiring.Component):
    """Find the one or two spans of a packet's inline data: the ring may end within them.

    Latency is 2 steps. Throughput is a packet a step.

    Specification: docs/roce-requester.md (entry of a work queue).

    Members
    -------
    step : In(1)
        The second stage takes what the first has.
    load : In(1)
        With ``step``: the first stage takes the members below.
    ring : In(RingLayout())
    slot : In(16)
        First slot of the entry, counted on and on.
    offset, length : In(32), In(32)
        Bytes of the data before, 223 at most, and those of this packet, 224 at most; else what is
        found is undefined.
    found : Out(FoundLayout())
        Of the second stage; ``ok`` is not used.
    """

    step: Signal
    load: Signal
    ring: Any
    slot: Signal
    offset: Signal
    length: Signal
    found: Any

    def __init__(self):
        super().__init__(
            {
                "step": In(1),
                "load": In(1),
                "ring": In(RingLayout()),
                "slot": In(SLOT_BITS),
                "offset": In(32),
                "length": In(32),
                "found": Out(FoundLayout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # First stage: the place in the ring, and how many bytes are behind that one.
        begin = Signal(_RING_BITS)
        mask = Signal(_RING_BITS)
        place = Signal(_RING_BITS, reset_less=True)
        behind = Signal(_RING_BITS, reset_less=True)
        space = Signal(2, reset_less=True)
        address = Signal(64, reset_less=True)
        length = Signal(PAYLOAD_BITS, reset_less=True)
        m.d.comb += [
            begin.eq(Cat(C(_BEGIN, _SLOT_SHIFT), self.slot) + self.offset[:_OFFSET_BITS]),
            mask.eq(
                Cat(
                    C(-1, _SLOT_SHIFT),
                    *(self.ring.shift > n for n in range(_RING_BITS - _SLOT_SHIFT)),
                )
            ),
        ]
        with m.If(self.step & self.load):
            m.d.sync += [
                place.eq(begin & mask),
                behind.eq(~begin & mask),
                space.eq(self.ring.space),
                address.eq(self.ring.address),
                length.eq(self.length),
            ]

        # Second stage: what the ring's end cuts off, and the low half of the address.
        room = Signal(_RING_BITS + 1)
        found: Any = Signal(FoundLayout())
        low = Signal(33, reset_less=True)
        high = Signal(32, reset_less=True)
        ring_low = Signal(32, reset_less=True)
        found_space = Signal(2, reset_less=True)
        two = Signal(reset_less=True)
        lengths = [Signal(PAYLOAD_BITS, name=f"length_{n}", reset_less=True) for n in range(2)]
        m.d.comb += room.eq(behind + 1)
        with m.If(self.step):
            m.d.sync += [
                low.eq(address[:32] + place),
                high.eq(address[32:]),
                ring_low.eq(address[:32]),
                found_space.eq(space),
                two.eq(room < length),
                lengths[0].eq(Mux(room < length, room, length)),
                lengths[1].eq(length - room),
            ]
        m.d.comb += [
            found.two.eq(two),
            found.spans[0].address.eq(Cat(low[:32], high + low[32])),
            found.spans[1].address.eq(Cat(ring_low, high)),
            *(span.space.eq(found_space) for span in found.spans),
            *(span.length.eq(size) for span, size in zip(found.spans, lengths, strict=True)),
            self.found.eq(found),
        ]
        return m
