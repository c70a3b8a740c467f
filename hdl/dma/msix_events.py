"""Events of MSI-X vectors on their way to being pending, counted."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from .msix_parts import LIMIT_BITS, VECTOR_BITS, MsixArrivalLayout, row_bits, vector_shape

__all__ = ["MsixEvents"]


class MsixEvents(wiring.Component):
    """Take events; count those of each vector since it became pending.

    Latency is 2 cycles from an event to ``arrival``, 1 to ``unknown``. Throughput is 1 event per
    cycle, of any vectors.

    Specification: this docstring.

    Parameters
    ----------
    vector_count : int
        Vectors.

    Members
    -------
    enable : In(1)
        Whether events are taken.
    events : In(stream.Signature(11))
        Numbers of vectors. ``events.ready`` is ``enable``.
    arrival : Out(MsixArrivalLayout(vector_count))
        An event; from registers and a RAM's multiplexer.
    was_pending : In(1)
        Whether ``arrival.vector`` was pending, in the same cycle.
    unknown : Out(1)
        Strobe: there is no such vector. Registered.
    limit_write : In(1), limit_vector, limit : In
        How many events end the hold of a vector.
    """

    enable: Signal
    events: stream.Interface
    arrival: data.View
    was_pending: Signal
    unknown: Signal
    limit_write: Signal
    limit_vector: Signal
    limit: Signal

    def __init__(self, *, vector_count: int):
        self.vector_count = vector_count
        super().__init__(
            {
                "enable": In(1),
                "events": In(stream.Signature(VECTOR_BITS)),
                "arrival": Out(MsixArrivalLayout(vector_count)),
                "was_pending": In(1),
                "unknown": Out(1),
                "limit_write": In(1),
                "limit_vector": In(vector_shape(vector_count)),
                "limit": In(LIMIT_BITS),
            }
        )

        # The events on their way; attributes for the proofs.
        shape = vector_shape(vector_count)
        self._looked_up = Signal()
        self._vector = Signal(shape, reset_less=True)
        self._arrives = Signal()
        self._arriving = Signal(shape, reset_less=True)
        self._arriving_bit = Signal(row_bits(vector_count), reset_less=True)

    def elaborate(self, platform):
        m = Module()

        def ram(bits: int) -> SimpleDualPortRam:
            return SimpleDualPortRam(
                shape=bits,
                depth=max(2, self.vector_count),
                lane_count=1,
                latency=1,
                bypass=True,
            )

        m.submodules.counts = counts = ram(LIMIT_BITS)
        m.submodules.limits = limits = ram(LIMIT_BITS + 1)

        # Less 1, as it is compared with the count before the event; and whether there is one.
        has_limit = Signal()
        limit = Signal(LIMIT_BITS)
        m.d.comb += Cat(limit, has_limit).eq(limits.read_data)

        taken = Signal()
        known = Signal()
        m.d.comb += [
            self.events.ready.eq(self.enable),
            taken.eq(self.events.valid & self.enable),
            known.eq(self.events.payload < self.vector_count),
        ]
        looked_up, vector = self._looked_up, self._vector
        arrives, arriving, arriving_bit = self._arrives, self._arriving, self._arriving_bit
        m.d.sync += [
            looked_up.eq(taken & known),
            self.unknown.eq(taken & ~known),
            vector.eq(self.events.payload),
            arrives.eq(looked_up),
            arriving.eq(vector),
            arriving_bit.eq(1 << vector[:5]),
        ]
        m.d.comb += [
            counts.read_en.eq(1),
            counts.read_address.eq(vector),
            limits.read_en.eq(1),
            limits.read_address.eq(vector),
            limits.write_lanes.eq(self.limit_write),
            limits.write_address.eq(self.limit_vector),
            limits.write_data.eq(Cat((self.limit - 1)[:LIMIT_BITS], self.limit != 0)),
        ]

        # The count is written a cycle later; so the next event, if it is of the same vector, has it
        # from here, and the one after it from the RAM's bypass.
        count = Signal(LIMIT_BITS, reset_less=True)
        counting = Signal()
        counting_vector = Signal.like(vector)
        repeats = Signal(reset_less=True)
        before = Signal(LIMIT_BITS)
        counted = Signal(LIMIT_BITS + 1)
        m.d.sync += [
            repeats.eq(arrives & (arriving == vector)),
            counting.eq(arrives),
            counting_vector.eq(arriving),
        ]
        m.d.comb += [
            before.eq(Mux(repeats, count, counts.read_data)),
            counted.eq(before + 1),
            self.arrival.valid.eq(arrives),
            self.arrival.vector.eq(arriving),
            self.arrival.bit.eq(arriving_bit),
            self.arrival.first.eq(has_limit & (limit == 0)),
            self.arrival.again.eq(has_limit & (before >= limit)),
            counts.write_lanes.eq(counting),
            counts.write_address.eq(counting_vector),
            counts.write_data.eq(count),
        ]
        with m.If(~self.was_pending):
            m.d.sync += count.eq(1)
        with m.Elif(~counted[LIMIT_BITS]):
            m.d.sync += count.eq(counted)
        with m.Else():
            m.d.sync += count.eq(-1)
        return m
