"""Whose packet is next."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from ..stream import Queue
from .class_lists import ClassLists
from .config import RoceConfig
from .layouts import StrobeLayout
from .time_wheel import TimeWheel, WaitLayout
from .turn_servers import TurnServers
from .work_layouts import SendContextLayout

__all__ = ["TIME_BITS", "AskLayout", "SendScheduler", "TurnKind", "TurnResultLayout"]

#: Bits of a time in 1/256 of a cycle: 10 s at 400 MHz, half of which may be looked ahead.
TIME_BITS = 40
CLASSES = 8
#: Bytes that a queue pair may send before another one does: one largest packet with its headers.
_QUANTUM = 4096 + 128
_DEFICIT_BITS = 15
#: Slots of the wheel are 1024 cycles long; 64 of them are 65536 cycles.
_WHEEL_SLOTS, _WHEEL_GRAIN_BITS = 64, 18
#: Who is on the way to the wheel, which may be busy for as long as a list is walked.
_WAITING = 9


class TurnKind(enum.IntEnum, shape=2):
    """What a turn came to."""

    #: A packet was sent.
    SENT = 0
    #: None yet: there is more to do.
    SKIPPED = 1
    #: Nothing may be sent until the next kick.
    BLOCKED = 2
    #: Nothing may be sent before a time.
    WAITS = 3


class AskLayout(data.StructLayout):
    """Who asks for a turn.

    Fields
    ------
    valid : 1 bit
    queue_pair : config.bits("queue_pairs") bits
    hint : config.bits("send_slots") bits
        Slot on chip in which its next entry is, as far as the last turn knew.
    server : 1 bit
        To be given back with the result.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "hint": config.bits("send_slots"),
                "server": 1,
            }
        )


