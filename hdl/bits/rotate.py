"""Logarithmic rotator of lanes, registered at as many levels as wanted."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Rotate"]

_DIRECTIONS = ("left", "right")


class Rotate(wiring.Component):
    """Rotate ``lane_count`` lanes by an amount that may differ with every transfer.

    Rotated left, lane n of the input is lane ``(n + amount) % lane_count`` of the output; rotated
    right, it is the other way round. A lane is a byte, or a byte with its keep bit, or whatever
    ``lane_bits`` bits belong together. ``tag`` travels beside the lanes, unchanged.

    There is one level of two-way multiplexers for each bit of ``amount``; the levels are shared out
    evenly between ``stages`` registers, each with a handshake of its own, so that a refused output
    does not keep the stages before it from filling up.

    Latency is ``stages`` cycles, throughput 1 transfer per cycle.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    lane_count : int
        Lanes; a power of two.
    lane_bits : int
        Bits of a lane, 1 or more.
    tag_bits : int
        Bits of the tag, 0 or more.
    stages : int
        Registers, 1 or more.
    direction : str
        ``left`` or ``right``.

    Members
    -------
    i : In(stream.Signature({data, amount, tag}))
        Lane 0 is in the low bits of ``data``; ``amount`` has log2(lane_count) bits. ``i.ready``
        depends combinationally on ``o.ready``.
    o : Out(stream.Signature({data, tag}))
        Registered.

    Raises
    ------
    ValueError
        If a parameter is not as above.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self, *, lane_count: int, lane_bits: int, tag_bits: int, stages: int, direction: str
    ):
        if lane_count < 1 or lane_count & (lane_count - 1):
            raise ValueError(f"lane_count must be a power of two, not {lane_count!r}")
        if lane_bits < 1:
            raise ValueError(f"lane_bits must be 1 or more, not {lane_bits!r}")
        if tag_bits < 0:
            raise ValueError(f"tag_bits must be 0 or more, not {tag_bits!r}")
        if stages < 1:
            raise ValueError(f"stages must be 1 or more, not {stages!r}")
        if direction not in _DIRECTIONS:
            raise ValueError(f"direction must be one of {_DIRECTIONS}, not {direction!r}")
        self.lane_count = lane_count
        self.lane_bits = lane_bits
        self.tag_bits = tag_bits
        self.stages = stages
        self.direction = direction
        self.levels = lane_count.bit_length() - 1
        lanes = {"data": lane_count * lane_bits}
        tag = {"tag": tag_bits}
        super().__init__(
            {
                "i": In(
                    stream.Signature(data.StructLayout({**lanes, "amount": self.levels, **tag}))
                ),
                "o": Out(stream.Signature(data.StructLayout({**lanes, **tag}))),
            }
        )

    def _rotated(self, lanes: Value, amount: Value, levels: range) -> Value:
        """Lanes after ``levels``, each of which rotates by a power of two or not at all."""
        for level in levels:
            distance = self.lane_bits << level
            moved = (
                lanes.rotate_left(distance)
                if self.direction == "left"
                else lanes.rotate_right(distance)
            )
            lanes = Mux(amount[level], moved, lanes)
        return lanes

    def elaborate(self, platform):
        m = Module()

        # Ready of each stage, then of the output; a stage takes when it is empty or gives.
        ready = [Signal(name=f"ready_{stage}") for stage in range(self.stages)] + [self.o.ready]
        m.d.comb += self.i.ready.eq(ready[0])

        valid, lanes, amount, tag = self.i.valid, self.i.p.data, self.i.p.amount, self.i.p.tag
        for stage in range(self.stages):
            levels = range(
                stage * self.levels // self.stages, (stage + 1) * self.levels // self.stages
            )
            next_valid = Signal(name=f"valid_{stage}")
            next_lanes = Signal(lanes.shape(), name=f"lanes_{stage}", reset_less=True)
            next_amount = Signal(amount.shape(), name=f"amount_{stage}", reset_less=True)
            next_tag = Signal(tag.shape(), name=f"tag_{stage}", reset_less=True)
            m.d.comb += ready[stage].eq(ready[stage + 1] | ~next_valid)
            with m.If(ready[stage]):
                m.d.sync += [
                    next_valid.eq(valid),
                    next_lanes.eq(self._rotated(lanes, amount, levels)),
                    next_amount.eq(amount),
                    next_tag.eq(tag),
                ]
            valid, lanes, amount, tag = next_valid, next_lanes, next_amount, next_tag

        m.d.comb += [
            self.o.valid.eq(valid),
            self.o.p.data.eq(lanes),
            self.o.p.tag.eq(tag),
        ]
        return m
