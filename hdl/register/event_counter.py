"""Wide event counter that closes timing."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["EventCounter"]


class EventCounter(wiring.Component):
    """Count up to ``increment_max`` events per cycle in ``bits`` bits.

    The addition is cut into ``stage_count`` parts, each a cycle after the one below it; the
    lower parts wait for the upper, so that ``value`` is a total that was true at one moment.

    Latency is ``stage_count`` cycles from ``increment`` to ``value``. Throughput is one
    increment per cycle.

    Specification: ``value`` is the sum of all increments since reset up to ``stage_count``
    cycles ago, modulo ``2**bits`` or, where ``saturates``, at most ``2**bits - 1``.

    Parameters
    ----------
    bits : int
        Width of the counter, a multiple of ``stage_count``.
    stage_count : int
        Parts of the addition, 1 or more.
    increment_max : int
        Most events in one cycle; fits the lowest part.
    saturates : bool
        Whether the counter stays at its largest value.

    Members
    -------
    increment : In(range(increment_max + 1))
        Events of this cycle. More than ``increment_max``, where the shape allows it, is counted
        as well.
    value : Out(bits)
        Total, registered.

    Raises
    ------
    ValueError
        If ``bits`` is not a positive multiple of ``stage_count``, or if ``increment_max`` is 0
        or does not fit the lowest part.
    """

    increment: Signal
    value: Signal

    def __init__(self, *, bits: int, stage_count: int, increment_max: int, saturates: bool):
        if stage_count < 1:
            raise ValueError(f"stage_count must be 1 or more, not {stage_count!r}")
        if bits < 1 or bits % stage_count:
            raise ValueError(f"bits must be a multiple of {stage_count} stages, not {bits!r}")
        if not 1 <= increment_max < 1 << (bits // stage_count):
            raise ValueError(
                f"increment_max must be 1 to {(1 << (bits // stage_count)) - 1}, "
                f"what the lowest stage holds, not {increment_max!r}"
            )
        self.bits = bits
        self.stage_count = stage_count
        self.increment_max = increment_max
        self.saturates = saturates
        super().__init__({"increment": In(range(increment_max + 1)), "value": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        part_bits = self.bits // self.stage_count

        overflow = Signal()
        full = Signal()
        if self.saturates:
            m.d.sync += full.eq(full | overflow)

        addend = self.increment
        outputs = []
        for stage in range(self.stage_count):
            part = Signal(part_bits, name=f"part_{stage}")
            total = Signal(part_bits + 1, name=f"total_{stage}")
            m.d.comb += total.eq(part + addend)
            m.d.sync += part.eq(total)
            if stage == self.stage_count - 1:
                m.d.comb += overflow.eq(total[-1])
                if self.saturates:
                    with m.If(full | overflow):
                        m.d.sync += part.eq(~0)
            else:
                carry = Signal(name=f"carry_{stage}")
                m.d.sync += carry.eq(total[-1])
                addend = carry
            aligned = part
            for wait in range(self.stage_count - 1 - stage):
                waiting = Signal(part_bits, name=f"part_{stage}_{wait}")
                m.d.sync += waiting.eq(aligned)
                aligned = waiting
                if self.saturates and wait == self.stage_count - 2 - stage:
                    with m.If(full | overflow):
                        m.d.sync += waiting.eq(~0)
            outputs.append(aligned)
        m.d.comb += self.value.eq(Cat(*outputs))

        return m
