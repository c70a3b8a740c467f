"""The rules of streams as formal properties."""

from amaranth import *
from amaranth.hdl import Assert, Assume
from amaranth.lib import stream

__all__ = ["assert_stream", "assume_stream", "is_well_formed"]


def _past(m: Module, name: str, port: stream.Interface) -> tuple[Value, Value]:
    """Whether ``port`` was refused in the last cycle, and the payload offered then."""
    refused = Signal(name=f"{name}_refused")
    offered = Signal(Shape.cast(port.p.shape()), name=f"{name}_offered")
    m.d.sync += [refused.eq(port.valid & ~port.ready), offered.eq(Value.cast(port.payload))]
    return refused, offered


def _kept(port: stream.Interface, refused: Value, offered: Value) -> Value:
    """Whether what was refused is offered again, unchanged."""
    return ~refused | (port.valid & (Value.cast(port.payload) == offered))


def assume_stream(m: Module, name: str, port: stream.Interface) -> None:
    """Assume that the source of ``port`` keeps what was refused."""
    refused, offered = _past(m, name, port)
    with m.If(~ResetSignal()):
        m.d.comb += Assume(_kept(port, refused, offered), f"{name} changed a refused offer")


def assert_stream(m: Module, name: str, port: stream.Interface) -> None:
    """Assert that ``port`` keeps what was refused."""
    refused, offered = _past(m, name, port)
    with m.If(~ResetSignal()):
        m.d.comb += Assert(_kept(port, refused, offered), f"{name} changed a refused offer")


def is_well_formed(port: stream.Interface) -> Value:
    """Whether the beat offered is as packets want it: full, or last and filled from byte 0."""
    keep = Value.cast(port.p.keep)
    contiguous = keep[0] & ~(keep & (keep + 1)).any()
    return ~port.valid | keep.all() | (port.p.last & contiguous)