class TurnResultLayout(data.StructLayout):
    """Strobe: what a turn came to: ``bytes`` of SENT, ``time`` of WAITS."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "hint": config.bits("send_slots"),
                "server": 1,
                "kind": TurnKind,
                "bytes": 14,
                "time": TIME_BITS,
            }
        )


class SendScheduler(wiring.Component):
    """Let queue pairs take turns: 8 classes, the lowest first; in each of them deficit round robin.

    A queue pair that was kicked stands in a list, or is served, or waits for its time, until a turn
    of it is blocked. A kick meanwhile is remembered, and then it stands in a list again: so none is
    lost. Who is not kicked costs nothing.

    Two are served. The one that came first has all turns that it can take: until it has sent a
    quantum of bytes, more than that being taken off its next one (M. Shreedhar, G. Varghese,
    "Efficient Fair Queuing using Deficit Round Robin", 1995). In between, while its last turn
    is not over, the second one is asked. So bytes are shared fairly where the wire is what is
    short, and where turns are, none is lost.

    Latency is 4 cycles from a kick to a turn. Throughput is a turn every 2 cycles, of one queue
    pair whenever its result has come.

    Specification: this docstring.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    phase : In(1)
        Turns begin while it is low, every second cycle.
    kicks : In(stream.Signature(config.bits("queue_pairs")))
        Who may have something to send.
    set_up, context : In(StrobeLayout(config)), In(SendContextLayout(config))
        Strobe: the queue pair's class is that of ``context``.
    now : In(40)
        Time in 1/256 of a cycle.
    ask : Out(AskLayout(config))
        Who asks; another one from cycle to cycle, if need be. Depends combinationally on
        ``result``.
    turn : In(1)
        It has its turn.
    result : In(TurnResultLayout(config))
        What a turn came to, while ``phase`` is low.
    """

    phase: Signal
    kicks: stream.Interface
    set_up: Any
    context: Any
    now: Signal
    ask: Any
    turn: Signal
    result: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "phase": In(1),
                "kicks": In(stream.Signature(config.bits("queue_pairs"))),
                "set_up": In(StrobeLayout(config)),
                "context": In(SendContextLayout(config)),
                "now": In(TIME_BITS),
                "ask": Out(AskLayout(config)),
                "turn": In(1),
                "result": In(TurnResultLayout(config)),
            }
        )

    def _ram(self, m: Module, name: str, shape: Any, *, bypass: bool) -> Any:
        ram = SimpleDualPortRam(
            shape=shape, depth=self.config.queue_pairs, lane_count=1, latency=1, bypass=bypass
        )
        m.submodules[name] = ram
        return ram

    def elaborate(self, platform):
        m = Module()
        config = self.config
        count = config.queue_pairs
        m.submodules.lists = lists = ClassLists(members=count, classes=CLASSES)
        m.submodules.wheel = wheel = TimeWheel(
            members=count,
            slots=_WHEEL_SLOTS,
            time_bits=TIME_BITS,
            grain_bits=_WHEEL_GRAIN_BITS,
        )
        m.submodules.waiting = waiting = Queue(
            shape=WaitLayout(count, TIME_BITS), depth=_WAITING, shallow=True
        )
        wiring.connect(m, waiting.o, wheel.i)
        m.d.comb += wheel.now.eq(self.now)

        clearing = Signal(init=1)
        cleared = Signal(range(count))
        with m.If(clearing):
            m.d.sync += [cleared.eq(cleared + 1), clearing.eq(cleared != count - 1)]

        result = self.result
        ended = self._serve(m, lists, waiting, clearing, cleared)
        self._put_back(m, lists, wheel, ended, clearing, cleared)
        m.d.comb += [
            waiting.i.valid.eq(result.valid & (result.kind == TurnKind.WAITS)),
            waiting.i.p.member.eq(result.queue_pair),
            waiting.i.p.time.eq(result.time),
        ]
        return m

    def _serve(self, m: Module, lists: Any, waiting: Any, clearing: Value, cleared: Value) -> Value:
        """Serve two; whether the result's queue pair is one of them no longer."""
        config = self.config
        result = self.result
        deficits = self._ram(m, "deficits", signed(_DEFICIT_BITS), bypass=True)
        hints = self._ram(m, "hints", unsigned(config.bits("send_slots")), bypass=True)
        fields = data.StructLayout(
            {"hint": config.bits("send_slots"), "deficit": signed(_DEFICIT_BITS)}
        )
        m.submodules.servers = servers = TurnServers(config=config, fields=fields)
        loaded: Any = servers.loaded
        m.d.comb += [
            servers.wants.eq(lists.o.valid & ~clearing),
            servers.queue_pair.eq(lists.o.p.member),
            lists.o.ready.eq(servers.takes),
            deficits.read_en.eq(1),
            deficits.read_address.eq(lists.o.p.member),
            hints.read_en.eq(1),
            hints.read_address.eq(lists.o.p.member),
            loaded.hint.eq(hints.read_data),
            loaded.deficit.eq(deficits.read_data + _QUANTUM),
        ]

        # Results. Who has sent too much by a packet pays with its next quantum; who is alone has
        # it at once.
        stays = Signal()
        left = Signal(signed(_DEFICIT_BITS))
        served: Any = servers.served
        updated: Any = servers.updated
        has_sent = result.kind == TurnKind.SENT
        is_spent = served.deficit <= 0
        m.d.comb += [
            stays.eq(
                (result.kind == TurnKind.SKIPPED) | (has_sent & (~is_spent | servers.is_alone))
            ),
            left.eq(
                served.deficit - Mux(has_sent, result.bytes, 0) + Mux(is_spent & stays, _QUANTUM, 0)
            ),
            servers.ended.valid.eq(result.valid),
            servers.ended.server.eq(result.server),
            servers.ended.stays.eq(stays),
            updated.hint.eq(result.hint),
            updated.deficit.eq(left),
        ]
        done = result.valid & ~stays
        m.d.comb += [
            deficits.write_lanes.eq(done | clearing),
            deficits.write_address.eq(Mux(clearing, cleared, result.queue_pair)),
            # What is not used up does not wait for the next time.
            deficits.write_data.eq(Mux(clearing | ~left[-1], 0, left)),
            hints.write_lanes.eq(result.valid),
            hints.write_address.eq(result.queue_pair),
            hints.write_data.eq(result.hint),
        ]

        # A turn that may have to wait needs room on the way to the wheel; three may be under way.
        under_way = Signal(range(_WAITING + 1))
        comes, goes = waiting.i.valid, waiting.o.valid & waiting.o.ready
        has_room = Signal()
        ask: Any = servers.ask
        m.d.sync += [
            under_way.eq(under_way + comes - goes),
            has_room.eq(under_way <= _WAITING - 4),
        ]
        m.d.comb += [
            servers.may.eq(has_room),
            servers.turn.eq(self.turn),
            self.ask.valid.eq(ask.valid),
            self.ask.server.eq(ask.server),
            self.ask.queue_pair.eq(ask.queue_pair),
            self.ask.hint.eq(ask.fields.hint),
        ]
        return done

    def _put_back(
        self, m: Module, lists: Any, wheel: Any, ended: Value, clearing: Value, cleared: Value
    ) -> None:
        """Know who is in a list, or served, or waits; put in who is to be in a list."""
        config = self.config
        result = self.result
        flags = data.StructLayout({"here": 1, "again": 1})
        states = self._ram(m, "states", flags, bypass=True)
        classes = self._ram(m, "classes", unsigned(3), bypass=True)

        # While the phase is low, results are looked up; while it is high, kicks, or who has waited.
        wakes = Signal()
        looked: Any = Signal(
            data.StructLayout(
                {
                    "ends": 1,
                    "blocked": 1,
                    "kicked": 1,
                    "woken": 1,
                    "queue_pair": config.bits("queue_pairs"),
                }
            )
        )
        asked = Signal(config.bits("queue_pairs"))
        was_kicked = Signal()  # so that neither waits for ever
        m.d.comb += [
            wakes.eq(self.phase & wheel.o.valid & (was_kicked | ~self.kicks.valid) & ~clearing),
            wheel.o.ready.eq(wakes),
            self.kicks.ready.eq(self.phase & ~wakes & ~clearing),
            asked.eq(
                Mux(self.phase, Mux(wakes, wheel.o.payload, self.kicks.payload), result.queue_pair)
            ),
            states.read_en.eq(1),
            states.read_address.eq(asked),
            classes.read_en.eq(1),
            classes.read_address.eq(asked),
            classes.write_lanes.eq(self.set_up.valid),
            classes.write_address.eq(self.set_up.queue_pair),
            classes.write_data.eq(self.context.priority),
        ]
        kicked = self.kicks.valid & self.kicks.ready
        with m.If(kicked | wakes):
            m.d.sync += was_kicked.eq(kicked)
        m.d.sync += [
            looked.ends.eq(ended & ~self.phase),
            looked.blocked.eq(result.kind == TurnKind.BLOCKED),
            looked.kicked.eq(kicked),
            looked.woken.eq(wakes),
            looked.queue_pair.eq(asked),
        ]
        waits = Signal()
        m.d.sync += waits.eq(result.kind == TurnKind.WAITS)

        found: Any = states.read_data
        new: Any = states.write_data
        goes_out = looked.ends & looked.blocked & ~found.again
        m.d.comb += [
            states.write_lanes.eq(clearing | looked.kicked | (looked.ends & looked.blocked)),
            states.write_address.eq(Mux(clearing, cleared, looked.queue_pair)),
            new.here.eq(~clearing & ~goes_out),
            new.again.eq(~clearing & looked.kicked & found.here),
            lists.push.eq(
                (looked.kicked & ~found.here)
                | looked.woken
                | (looked.ends & ~waits & ~(looked.blocked & ~found.again))
            ),
            lists.pushed.member.eq(looked.queue_pair),
            lists.pushed.priority.eq(classes.read_data),
        ]
