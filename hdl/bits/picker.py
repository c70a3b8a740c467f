"""Pickers: of many requests, grant one."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PriorityPicker", "RoundRobinPicker", "select_one_hot"]


def _any_below(m: Module, name: str, requests: Value) -> Value:
    """For each bit of ``requests``, whether a lower one is set.

    A parallel prefix: each level looks twice as far, so n bits take log2(n) levels of OR.
    """
    width = len(requests)
    below = Signal(width, name=f"{name}_below_1")
    m.d.comb += below.eq(requests << 1)
    distance = 1
    while distance < width - 1:
        distance *= 2
        further = Signal(width, name=f"{name}_below_{distance}")
        m.d.comb += further.eq(below | (below << (distance // 2)))
        below = further
    return below


def _index_of(grant: Value, request_count: int) -> Value:
    """Encode one-hot ``grant`` as a number; 0 if no bit is set."""
    return Cat(
        Cat(grant[n] for n in range(request_count) if n >> bit & 1).any()
        for bit in range((request_count - 1).bit_length())
    )


def select_one_hot(grant: Value, values: Sequence[Value]) -> Value:
    """Of ``values``, the one whose bit in ``grant`` is set; 0 if none is.

    A balanced tree of ORs over gated values: no decoder in front, log2(n) levels deep.
    """
    level = [
        Value.cast(value) & bit.replicate(len(Value.cast(value)))
        for bit, value in zip(grant, values, strict=True)
    ]
    while len(level) > 1:
        pairs = [a | b for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(level) & ~1 :]
    return level[0]


class PriorityPicker(wiring.Component):
    """Grant the request with the lowest index.

    Combinational: latency is 0 cycles, the depth grows with the logarithm of
    ``request_count``. A request may be passed over for ever.

    Specification: this docstring.

    Parameters
    ----------
    request_count : int
        Number of requests, 2 or more.

    Members
    -------
    requests : In(request_count)
        Bit n set: n wants the grant.
    grant : Out(request_count)
        One-hot, combinational: the lowest bit of ``requests``; 0 when there is none.
    index : Out(range(request_count))
        Number of the bit in ``grant``; 0 when there is none. Combinational.
    granted : Out(1)
        There is a request, hence a grant. Combinational.

    Raises
    ------
    ValueError
        If ``request_count`` is less than 2.
    """

    requests: Signal
    grant: Signal
    index: Signal
    granted: Signal

    def __init__(self, *, request_count: int):
        if request_count < 2:
            raise ValueError(f"request_count must be 2 or more, not {request_count!r}")
        self.request_count = request_count
        super().__init__(
            {
                "requests": In(request_count),
                "grant": Out(request_count),
                "index": Out(range(request_count)),
                "granted": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.grant.eq(self.requests & ~_any_below(m, "requests", self.requests)),
            self.index.eq(_index_of(self.grant, self.request_count)),
            self.granted.eq(self.requests.any()),
        ]
        return m


class RoundRobinPicker(wiring.Component):
    """Grant requests in turn: first who comes after the request granted last.

    Turn goes from low index to high and around; after reset it is with index 0. A request
    that is held up is passed over by at most ``request_count - 1`` grants taken by others.
    The turn moves only when a grant is taken, so an untaken grant can still change when
    other requests come.

    Latency is 0 cycles from requests to grant, the depth grows with the logarithm of
    ``request_count``. Throughput is a grant per cycle.

    Specification: this docstring.

    Parameters
    ----------
    request_count : int
        Number of requests, 2 or more.

    Members
    -------
    requests : In(request_count)
        Bit n set: n wants the grant.
    take : In(1)
        The grant, if there is one, is used in this cycle: the turn moves on behind it.
    grant : Out(request_count)
        One-hot; 0 when there is no request. Combinational from ``requests``.
    index : Out(range(request_count))
        Number of the bit in ``grant``; 0 when there is none. Combinational from ``requests``.
    granted : Out(1)
        There is a request, hence a grant. Combinational from ``requests``.

    Attributes
    ----------
    following : Signal
        State: bit n set if n comes after the request granted last, without wrapping around.

    Raises
    ------
    ValueError
        If ``request_count`` is less than 2.
    """

    requests: Signal
    take: Signal
    grant: Signal
    index: Signal
    granted: Signal

    def __init__(self, *, request_count: int):
        if request_count < 2:
            raise ValueError(f"request_count must be 2 or more, not {request_count!r}")
        self.request_count = request_count
        super().__init__(
            {
                "requests": In(request_count),
                "take": In(1),
                "grant": Out(request_count),
                "index": Out(range(request_count)),
                "granted": Out(1),
            }
        )
        self.following = Signal(request_count)

    def elaborate(self, platform):
        m = Module()

        # Both answers at once: without wrapping around, which counts if it finds any, and from 0.
        straight = Signal(self.request_count)
        m.d.comb += straight.eq(self.requests & self.following)
        below_straight = _any_below(m, "straight", straight)
        below_all = _any_below(m, "requests", self.requests)
        wraps = Signal()
        m.d.comb += [
            wraps.eq(~straight.any()),
            self.grant.eq(Mux(wraps, self.requests & ~below_all, straight & ~below_straight)),
            self.index.eq(_index_of(self.grant, self.request_count)),
            self.granted.eq(self.requests.any()),
        ]

        # What has a request below it comes after the lowest request, which is the one granted.
        with m.If(self.take & self.granted):
            m.d.sync += self.following.eq(Mux(wraps, below_all, below_straight))

        return m
