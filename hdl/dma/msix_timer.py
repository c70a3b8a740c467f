"""Ends of the holds of MSI-X vectors."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from .msix_parts import MsixSentLayout, check_vectors, vector_shape

__all__ = ["MsixTimer"]


class MsixTimer(wiring.Component):
    """Release each held vector when its interval is over: one vector is looked at in a cycle.

    A hold ends ``interval`` to ``interval`` + 1 ticks after ``sent``, and up to a round later: that
    is ``vector_count`` cycles, and 2 more for each vector whose message begins as it is looked at.

    Specification: this docstring.

    Parameters
    ----------
    vector_count : int
        Vectors.
    interval_bits : int
        Of intervals. Twice as many ticks must be longer than two rounds.
    tick_cycles : int
        Cycles of a tick.

    Members
    -------
    sent : In(MsixSentLayout)
        A message begins.
    release_vector : Out(vector_shape)
        Vector looked at; a register.
    held : In(1)
        Whether it is held, in the same cycle.
    release : Out(1)
        Its hold ends. Combinational from ``held`` and ``sent``.

    Raises
    ------
    ValueError
        If ``tick_cycles`` is less than 1, or the time wraps within two rounds.
    """

    sent: data.View
    release_vector: Signal
    held: Signal
    release: Signal

    def __init__(self, *, vector_count: int, interval_bits: int, tick_cycles: int):
        check_vectors(vector_count, interval_bits)
        if tick_cycles < 1:
            raise ValueError(f"tick_cycles must be 1 or more, not {tick_cycles!r}")
        if tick_cycles << interval_bits < 2 * vector_count:
            raise ValueError(
                f"tick_cycles * 2**interval_bits must be {2 * vector_count} or more for "
                f"{vector_count} vectors, not {tick_cycles << interval_bits}"
            )
        self.vector_count = vector_count
        self.interval_bits = interval_bits
        self.tick_cycles = tick_cycles
        super().__init__(
            {
                "sent": In(MsixSentLayout(vector_count, interval_bits)),
                "release_vector": Out(vector_shape(vector_count)),
                "held": In(1),
                "release": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self.interval_bits + 1
        m.submodules.ends = ends = SimpleDualPortRam(
            shape=bits, depth=max(2, self.vector_count), lane_count=1, latency=1, bypass=True
        )

        # `after` is a tick ahead, since the one that goes on does not count as a whole one.
        now = Signal(bits)
        after = Signal(bits, init=1)
        tick = Signal()
        if self.tick_cycles == 1:
            m.d.comb += tick.eq(1)
        else:
            cycles = Signal(range(self.tick_cycles))
            m.d.sync += [
                tick.eq(cycles == self.tick_cycles - 2),
                cycles.eq(Mux(tick, 0, cycles + 1)),
            ]
        with m.If(tick):
            m.d.sync += [now.eq(after), after.eq(after + 1)]

        end = Signal(bits)
        m.d.comb += [
            end.eq(after + self.sent.interval),
            ends.write_lanes.eq(self.sent.valid),
            ends.write_address.eq(self.sent.vector),
            ends.write_data.eq(end),
        ]

        fetching = Signal.like(self.release_vector)
        fetched = Signal()
        looks = Signal.like(self.release_vector)
        m.d.comb += [
            ends.read_en.eq(1),
            ends.read_address.eq(fetching),
            self.release_vector.eq(looks),
        ]
        # A message of this vector begins a new hold in this cycle: look again.
        collides = Signal()
        left = Signal(bits)
        m.d.comb += [
            collides.eq(self.sent.valid & (self.sent.vector == looks)),
            left.eq(now - ends.read_data),
            self.release.eq(fetched & self.held & ~left[-1] & ~collides),
        ]
        m.d.sync += [looks.eq(fetching), fetched.eq(1)]
        with m.If(fetched & collides):
            m.d.sync += [fetching.eq(looks), fetched.eq(0)]
        with m.Elif(fetching == self.vector_count - 1):
            m.d.sync += fetching.eq(0)
        with m.Else():
            m.d.sync += fetching.eq(fetching + 1)
        return m
