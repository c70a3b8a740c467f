"""Allocator of indices."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .ram import SimpleDualPortRam

__all__ = ["FreeList"]


class FreeList(wiring.Component):
    """Hand out the indices 0 to ``count - 1``, each to one holder at a time.

    After reset every index is free. They are handed out in ascending order once, from a counter,
    so nothing has to be written first; then in the order in which they were freed, from a RAM.

    Freeing an index that nobody holds is a mistake of the user. With ``checked`` it is ignored
    and reported, at the price of ``count`` flip-flops; otherwise the list is corrupt from then
    on, until a reset: it may hand an index out twice, but never stops taking and giving.

    Latency from ``freed`` to the same index on ``allocated`` is 4 cycles when nothing else
    is free. Throughput is 1 index allocated and 1 freed per cycle.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    count : int
        Number of indices, 2 or more.
    checked : bool
        Whether to ignore and report what is freed without being held.

    Members
    -------
    allocated : Out(stream.Signature(range(count)))
        An index that is free; registered. Its taker holds it from the transfer on and may free it
        in the same cycle.
    freed : In(stream.Signature(range(count)))
        An index whose holder gives it up. ``ready`` is always 1.
    free_count : Out(range(count + 1))
        Indices that nobody holds, registered; it follows a transfer of ``allocated`` by 1 cycle,
        one of ``freed`` by 2.
    double_free : Out(1)
        Pulse, 2 cycles after the transfer of an index that nobody holds. Constant 0 unless
        ``checked``.

    Raises
    ------
    ValueError
        If ``count`` is less than 2.
    """

    allocated: stream.Interface
    freed: stream.Interface
    free_count: Signal
    double_free: Signal

    def __init__(self, *, count: int, checked: bool):
        if count < 2:
            raise ValueError(f"count must be 2 or more, not {count!r}")
        self.count = count
        self.checked = checked
        super().__init__(
            {
                "allocated": Out(stream.Signature(range(count))),
                "freed": In(stream.Signature(range(count))),
                "free_count": Out(range(count + 1)),
                "double_free": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # What is freed waits a cycle, in which it is looked up among the indices held.
        giving = Signal()
        given = Signal(range(self.count), reset_less=True)
        m.d.comb += self.freed.ready.eq(1)
        m.d.sync += [giving.eq(self.freed.valid), given.eq(self.freed.payload)]
        taken = Signal()
        m.d.comb += taken.eq(self.allocated.valid & self.allocated.ready)
        accepted = Signal()
        if self.checked:
            held = Signal(self.count)
            is_held = Signal()
            m.d.comb += [is_held.eq((held >> given)[0]), accepted.eq(giving & is_held)]
            m.d.sync += self.double_free.eq(giving & ~is_held)
            for index in range(self.count):
                with m.If(taken & (self.allocated.payload == index)):
                    m.d.sync += held[index].eq(1)
                with m.Elif(giving & (given == index)):
                    m.d.sync += held[index].eq(0)
        else:
            m.d.comb += accepted.eq(giving)
        free_count = Signal(range(self.count + 1), init=self.count)
        m.d.sync += free_count.eq(free_count - taken + accepted)
        m.d.comb += self.free_count.eq(free_count)

        # A queue that never overflows, since it has a row for every index.
        m.submodules.queue = queue = SimpleDualPortRam(
            shape=range(self.count), depth=self.count, lane_count=1, latency=1, bypass=False
        )
        waiting = Signal(range(self.count + 1))
        reads = Signal()
        m.d.comb += [
            queue.write_lanes.eq(accepted),
            queue.write_data.eq(given),
            queue.read_en.eq(reads),
        ]
        m.d.sync += waiting.eq(waiting + accepted - reads)
        for moves, address in ((accepted, queue.write_address), (reads, queue.read_address)):
            pointer = Signal(range(self.count), name=f"{address.name}_pointer")
            m.d.comb += address.eq(pointer)
            with m.If(moves):
                m.d.sync += pointer.eq(Mux(pointer == self.count - 1, 0, pointer + 1))

        # The RAM's own register is the queue's second last place, `allocated` its last.
        fetched = Signal()
        advances = Signal()
        fresh = Signal(range(self.count + 1))
        has_fresh = Signal()
        following = Signal(range(self.count), reset_less=True)
        m.d.comb += [
            has_fresh.eq(fresh != self.count),
            advances.eq(~self.allocated.valid | self.allocated.ready),
            reads.eq((waiting != 0) & (~fetched | (advances & ~has_fresh))),
            self.allocated.payload.eq(following),
        ]
        with m.If(advances):
            m.d.sync += [
                self.allocated.valid.eq(has_fresh | fetched),
                following.eq(Mux(has_fresh, fresh, queue.read_data)),
            ]
            with m.If(has_fresh):
                m.d.sync += fresh.eq(fresh + 1)
            with m.Else():
                m.d.sync += fetched.eq(0)
        with m.If(reads):
            m.d.sync += fetched.eq(1)
        return m
