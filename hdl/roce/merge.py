"""Several streams into one."""

from typing import Any

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker
from ..bits.picker import select_one_hot

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
        m.submodules.picker = picker = RoundRobinPicker(request_count=self.input_count)
        payload: Any = Signal(self.shape, reset_less=True)
        m.d.comb += [
            picker.requests.eq(Cat(port.valid for port in self.i)),
            picker.take.eq(self.o.ready | ~self.o.valid),
            Cat(port.ready for port in self.i).eq(
                picker.grant & picker.take.replicate(self.input_count)
            ),
            self.o.payload.eq(payload),
        ]
        with m.If(picker.take):
            m.d.sync += [
                self.o.valid.eq(picker.granted),
                Value.cast(payload).eq(
                    select_one_hot(picker.grant, [port.payload for port in self.i])
                ),
            ]
        return m
