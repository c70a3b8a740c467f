"""Beats of bytes, as the blocks that sum over packets take them, without backpressure."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

__all__ = ["BeatLayout", "StrobeInterface", "StrobeSignature"]


class BeatLayout(data.StructLayout):
    """Bytes of a packet that pass in one cycle.

    The fields are those of ``hdl.stream.PacketLayout`` without its error.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat, 1 or more.

    Fields
    ------
    data : 8 * data_bytes bits
        Bytes, byte 0 first; those that are not kept are ignored.
    keep : data_bytes bits
        Bit n set: byte n carries data. All are set but in the last beat, whose kept bytes are
        contiguous from byte 0 and at least one.
    last : 1 bit
        Final beat of the packet.

    Raises
    ------
    ValueError
        If ``data_bytes`` is less than 1.
    """

    def __init__(self, data_bytes: int):
        if data_bytes < 1:
            raise ValueError(f"data_bytes must be 1 or more, not {data_bytes!r}")
        self.data_bytes = data_bytes
        super().__init__({"data": 8 * data_bytes, "keep": data_bytes, "last": 1})


class StrobeSignature(wiring.Signature):
    """Signature of values that nobody can refuse.

    It is a stream that is always ready, without the constant that such a stream of
    ``amaranth.lib.stream`` has as a member and that cannot be a port.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.

    Members
    -------
    payload : Out(shape)
        Value; meaningful while ``valid``.
    valid : Out(1)
        Whether there is a value in this cycle.
    """

    def __init__(self, shape):
        super().__init__({"payload": Out(shape), "valid": Out(1)})

    def create(self, *, path=None, src_loc_at=0):
        """Make an interface of this signature."""
        return StrobeInterface(self, path=path, src_loc_at=1 + src_loc_at)


class StrobeInterface(wiring.PureInterface):
    """Interface of a :class:`StrobeSignature`."""

    payload: Any
    valid: Signal
