"""Reads that are out too long, or on a link that went down: which have failed, and when."""

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from .limits import check_tag_count
from .memory_port import MemoryStatus
from .parts import TagDoneLayout

__all__ = ["TagFailingLayout", "TagTimer"]

#: Quarters that begin while a read is out before it is late: so it has had four whole ones.
_LATE = 5
#: Fewest visits of a round: what has been issued is seen to be out before the next one ends.
_MIN_ROUND = 8
_COLUMN = 16


class TagFailingLayout(data.StructLayout):
    """Tag that is being failed, with ``valid``: it must not be given back yet."""

    def __init__(self, tag_count: int):
        super().__init__({"valid": 1, "tag": range(tag_count)})


class _Visit(enum.Enum, shape=2):
    #: Looking at one tag after the other.
    LOOKING = 0
    #: A failure is on ``fail``.
    FAILING = 1
    #: It was taken; the tag will soon not be out.
    WAITING = 2


class TagTimer(wiring.Component):
    """Fail the reads that are out too long, and all that were out when the link went down.

    The tags are visited in rounds, one tag a cycle, and at least 8 cycles a round. A read that
    has been out for ``timeout`` fails with TIMEOUT; time counts in quarters of that, which end
    with a round. One that is out while the link is down, or was when it went down, fails with
    LINK_DOWN. A failed tag is visited until it is not out any more, so it fails exactly once.

    When the link went down, reads are discarded, so that LINK_DOWN answers them, until it is up
    again. Then none begin for up to three rounds, until all that were out have failed and the
    last header of before has left. A read that is sent was issued on a link that has been up
    since then.

    A visit takes 1 cycle; a failure at least 7 more. TIMEOUT comes ``timeout`` to
    5/4 * ``timeout`` and seven rounds after ``issued``, if ``fail`` is taken.

    Specification: PCI Express Base Specification, 2.8 (completion timeout), 2.9.1 (link down),
    and this docstring.

    Parameters
    ----------
    tag_count : int
        Tags; even, 4 to 1024.

    Members
    -------
    issued : In(TagFailingLayout(tag_count))
        Strobe: this tag is issued.
    out : In(tag_count)
        Tags that are out, from registers: from at most 4 cycles after ``issued`` to at most as
        many after the transfer on ``fail``, or before.
    link_up : In(1)
        The link can send.
    timeout : In(32)
        Cycles after which a read is late, in steps of 4.
    offered, blocked : In(1) each
        A header is offered to the link; it is not taken in this cycle.
    passed : In(1)
        Strobe: each header that had been taken when this was last set has been sent. A quarter in
        which it does not come twice does not count, either. 1 where what is taken is sent.
    send, discard : Out(1) each
        Pieces may be issued and sent; pieces are issued but not sent. Registered, never both.
    fail : Out(stream.Signature(TagDoneLayout(tag_count)))
        A tag that has failed: TIMEOUT or LINK_DOWN. Registered.
    failing : Out(TagFailingLayout(tag_count))
        Tag that is, or was, on ``fail``, until it is not out any more. Registered.
    time : Out(4)
        Quarters, modulo 16, but none in which one header was offered all the time. Registered.

    Raises
    ------
    ValueError
        If ``tag_count`` is odd, less than 4 or more than 1024.
    """

    issued: data.View
    out: Signal
    link_up: Signal
    timeout: Signal
    offered: Signal
    blocked: Signal
    passed: Signal
    send: Signal
    discard: Signal
    fail: stream.Interface
    failing: data.View
    time: Signal

    def __init__(self, *, tag_count: int):
        check_tag_count(tag_count)
        self.tag_count = tag_count
        self.round = max(tag_count, _MIN_ROUND)
        super().__init__(
            {
                "issued": In(TagFailingLayout(tag_count)),
                "out": In(tag_count),
                "link_up": In(1),
                "timeout": In(32),
                "offered": In(1),
                "blocked": In(1),
                "passed": In(1),
                "send": Out(1),
                "discard": Out(1),
                "fail": Out(stream.Signature(TagDoneLayout(tag_count))),
                "failing": Out(TagFailingLayout(tag_count)),
                "time": Out(4),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # A round counts from the second tag to the first one of the next: as good, and a register.
        round_ends = Signal()
        round_ended = Signal()
        quarter = Signal(3)
        m.d.sync += round_ended.eq(round_ends)
        self._measure(m, round_ended, quarter)
        is_up = self._follow(m, round_ended)

        visits = Signal()  # the tag in the first stage
        place = Signal(range(self.round))
        seen, seen_place, is_out, stamp = self._look(m, visits, place, quarter)

        visit = Signal(_Visit)
        is_last = Signal()
        following = Signal(range(self.round))
        begins = Signal()
        ends = Signal()
        age = Signal(3)
        m.d.comb += [
            is_last.eq(seen_place == self.round - 1),
            following.eq(Mux(place == self.round - 1, 0, place + 1)),
            age.eq(quarter - stamp),
            begins.eq((visit == _Visit.LOOKING) & seen & is_out & (~is_up | (age >= _LATE))),
            ends.eq((visit == _Visit.WAITING) & seen & ~is_out),
            round_ends.eq(is_last & (ends | ((visit == _Visit.LOOKING) & seen & ~begins))),
            visits.eq(~begins & ~ends & (visit != _Visit.FAILING)),
        ]
        failed = Signal(TagDoneLayout(self.tag_count), reset_less=True)
        m.d.comb += [
            self.fail.payload.eq(failed),
            self.fail.valid.eq(visit == _Visit.FAILING),
            self.failing.valid.eq(visit != _Visit.LOOKING),
            self.failing.tag.eq(failed.tag),
        ]
        with m.Switch(visit):
            with m.Case(_Visit.LOOKING):
                m.d.sync += place.eq(following)
                with m.If(begins):
                    m.d.sync += [
                        visit.eq(_Visit.FAILING),
                        place.eq(seen_place),
                        failed.tag.eq(seen_place),
                        failed.status.eq(Mux(is_up, MemoryStatus.TIMEOUT, MemoryStatus.LINK_DOWN)),
                    ]
            with m.Case(_Visit.FAILING), m.If(self.fail.ready):
                m.d.sync += visit.eq(_Visit.WAITING)
            with m.Case(_Visit.WAITING), m.If(ends):
                m.d.sync += [visit.eq(_Visit.LOOKING), place.eq(following)]
        return m

    def _look(self, m: Module, visits: Value, place: Value, quarter: Value):
        """See, 2 cycles later, whether the tag at ``place`` is out, and since which quarter.

        A stamp that is read while it is written is of a tag that is not out yet.
        """
        m.submodules.stamps = stamps = SimpleDualPortRam(
            shape=3, depth=self.round, lane_count=1, latency=2, bypass=False
        )
        m.d.comb += [
            stamps.write_lanes.eq(self.issued.valid),
            stamps.write_address.eq(self.issued.tag),
            stamps.write_data.eq(quarter),
            stamps.read_en.eq(1),
            stamps.read_address.eq(place),
        ]

        seen = [Signal(name=f"seen_{n}") for n in (1, 2)]
        places = [Signal(range(self.round), name=f"place_{n}", reset_less=True) for n in (1, 2)]
        m.d.sync += [
            seen[0].eq(visits),
            places[0].eq(place),
            seen[1].eq(seen[0] & visits),
            places[1].eq(places[0]),
        ]
        columns = []
        for first in range(0, self.tag_count, _COLUMN):
            column = Signal(name=f"column_{first}", reset_less=True)
            tags = Signal(_COLUMN, name=f"tags_{first}")
            m.d.comb += tags.eq(self.out[first : first + _COLUMN])
            m.d.sync += column.eq((tags >> place[:4])[0])
            columns.append(column)
        is_out = Signal(reset_less=True)
        if len(columns) == 1:
            m.d.sync += is_out.eq(columns[0])
        else:
            m.d.sync += is_out.eq((Cat(columns) >> places[0][4:])[0])
        return seen[1], places[1], is_out, stamps.read_data

    def _measure(self, m: Module, round_ended: Value, quarter: Value) -> None:
        """Count quarters; they end with a round, so that each tag is seen in each quarter."""
        left = Signal(30)
        is_over = Signal()
        # A header is stuck that is offered all the time, or waits somewhere behind: what had been
        # taken before the quarter is gone when `passed` comes for the second time.
        is_offered = Signal()
        waits = Signal(2)
        m.d.sync += is_over.eq(left == 0)
        quarter_ends = Signal()
        m.d.comb += quarter_ends.eq(round_ended & is_over)
        with m.If(quarter_ends):
            m.d.sync += [
                quarter.eq(quarter + 1),
                left.eq(self.timeout[2:]),
                is_over.eq(0),
            ]
            with m.If(~is_offered & (waits == 0)):
                m.d.sync += self.time.eq(self.time + 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(quarter_ends):
            m.d.sync += [is_offered.eq(1), waits.eq(2)]
        with m.Elif(self.passed & (waits != 0)):
            m.d.sync += waits.eq(waits - 1)
        with m.If(~self.blocked):
            m.d.sync += is_offered.eq(0)

    def _follow(self, m: Module, round_ended: Value) -> Value:
        """Follow the link; return if it is up and nothing of before is out.

        Of three rounds the last is whole, and sees all that was issued.
        """
        is_up = Signal(init=1)
        rounds = Signal(2)
        m.d.comb += self.send.eq(is_up)
        with m.If(~self.link_up):
            m.d.sync += [is_up.eq(0), self.discard.eq(1), rounds.eq(0)]
        with m.Elif(self.discard):
            m.d.sync += self.discard.eq(0)
        with m.Elif(~is_up & (rounds != 3)):
            m.d.sync += rounds.eq(rounds + round_ended)
        with m.Elif(~self.offered):
            m.d.sync += is_up.eq(1)
        return is_up
