"""Tells when a queue pair has made no progress for too long, and when one may send again."""

from typing import Any

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import SimpleDualPortRam
from hdl.stream import Queue

from .config import RoceConfig
from .layouts import StrobeLayout
from .opcode import Service
from .peer_layouts import ReplyStateLayout
from .reply_layouts import RnrStrobe, TimeLayout
from .send_copy import SendCopy
from .send_layouts import SendStateStrobe
from .turns import has_room_for, later
from .work_layouts import SendContextLayout

__all__ = ["TIME_BITS", "Timers", "is_over", "timeout_bits"]

#: Bits of a time in ticks. The longest one is 2**33: behind it, half of what is left until a
#: difference of two times is negative.
TIME_BITS = 35
#: Ticks of a timeout with code 0, as a power of two: 4.096 us.
_TIMEOUT_SHIFT = 2
#: 10 us that an RNR NAK asks to wait, by its code (IBTA volume 1, 9.7.5.2.8); of nanoseconds, and
#: in ticks of 1024 of them, rounded up.
_RNR_TIMES = [65536, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768]
_RNR_TIMES += [1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152]
_RNR_TICKS = [-(-time * 10_000 // 1024) for time in _RNR_TIMES]
# Bits that tell a set-up of a queue pair from the one before.
_SET_UP_BITS = 4
# Times that wait to be taken: those on their way (2), and the time that it takes to see them.
_WAITING = 8


def timeout_bits(m: Module, code: Value) -> Value:
    """Bits of a difference of times one of which is set if it is as long as a timeout, or longer.

    With ``code`` 0 there are none: it is never that long.
    """
    bits = Signal(TIME_BITS - 1)
    with m.Switch(code):
        for number in range(1, 32):
            with m.Case(number):
                m.d.comb += bits[number + _TIMEOUT_SHIFT :].eq(~0)
    return bits


def is_over(elapsed: Value, bits: Value) -> Value:
    """Say whether ``elapsed``, perhaps negative, is as long as ``bits`` have it."""
    return ~elapsed[-1] & (elapsed[:-1] & bits).any()


class _RowLayout(data.StructLayout):
    """What the last look at a queue pair found.

    Fields
    ------
    oldest, back : 24, 4 bits
        As in ``ReplyStateLayout``.
    is_idle : 1 bit
        Nothing was under way, or it waited for the time of an RNR NAK.
    set_ups : 4 bits
    since : TIME_BITS bits
        End of the tick in which time began to run.
    """

    def __init__(self):
        super().__init__(
            {
                "oldest": 24,
                "back": 4,
                "is_idle": 1,
                "set_ups": _SET_UP_BITS,
                "since": TIME_BITS,
            }
        )


class Timers(wiring.Component):
    """Look at one queue pair after the other, and tell of those that have waited for too long.

    Time of a queue pair runs from the first look that finds something under way, which is not what
    the look before found. If the same is under way, since nothing was acknowledged and nothing is
    sent again, for longer than its timeout, it is told, and time runs anew. While it waits for the
    time of an RNR NAK, only that counts. So nothing is told before its time, and behind that by a
    look at each queue pair and a tick, at most two of each for a timeout; and by what waits for
    ``times``, during which nobody is looked at.

    Nobody is forgotten: what is to be told is found by comparing how things are, at each look, and
    told until they are different. The end of an RNR NAK's time is thus told more than once, if
    the next look comes before that has been taken note of.

    Latency of a look is 5 cycles, 2 more to ``times``. Throughput is a queue pair every 2 cycles.

    Specification: docs/roce-requester.md; IBTA Architecture Specification volume 1, 9.7.5.2.8 (RNR
    timer), 9.9.2.1 (local ACK timeout).

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    tick : In(1)
        Pulse every 1.024 us.
    send_state : In(SendStateStrobe(config))
        As :class:`SendCopy` has it.
    state : In(ReplyStateLayout(config))
        Strobe.
    rnr : In(RnrStrobe(config))
        Strobe, together with the ``state`` in which ``waits`` has become 1.
    set_up : In(StrobeLayout(config))
        Strobe: a queue pair has been set up, and ``state`` has told of it.
    context : In(SendContextLayout(config))
        Its context, in the cycle of the strobe.
    times : Out(stream.Signature(TimeLayout(config)))
        Registered.
    """

    tick: Signal
    send_state: Any
    state: Any
    rnr: Any
    set_up: Any
    context: Any
    times: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "tick": In(1),
                "send_state": In(SendStateStrobe(config)),
                "state": In(ReplyStateLayout(config)),
                "rnr": In(RnrStrobe(config)),
                "set_up": In(StrobeLayout(config)),
                "context": In(SendContextLayout(config)),
                "times": Out(stream.Signature(TimeLayout(config))),
            }
        )
        # State; the proof looks at it.
        self._now = Signal(TIME_BITS, name="now")
        self._begins = Signal(name="begins")
        self._index = Signal(config.bits("queue_pairs"), name="index")
        self._clearing = Signal(init=1, name="clearing")

    def elaborate(self, platform):
        m = Module()
        config = self.config
        pair = unsigned(config.bits("queue_pairs"))
        m.submodules.times_queue = times = Queue(
            shape=TimeLayout(config), depth=_WAITING, shallow=True, counted=True
        )
        wiring.connect(m, times.o, wiring.flipped(self.times))
        now = self._now
        m.d.sync += now.eq(now + self.tick)

        # 0: who is looked at.
        phase = Signal()
        index, begins = self._index, self._begins
        has_room = Signal()
        m.d.sync += [phase.eq(~phase), index.eq(index + begins)]
        m.d.comb += begins.eq(~phase & has_room)
        clearing = self._clearing
        cleared = Signal(pair)
        with m.If(clearing):
            m.d.sync += [cleared.eq(cleared + 1), clearing.eq(~cleared.all())]
        copies = self._keep(m, now, clearing, cleared)
        m.submodules.rows = rows = self._ram(_RowLayout())
        for table in (*copies.values(), rows):
            m.d.comb += [table.read_en.eq(begins), table.read_address.eq(index)]

        # 2: what is known of it, beside what was when it was looked at before.
        row: Any = rows.read_data
        state: Any = copies["state"].read_data
        limit: Any = copies["limits"].read_data
        highest = copies["sent"].read_data.highest
        rnr_end = copies["rnr_ends"].read_data
        longer = timeout_bits(m, limit.timeout)
        seen: Any = Signal(
            data.StructLayout(
                {
                    "state": state.shape(),
                    "set_ups": _SET_UP_BITS,
                    "since": TIME_BITS,
                    "is_idle": 1,
                    "was_idle": 1,
                    "advances": 1,
                    "is_fresh": 1,
                    "elapsed": TIME_BITS,
                    "longer": TIME_BITS - 1,
                    "rnr_elapsed": TIME_BITS,
                }
            ),
            reset_less=True,
        )
        m.d.sync += [
            seen.state.eq(state),
            seen.set_ups.eq(limit.set_ups),
            seen.since.eq(row.since),
            seen.is_idle.eq(state.oldest == highest),
            seen.was_idle.eq(row.is_idle),
            seen.advances.eq((state.oldest != row.oldest) | (state.back != row.back)),
            seen.is_fresh.eq(limit.set_ups != row.set_ups),
            seen.elapsed.eq(now - row.since),
            seen.longer.eq(longer),
            seen.rnr_elapsed.eq(now - rnr_end),
        ]

        # 3: is it over?
        found: Any = Signal(
            data.StructLayout(
                {
                    "state": state.shape(),
                    "set_ups": _SET_UP_BITS,
                    "since": TIME_BITS,
                    "is_idle": 1,
                    "begins": 1,
                    "is_late": 1,
                    "ends_wait": 1,
                }
            ),
            reset_less=True,
        )
        rests = seen.is_idle | seen.state.waits | seen.state.failed
        begins_anew = seen.was_idle | seen.advances | seen.is_fresh
        m.d.sync += [
            found.state.eq(seen.state),
            found.set_ups.eq(seen.set_ups),
            found.since.eq(seen.since),
            found.is_idle.eq(rests),
            found.begins.eq(rests | begins_anew),
            found.is_late.eq(~rests & ~begins_anew & is_over(seen.elapsed, seen.longer)),
            found.ends_wait.eq(seen.state.waits & ~seen.state.failed & ~seen.rnr_elapsed[-1]),
        ]

        # 4: it is told, and the row is written.
        at: Any = Signal(data.StructLayout({"valid": 1, "index": pair}))
        m.d.comb += [at.valid.eq(begins), at.index.eq(index)]
        at = later(m, at, 4)
        new: Any = Signal(_RowLayout())
        time: Any = times.i.p
        m.d.comb += [
            new.oldest.eq(found.state.oldest),
            new.back.eq(found.state.back),
            new.is_idle.eq(found.is_idle),
            new.set_ups.eq(found.set_ups),
            new.since.eq(Mux(found.begins | found.is_late, now + 1, found.since)),
            rows.write_lanes.eq(at.valid),
            rows.write_address.eq(at.index),
            rows.write_data.eq(new),
            times.i.valid.eq(at.valid & (found.is_late | found.ends_wait)),
            time.queue_pair.eq(at.index),
            time.is_rnr_end.eq(found.ends_wait),
            has_room.eq(has_room_for(m, "times", times, begins, at.valid & ~times.i.valid)),
        ]
        return m

    def _keep(self, m: Module, now: Value, clearing: Value, cleared: Value) -> dict[str, Any]:
        """Keep what others say of queue pairs, as tables to read."""
        config = self.config
        m.submodules.sent = sent = SendCopy(config=config)
        kept = data.StructLayout({"oldest": 24, "back": 4, "waits": 1, "failed": 1})
        limit = data.StructLayout({"timeout": 5, "set_ups": _SET_UP_BITS})
        m.submodules.states = states = self._ram(kept)
        m.submodules.limits = limits = self._ram(limit)
        m.submodules.rnr_ends = rnr_ends = self._ram(unsigned(TIME_BITS))

        # The time of an RNR NAK takes a cycle; so its state comes a cycle later, too.
        ticks = Signal(range(max(_RNR_TICKS) + 2))
        wait = Signal.like(ticks)
        with m.Switch(self.rnr.code):
            for code, number in enumerate(_RNR_TICKS):
                with m.Case(code):
                    # One more, since this tick has begun before.
                    m.d.comb += ticks.eq(number + 1)
        strobe: Any = Signal(StrobeLayout(config))
        strobe_rnr: Any = Signal(StrobeLayout(config))
        state: Any = Signal(kept)
        set_ups = Signal(_SET_UP_BITS)
        m.d.sync += [
            strobe.eq(Cat(self.state.valid, self.state.queue_pair)),
            strobe_rnr.eq(Cat(self.rnr.valid, self.rnr.queue_pair)),
            wait.eq(ticks),
            *(state[name].eq(self.state[name]) for name, _ in kept),
            set_ups.eq(set_ups + self.set_up.valid),
        ]
        new_limit: Any = Signal(limit)
        is_rc = self.context.service == Service.RC
        m.d.comb += [
            sent.send_state.eq(self.send_state),
            sent.set_up.valid.eq(self.set_up.valid),
            sent.set_up.queue_pair.eq(self.set_up.queue_pair),
            sent.set_up.psn.eq(self.context.psn),
            rnr_ends.write_lanes.eq(strobe_rnr.valid),
            rnr_ends.write_address.eq(strobe_rnr.queue_pair),
            rnr_ends.write_data.eq(now + wait),
            new_limit.timeout.eq(Mux(is_rc, self.context.timeout, 0)),
            new_limit.set_ups.eq(set_ups + 1),
        ]
        for table, valid, index, new in (
            (states, strobe.valid, strobe.queue_pair, state),
            (limits, self.set_up.valid, self.set_up.queue_pair, new_limit),
        ):
            m.d.comb += [
                table.write_lanes.eq(clearing | valid),
                table.write_address.eq(Mux(clearing, cleared, index)),
                table.write_data.eq(Mux(clearing, 0, new)),
            ]
        return {"sent": sent, "state": states, "limits": limits, "rnr_ends": rnr_ends}

    def _ram(self, shape: ShapeLike) -> Any:
        return SimpleDualPortRam(
            shape=shape,
            depth=self.config.queue_pairs,
            lane_count=1,
            latency=2,
            bypass=True,
        )
