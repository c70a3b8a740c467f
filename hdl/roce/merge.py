"""Several streams into one."""

from typing import Any

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Merge"]


class Merge(wiring.Component):
    """Take a payload from one of ``input_count`` streams, each in its turn.

    The one after that which was served last comes first, so a payload waits for ``input_count`` - 1
    others at most.

    Latency is 1 cycle. Throughput is 1 payload per cycle.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    shape : shape-like
        Shape of a payload.
    input_count : int
        Streams, 2 or more.

    Members
    -------
    i : In(stream.Signature(shape)).array(input_count)
        ``i[n].ready`` depends combinationally on ``o.ready`` and every ``i[*].valid``.
    o : Out(stream.Signature(shape))
        Registered.

    Raises
    ------
    ValueError
        If ``input_count`` is less than 2.
    """

    i: list[stream.Interface]
    o: stream.Interface

    def __init__(self, *, shape: ShapeLike, input_count: int):
        if input_count < 2:
            raise ValueError(f"input_count must be 2 or more, not {input_count!r}")
        self.shape = shape
        self.input_count = input_count
        super().__init__(
            {
                "i": In(stream.Signature(shape)).array(input_count),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = self.input_count
        served = Signal(range(count))
        winner = Signal(range(count))
        with m.Switch(served):
            for last in range(count):
                with m.Case(last):
                    for distance in reversed(range(1, count + 1)):
                        number = (last + distance) % count
                        with m.If(self.i[number].valid):
                            m.d.comb += winner.eq(number)
        payload: Any = Signal(self.shape, reset_less=True)
        m.d.comb += self.o.payload.eq(payload)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += self.o.valid.eq(0)
            with m.Switch(winner):
                for number, port in enumerate(self.i):
                    with m.Case(number):
                        m.d.comb += port.ready.eq(1)
                        with m.If(port.valid):
                            m.d.sync += [
                                self.o.valid.eq(1),
                                payload.eq(port.payload),
                                served.eq(number),
                            ]
        return m
