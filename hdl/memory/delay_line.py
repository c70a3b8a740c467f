"""Fixed delay of a value."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["DelayLine"]

# Up to here flip-flops are no larger than a ring of RAM with its pointer.
_LONGEST_OF_FLIP_FLOPS = 3
# Up to here a ring fits two rows of 16-deep distributed RAM; a longer one is worth block RAM.
_DEEPEST_DISTRIBUTED = 32


class DelayLine(wiring.Component):
    """Delay a value by a fixed number of cycles.

    In each cycle ``o`` is what ``i`` was ``cycles`` cycles before. The line never stops, and its
    contents are not reset: ``o`` is undefined until ``cycles`` cycles after the last cycle
    of reset. What says whether the value means something travels beside the line, with a reset.

    A line of up to 3 cycles is made of flip-flops, one of up to 33 of a ring in distributed RAM
    with a register behind it, a longer one of a ring in RAM that may be block RAM, with two.

    Latency is ``cycles``. Throughput is 1 value per cycle.

    Specification: this docstring.

    Parameters
    ----------
    shape : shape-like
        Shape of the value, 1 bit or wider.
    cycles : int
        Delay, 1 or more.

    Attributes
    ----------
    storage : str
        What the line is made of: ``flip-flops``, ``distributed`` or ``block``.

    Members
    -------
    i : In(shape)
        Value, taken in every cycle.
    o : Out(shape)
        Value of ``cycles`` cycles before, registered.

    Raises
    ------
    ValueError
        If ``shape`` has no bits or ``cycles`` is less than 1.
    """

    i: Signal
    o: Signal

    def __init__(self, *, shape: ShapeLike, cycles: int):
        if Shape.cast(shape).width < 1:
            raise ValueError(f"shape must be 1 bit or wider, not {shape!r}")
        if cycles < 1:
            raise ValueError(f"cycles must be 1 or more, not {cycles!r}")
        self.shape = shape
        self.cycles = cycles
        if cycles <= _LONGEST_OF_FLIP_FLOPS:
            self.storage = "flip-flops"
        else:
            self.storage = "distributed" if cycles - 1 <= _DEEPEST_DISTRIBUTED else "block"
        super().__init__({"i": In(shape), "o": Out(shape)})

    def elaborate(self, platform):
        m = Module()

        width = Shape.cast(self.shape).width
        value = Value.cast(self.i)
        if self.storage == "flip-flops":
            for number in range(self.cycles):
                stage = Signal(width, name=f"stage_{number}", reset_less=True)
                m.d.sync += stage.eq(value)
                value = stage
            m.d.comb += Value.cast(self.o).eq(value)
            return m

        depth = self.cycles - 1
        distributed = self.storage == "distributed"
        # Said aloud, because in block RAM to read the row that is written would cost extra logic.
        attrs = {"ram_style": "distributed"} if distributed else {}
        m.submodules.ring = ring = Memory(shape=unsigned(width), depth=depth, init=[], attrs=attrs)
        write = ring.write_port()
        read = ring.read_port(domain="comb")
        oldest = Signal(range(depth))
        following = Signal.like(oldest)
        m.d.comb += following.eq(Mux(oldest == depth - 1, 0, oldest + 1))
        m.d.sync += oldest.eq(following)
        m.d.comb += [
            write.en.eq(1),
            write.addr.eq(oldest),
            write.data.eq(value),
            # A block RAM reads a cycle early; so it never reads what it writes.
            read.addr.eq(oldest if distributed else following),
        ]
        value = read.data
        for number in range(1 if distributed else 2):
            delayed = Signal(width, name=f"delayed_{number}", reset_less=True)
            m.d.sync += delayed.eq(value)
            value = delayed
        m.d.comb += Value.cast(self.o).eq(value)
        return m
