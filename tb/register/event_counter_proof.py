"""Proofs of hdl.register.EventCounter."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.register import EventCounter
from tb.prove import Proof

__all__ = ["PROOFS"]


class _Total(wiring.Component):
    """A counter beside a sum in one piece, which waits as long as the counter takes."""

    increment: Signal

    def __init__(self, *, bits: int, stage_count: int, increment_max: int, saturates: bool):
        self.counter = EventCounter(
            bits=bits,
            stage_count=stage_count,
            increment_max=increment_max,
            saturates=saturates,
        )
        super().__init__({"increment": In(range(increment_max + 1))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.counter = counter = self.counter
        m.d.comb += counter.increment.eq(self.increment)

        total = Signal(counter.bits)
        following = Signal(counter.bits + 1)
        m.d.comb += following.eq(total + self.increment)
        m.d.sync += total.eq(following)
        if counter.saturates:
            with m.If(following[-1]):
                m.d.sync += total.eq(~0)
        waiting = total
        for wait in range(counter.stage_count - 1):
            later = Signal.like(total, name=f"total_{wait}")
            m.d.sync += later.eq(waiting)
            waiting = later

        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(counter.value == waiting, "value is not the total of those cycles ago"),
                Cover(counter.value.all(), "largest value"),
            ]
        return m


def _proofs():
    for saturates, stage_count in [(False, 2), (True, 1), (True, 3)]:

        def harness(stage_count=stage_count, saturates=saturates):
            return _Total(bits=6, stage_count=stage_count, increment_max=3, saturates=saturates)

        way = "saturates" if saturates else "wraps"
        name = f"register.EventCounter/{way}, {stage_count} stages"
        yield Proof(name, harness, depth=2 * stage_count + 2)
    yield Proof(
        "register.EventCounter/reaches its largest value",
        lambda: _Total(bits=6, stage_count=3, increment_max=3, saturates=True),
        depth=28,
        mode="cover",
    )


PROOFS = list(_proofs())
