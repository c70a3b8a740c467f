"""Proofs of hdl.pcie.ReceiveCredits."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pcie import ReceiveCredits
from hdl.pcie.parts import CreditAmountsLayout
from tb.prove import Proof

__all__ = ["PROOFS"]

ADVERTISED = ((5, 300), (1, 1), (2, 2))


class _Conservation(wiring.Component):
    """Blocks that take credits if there is room, and return those that they hold.

    Each credit is then at one place: with the partner, who may send by it; held inside; or on its
    way back through the sums. The partner never has more than was advertised, whenever the link
    goes down and comes up.
    """

    taken: Any
    returned: list[Any]
    link_up: Signal

    def __init__(self, source_count: int):
        self.source_count = source_count
        self.settled = Signal()
        super().__init__(
            {
                "taken": In(CreditAmountsLayout(3, 11)),
                "returned": In(CreditAmountsLayout(3, 11)).array(source_count),
                "link_up": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.credits = credits = ReceiveCredits(
            advertised=ADVERTISED, source_count=self.source_count
        )
        m.d.comb += credits.link_up.eq(self.link_up)
        was_down = Signal(init=1)
        m.d.sync += was_down.eq(~self.link_up)
        m.d.comb += self.settled.eq(~was_down)
        for source, returned in zip(credits.returned, self.returned, strict=True):
            m.d.comb += source.eq(returned)
        # The six counts are alike; of many sources, the sums of the narrow ones show it.
        for number, pair in enumerate(ADVERTISED):
            for kind, advertised in zip(("headers", "data"), pair, strict=True):
                if self.source_count <= 4 or (number, kind) == (0, "headers"):
                    self._check(m, credits, number, kind, advertised)
        return m

    def _check(
        self, m: Module, credits: ReceiveCredits, number: int, kind: str, advertised: int
    ) -> None:
        taken = self.taken[number][kind]
        returned = sum((source[number][kind] for source in self.returned), C(0, 1))
        room = credits.room[number][kind]
        allocated = credits.allocated[number][kind]
        m.d.comb += credits.room_left[number][kind].eq(
            room + credits.returning[number][kind] - taken
        )

        held = Signal(len(room) + 2, name=f"held_{kind}_{number}")
        received = Signal.like(allocated, name=f"received_{kind}_{number}")
        m.d.sync += [
            held.eq(held + taken - returned),
            received.eq(Mux(self.link_up, received + taken, 0)),
        ]
        coming = Signal(len(room) + 2, name=f"coming_{kind}_{number}")
        followed = returned
        stages = []
        for stage in range(1 if self.source_count <= 4 else 2):
            value = Signal(len(room) + 2, name=f"coming_{kind}_{number}_{stage}")
            m.d.sync += value.eq(followed)
            followed = value
            stages.append(value)
        m.d.comb += coming.eq(sum(stages, C(0, 1)))
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(taken <= room, "takes what there is"),
                Assume(returned <= held, "returns what it holds"),
                Assert(room + coming + held == advertised, "a credit lost or doubled"),
                Assert(self.settled | (received == 0), "of the link before"),
                Assert(
                    ~self.settled | ((allocated - received)[: len(allocated)] == room),
                    "the partner has more or less than there is room for",
                ),
            ]
            if (number, kind) == (0, "data"):
                m.d.comb += Cover(
                    (allocated > advertised) & (room == 0) & self.link_up, "all taken, and more"
                )


PROOFS = [
    *(
        Proof(
            f"pcie.ReceiveCredits/conservation, {count} sources",
            lambda count=count: _Conservation(count),
            depth=4,
        )
        for count in (2, 5)
    ),
    Proof("pcie.ReceiveCredits/all is taken", lambda: _Conservation(2), depth=8, mode="cover"),
]
