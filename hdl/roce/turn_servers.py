"""Two who have turns, until they have had enough."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import RoceConfig
from .turns import later

__all__ = ["EndedLayout", "TurnServers"]


class EndedLayout(data.StructLayout):
    """Strobe: a turn of ``server`` is over; it ``stays``, or makes place for another one."""

    def __init__(self):
        super().__init__({"valid": 1, "server": 1, "stays": 1})


class TurnServers(wiring.Component):
    """Let two queue pairs ask for turns, again and again, and know who takes the next place.

    A turn is not over for some cycles; meanwhile the other one is asked. The one that came first
    has all turns that it can take. Who takes a place asks in the same cycle.

    What is known of those that are served, ``fields``, is here: looked up when they come, and
    renewed when a turn is over.

    Latency is 2 cycles from ``takes`` to ``ask``. Throughput is a turn every 2 cycles.

    With narrow beats ``ask`` is a register but for ``may``, which turns may look at every second
    cycle; it comes 2 cycles later, and so does each next turn of who is alone.

    Specification: this docstring.

    Parameters
    ----------
    config : RoceConfig
    fields : StructLayout

    Members
    -------
    wants, queue_pair : In(1), In(config.bits("queue_pairs"))
        Who is next.
    takes : Out(1)
        It is taken; not in two cycles that follow each other.
    loaded : In(fields)
        What is known of it, in the next cycle.
    may : In(1)
        Turns may begin.
    ask : Out(struct of valid, server, queue_pair, fields)
        Who asks. Depends combinationally on ``ended`` and ``updated``, or with narrow beats on
        ``may``.
    turn : In(1)
        It has its turn. Not in two cycles that follow each other.
    ended, updated : In(EndedLayout()), In(fields)
        A turn is over, and what is known now.
    served : Out(fields)
        What is known of the server that ``ended`` names. Combinational.
    is_alone : Out(1)
        Nobody waits for a place.
    """

    wants: Signal
    queue_pair: Signal
    takes: Signal
    loaded: Any
    may: Signal
    ask: Any
    turn: Signal
    ended: Any
    updated: Any
    served: Any
    is_alone: Signal

    def __init__(self, *, config: RoceConfig, fields: data.StructLayout):
        queue_pair = config.bits("queue_pairs")
        self.fields = fields
        self._is_narrow = config.is_narrow
        self._server = data.StructLayout(
            {"valid": 1, "busy": 1, "queue_pair": queue_pair, "fields": fields}
        )
        super().__init__(
            {
                "wants": In(1),
                "queue_pair": In(queue_pair),
                "takes": Out(1),
                "loaded": In(fields),
                "may": In(1),
                "ask": Out(
                    data.StructLayout(
                        {"valid": 1, "server": 1, "queue_pair": queue_pair, "fields": fields}
                    )
                ),
                "turn": In(1),
                "ended": In(EndedLayout()),
                "updated": In(fields),
                "served": Out(fields),
                "is_alone": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        servers: list[Any] = [Signal(self._server, name=f"server_{n}") for n in range(2)]
        following: Any = Signal(self._server)  # who takes the next place that is free
        second_first = Signal()  # the second of the two came first
        loads = Signal()
        loaded = Signal.like(self.queue_pair, reset_less=True)
        goes_on = Signal()
        ended = self.ended
        m.d.comb += [
            self.takes.eq(self.wants & ~loads & (~following.valid | (goes_on & ~self._is_narrow))),
            self.is_alone.eq(~following.valid & ~loads & ~self.wants),
            self.served.eq(Mux(ended.server, servers[1].fields, servers[0].fields)),
        ]
        m.d.sync += [loads.eq(self.takes), loaded.eq(self.queue_pair)]
        with m.If(goes_on):
            m.d.sync += following.valid.eq(0)
        with m.If(loads):
            m.d.sync += [
                following.valid.eq(1),
                following.queue_pair.eq(loaded),
                following.fields.eq(self.loaded),
            ]

        places: list[tuple[Any, Signal]] = []
        for number, one in enumerate(servers):
            came = Signal(name=f"came_{number}")
            fills = Signal(name=f"fills_{number}")
            now: Any = Signal(self._server, name=f"now_{number}")
            other_fills = places[0][1] if places else C(0)
            m.d.comb += [
                came.eq(ended.valid & (ended.server == number)),
                fills.eq(((came & ~ended.stays) | ~one.valid) & following.valid & ~other_fills),
                now.eq(one),
            ]
            with m.If(fills):
                m.d.comb += now.eq(following)
            with m.Elif(came):
                m.d.comb += [
                    now.valid.eq(ended.stays),
                    now.busy.eq(one.busy & ~came),
                    now.fields.eq(self.updated),
                ]
            m.d.sync += one.eq(now)
            with m.If(self.turn & (self.ask.server == number)):
                m.d.sync += one.busy.eq(1)
            places.append((now, fills))
        m.d.comb += goes_on.eq(places[0][1] | places[1][1])
        # Who remains came first.
        with m.If(places[0][1] | ~servers[0].valid):
            m.d.sync += second_first.eq(1)
        with m.If(places[1][1] | ~servers[1].valid):
            m.d.sync += second_first.eq(0)

        # Nothing happens to a server that could ask but that it has its turn, which is not before
        # this register is looked at.
        askers = servers if self._is_narrow else [now for now, _ in places]
        asks = [asker.valid & ~asker.busy for asker in askers]
        pick = Mux(second_first, asks[1], ~asks[0])
        ask: Any = Signal.like(self.ask)
        m.d.comb += [
            ask.valid.eq(asks[0] | asks[1]),
            ask.server.eq(pick),
            ask.queue_pair.eq(Mux(pick, askers[1].queue_pair, askers[0].queue_pair)),
            ask.fields.eq(Mux(pick, askers[1].fields, askers[0].fields)),
        ]
        asked: Any = later(m, ask, 1) if self._is_narrow else ask
        m.d.comb += [self.ask.eq(asked), self.ask.valid.eq(asked.valid & self.may)]
        return m
