"""What the proofs of Crc and InternetChecksum share: a packet source and a delay."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover

from hdl.bits import StrobeInterface

__all__ = ["assume_beats", "check_values", "delayed"]


def assume_beats(m: Module, port: Any, data_bytes: int) -> None:
    """Assume that the beats at ``port`` keep the rules of ``BeatLayout``, and no reset.

    The start is that after a reset; one in mid-packet would have to reach the references just when
    it reaches what they are compared with.
    """
    m.d.comb += Assume(~ResetSignal(), "no reset")
    full = (1 << data_bytes) - 1
    partial = [(1 << count) - 1 for count in range(1, data_bytes)]
    keep = port.payload.keep
    allowed = (keep == full) | (port.payload.last & Cat(keep == value for value in partial).any())
    with m.If(port.valid & ~ResetSignal()):
        m.d.comb += Assume(allowed, "keep is contiguous, and full but in the last beat")


def delayed(m: Module, name: str, value: Value, cycles: int) -> Value:
    """Make ``value`` of ``cycles`` cycles before."""
    for cycle in range(cycles):
        later = Signal(len(value), name=f"{name}_{cycle}", reset_less=True)
        m.d.sync += later.eq(value)
        value = later
    return value


def check_values(m: Module, port: StrobeInterface, latency: int, valid: Value, value: Value):
    """Assert that ``port`` shows ``value`` exactly ``latency`` cycles after ``valid``."""
    due = Signal(latency)
    m.d.sync += due.eq(Cat(valid, due))
    value = delayed(m, "value", value, latency)
    with m.If(~ResetSignal()):
        m.d.comb += [
            Assert(port.valid == due[-1], "a value leaves exactly when it is due"),
            Assert(~port.valid | (port.payload == value), "the value is the reference's"),
            Cover(due[-1] & ~due[0], "a value has left"),
        ]
