"""Receive side of flow control: what the partner may send."""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .parts import CreditAmountsLayout
from .port import DATA_CREDIT_BITS, HEADER_CREDIT_BITS, CreditCountsLayout
from .tlp import CLASS_COUNT

__all__ = ["ReceiveCredits"]

#: What one source returns in a cycle: 5 headers and 1280 data credits are the most (TlpCheck).
RETURNED_BITS = (3, 11)
#: Sums of so many terms are found between two registers.
TERMS_PER_CYCLE = 4


class ReceiveCredits(wiring.Component):
    """Count the credits that the partner has been given, and the room that is left of them.

    ``allocated`` grows by what the sources return. ``room``, allocated less received, goes to
    :class:`TlpCheck`, which refuses a TLP that exceeds it; what it leaves comes back as
    ``room_left`` in the same cycle.

    Credits survive their link. While ``link_up`` is 0, ``allocated`` follows ``room``: the new
    link's counts begin with what is free, credits of TLPs that are still inside the switch are
    returned later and allocated to the new link then, so none is lost and none is given twice.
    InitFC must not be 0, which means infinite, and should be all of it: the link layer waits for
    ``drained`` before it initializes flow control. A link that does not wait is safe as long as
    something of each kind is free. TLPs leave a switch whatever this port does; only a queue
    towards a port without credits keeps its own until that link goes on or goes down.

    Latency is 1 cycle from ``room_left``; from ``returned`` 2 cycles, 3 with more than 4 sources,
    4 with more than 16. Throughput is 1 return of each source in each cycle.

    Specification: PCI Express Base Specification, 2.6.1, flow control rules (receiver); a switch
    does not advertise infinite credits for completions, and this one for nothing.

    Parameters
    ----------
    advertised : sequence of 3 pairs
        Header and data credits of posted, non-posted and completion TLPs: 1 to 2047, and 1 to
        32767. A partner without scaled flow control can use 127 and 2047.
    source_count : int
        Blocks that return credits, 1 or more.

    Members
    -------
    returned : In(CreditAmountsLayout(3, 11)).array(source_count)
        Credits that become free in this cycle.
    room : Out(CreditAmountsLayout(12, 16))
        What the partner may still send, by what has been received; registered.
    returning : Out(CreditAmountsLayout(12, 16))
        What comes back to the partner in this cycle; registered.
    room_left : In(CreditAmountsLayout(12, 16))
        ``room`` and ``returning`` less what is received in this cycle.
    link_up : In(1)
        While 0, for 4 cycles at least, the counts restart.
    allocated : Out(CreditCountsLayout())
        CREDITS_ALLOCATED, the port's ``rx_credits``; registered. It is the old link's for one
        cycle more than ``room``.
    drained : Out(1)
        Everything received has been returned; registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    returned: list[Any]
    room: Any
    returning: Any
    room_left: Any
    link_up: Signal
    allocated: Any
    drained: Signal

    def __init__(self, *, advertised: Sequence[Sequence[int]], source_count: int):
        if len(advertised) != CLASS_COUNT or any(len(pair) != 2 for pair in advertised):
            raise ValueError(f"advertised must be 3 pairs, not {advertised!r}")
        for headers, units in advertised:
            if not 1 <= headers < 1 << (HEADER_CREDIT_BITS - 1):
                raise ValueError(f"header credits must be 1 to 2047, not {headers!r}")
            if not 1 <= units < 1 << (DATA_CREDIT_BITS - 1):
                raise ValueError(f"data credits must be 1 to 32767, not {units!r}")
        if source_count < 1:
            raise ValueError(f"source_count must be 1 or more, not {source_count!r}")
        self.advertised = tuple((headers, units) for headers, units in advertised)
        self.source_count = source_count
        amounts = CreditAmountsLayout(HEADER_CREDIT_BITS, DATA_CREDIT_BITS)
        super().__init__(
            {
                "returned": In(CreditAmountsLayout(*RETURNED_BITS)).array(source_count),
                "room": Out(amounts),
                "returning": Out(amounts),
                "room_left": In(amounts),
                "link_up": In(1),
                "allocated": Out(CreditCountsLayout()),
                "drained": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # A cycle late, so that what is received in this one need not be waited for.
        was_up = Signal()
        m.d.sync += was_up.eq(self.link_up)
        full = []
        for number, pair in enumerate(self.advertised):
            for kind, advertised in zip(("headers", "data"), pair, strict=True):
                total = self._sum(m, number, kind)
                left = self.room_left[number][kind]
                room = Signal(len(left), name=f"{kind}_{number}_room", init=advertised)
                allocated = Signal(len(left), name=f"{kind}_{number}_allocated", init=advertised)
                m.d.comb += [
                    self.room[number][kind].eq(room),
                    self.returning[number][kind].eq(total),
                    self.allocated[number][kind].eq(allocated),
                ]
                m.d.sync += room.eq(left)
                m.d.sync += allocated.eq(Mux(was_up, allocated, room) + total)
                full.append(room == advertised)
        drained = Signal(init=1)
        m.d.sync += drained.eq(Cat(full).all())
        m.d.comb += self.drained.eq(drained)
        return m

    def _sum(self, m: Module, number: int, kind: str) -> Value:
        """Add up what the sources return, a few terms between registers."""
        terms = [source[number][kind] for source in self.returned]
        level = 0
        while len(terms) > 1 or not level:
            sums = []
            for start in range(0, len(terms), TERMS_PER_CYCLE):
                group = terms[start : start + TERMS_PER_CYCLE]
                pairs = [sum(group[n : n + 2], C(0, 1)) for n in range(0, len(group), 2)]
                most = sum((1 << len(term)) - 1 for term in group)
                value = Signal(range(most + 1), name=f"{kind}_{number}_level_{level}_{start}")
                m.d.sync += value.eq(sum(pairs[1:], pairs[0]))
                sums.append(value)
            terms = sums
            level += 1
        return terms[0]
