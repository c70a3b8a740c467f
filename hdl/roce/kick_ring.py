"""Who was kicked, and has not had its turn since."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import SimpleDualPortRam

from .config import RoceConfig
from .ready_ring import ReadyRing

__all__ = ["KickRing"]


class KickRing(wiring.Component):
    """Give a turn to each queue pair that is kicked, behind its last kick.

    A bit for each queue pair says that it waits for its turn: a kick sets it, a turn clears it. So
    who waits is in the ring once, and a kick that comes when a turn has begun asks for another.

    In each cycle one bit is looked at, and written in the next: for a turn that begins, or for a
    kick. When a kick waits, no turn begins: so it is passed by one turn at most, and a turn by one
    kick.

    Latency from a kick to ``wants`` is 2 cycles, if nobody else waits. Throughput is a kick per
    cycle in which no turn begins; a turn every 2 cycles. After
    reset bits are cleared, one each cycle; kicks wait as long.

    Specification: this docstring.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    kicks : In(stream.Signature(config.bits("queue_pairs")))
        ``ready`` depends combinationally on ``turn``.
    wants, queue_pair : Out(1), Out(config.bits("queue_pairs"))
        Somebody wants its turn. It may want it no more in the next cycle, for a kick. Registered.
    turn : In(1)
        It has its turn: what it finds is as new as the kicks before. Only with ``wants``, and not
        in two cycles that follow each other.
    """

    kicks: stream.Interface
    wants: Signal
    queue_pair: Signal
    turn: Signal

    def __init__(self, *, config: RoceConfig):
        self.config = config
        pair = config.bits("queue_pairs")
        super().__init__(
            {
                "kicks": In(stream.Signature(pair)),
                "wants": Out(1),
                "queue_pair": Out(pair),
                "turn": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pair = unsigned(self.config.bits("queue_pairs"))
        m.submodules.ring = ring = ReadyRing(shape=pair, members=self.config.queue_pairs)
        m.submodules.bits = bits = SimpleDualPortRam(
            shape=unsigned(1),
            depth=self.config.queue_pairs,
            lane_count=1,
            latency=1,
            bypass=True,
        )
        clearing = Signal(init=1)
        cleared = Signal(pair)
        with m.If(clearing):
            m.d.sync += [cleared.eq(cleared + 1), clearing.eq(~cleared.all())]

        kicks_first = Signal()
        step: Any = Signal(data.StructLayout({"valid": 1, "queue_pair": pair, "waits": 1}))
        m.d.comb += [
            self.wants.eq(ring.o.valid & ~kicks_first),
            self.queue_pair.eq(ring.o.payload),
            ring.o.ready.eq(self.turn),
            step.valid.eq(1),
            step.waits.eq(1),
        ]
        with m.If(clearing):
            m.d.comb += [step.queue_pair.eq(cleared), step.waits.eq(0)]
        with m.Elif(self.turn):
            m.d.comb += [step.queue_pair.eq(ring.o.payload), step.waits.eq(0)]
        with m.Else():
            m.d.comb += [
                step.queue_pair.eq(self.kicks.payload),
                step.valid.eq(self.kicks.valid),
                self.kicks.ready.eq(1),
            ]
        m.d.sync += kicks_first.eq(self.kicks.valid & ~self.kicks.ready)

        old: Any = Signal(step.shape())
        m.d.sync += old.eq(step)
        m.d.comb += [
            bits.read_en.eq(step.valid),
            bits.read_address.eq(step.queue_pair),
            bits.write_lanes.eq(old.valid),
            bits.write_address.eq(old.queue_pair),
            bits.write_data.eq(old.waits),
            ring.push.eq(old.valid & old.waits & ~bits.read_data),
            ring.pushed.eq(old.queue_pair),
        ]
        return m
