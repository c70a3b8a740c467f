"""Proofs of hdl.memory.FreeList."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.memory import FreeList
from tb.prove import Proof
from tb.stream.rules import assert_stream

__all__ = ["PROOFS"]


class _Holders(wiring.Component):
    """A list whose users keep book of what they hold, and free no other unless it is checked."""

    takes: Signal
    freed: stream.Interface

    def __init__(self, count: int, checked: bool):
        self.count = count
        self.checked = checked
        super().__init__(
            {
                "takes": In(1),
                "freed": In(stream.Signature(range(count))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.list = free_list = FreeList(count=self.count, checked=self.checked)
        wiring.connect(m, wiring.flipped(self.freed), free_list.freed)
        allocated = free_list.allocated
        m.d.comb += allocated.ready.eq(self.takes)

        held = Signal(self.count)
        handed_back = Signal(range(self.count + 1))
        gives = Signal()
        frees = Signal()
        holding = Signal(self.count)
        m.d.comb += [
            gives.eq(allocated.valid & self.takes),
            holding.eq(held | gives << allocated.payload),
            frees.eq(self.freed.valid & (holding >> self.freed.payload)[0]),
        ]
        m.d.sync += [
            held.eq(holding & ~(frees << self.freed.payload)),
            handed_back.eq(frees),
        ]
        holders = sum((held[n] for n in range(self.count)), C(0))
        with m.If(~ResetSignal()):
            if not self.checked:
                m.d.comb += Assume(~self.freed.valid | frees, "frees only what is held")
            m.d.comb += [
                Assert(~allocated.valid | ~(held >> allocated.payload)[0], "handed out twice"),
                Assert(~allocated.valid | (allocated.payload < self.count), "no such index"),
                Assert(free_list.free_count + handed_back + holders == self.count, "a leak"),
                Cover(held.all(), "all held"),
                Cover(free_list.double_free, "double free"),
            ]
            if not self.checked:
                m.d.comb += Assert(~free_list.double_free, "reported without a check")
        assert_stream(m, "allocated", allocated)
        return m


PROOFS = [
    Proof(
        "memory.FreeList/never hands out twice, loses none",
        lambda: _Holders(2, checked=False),
        depth=12,
        mode="bmc",
    ),
    Proof(
        "memory.FreeList/checked, whatever is freed",
        lambda: _Holders(2, checked=True),
        depth=12,
        mode="bmc",
    ),
    Proof(
        "memory.FreeList/all held and double free happen",
        lambda: _Holders(2, checked=True),
        depth=8,
        mode="cover",
    ),
]
