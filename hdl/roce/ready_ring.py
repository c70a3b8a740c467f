"""Who has something to do, in the order in which it came up."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam

__all__ = ["ReadyRing"]


class ReadyRing(wiring.Component):
    """Queue of those who wait for their turn, each of whom is in it once at most.

    So ``members`` rows suffice and there is no ``ready`` for what goes in. Who puts in keeps a bit
    for each member. What is on the output while anything is in the memory is not: all but one of
    the members at most are in the memory, so its two addresses are equal only if it is empty.

    Latency is 1 cycle through an empty ring. Throughput is 1 member per cycle in, and 1 every 2
    cycles out.

    Specification: this docstring.

    Parameters
    ----------
    shape : ShapeLike
        Shape of a member.
    members : int
        Members that there are: a power of two, 2 or more.

    Members
    -------
    push : In(1)
        Whether ``pushed`` is put in.
    pushed : In(shape)
        A member that is not in the ring, or leaves it in this cycle.
    o : Out(stream.Signature(shape))
        Member whose turn it is, registered.

    Raises
    ------
    ValueError
        If ``members`` is no power of two, or less than 2.
    """

    push: Signal
    pushed: Signal
    o: stream.Interface

    def __init__(self, *, shape: ShapeLike, members: int):
        if members < 2 or members & (members - 1):
            raise ValueError(f"members must be a power of two, 2 or more, not {members!r}")
        self.shape = shape
        self.members = members
        super().__init__(
            {"push": In(1), "pushed": In(shape), "o": Out(stream.Signature(shape))},
        )
        # State; the proof looks at it.
        self.write_address = Signal(range(members))
        self.read_address = Signal(range(members))
        self.fetched = Signal()

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = SimpleDualPortRam(
            shape=unsigned(Shape.cast(self.shape).width),
            depth=self.members,
            lane_count=1,
            latency=1,
            bypass=False,
        )

        empty = Signal()
        passes = Signal()  # the memory by
        writes = Signal()
        reads = Signal()
        m.d.comb += [
            empty.eq(self.write_address == self.read_address),
            passes.eq(empty & ~self.fetched & ~self.o.valid),
            writes.eq(self.push & ~passes),
            reads.eq(~empty & ~self.fetched & (~self.o.valid | self.o.ready)),
            memory.write_lanes.eq(writes),
            memory.write_address.eq(self.write_address),
            memory.write_data.eq(Value.cast(self.pushed)),
            memory.read_en.eq(reads),
            memory.read_address.eq(self.read_address),
        ]
        m.d.sync += [
            self.write_address.eq(self.write_address + writes),
            self.read_address.eq(self.read_address + reads),
            self.fetched.eq(reads),
        ]

        turn = Signal(Shape.cast(self.shape).width, reset_less=True)
        m.d.comb += Value.cast(self.o.payload).eq(turn)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.fetched):
            m.d.sync += [self.o.valid.eq(1), turn.eq(memory.read_data)]
        with m.Elif(passes):
            m.d.sync += [self.o.valid.eq(self.push), turn.eq(Value.cast(self.pushed))]
        return m
