"""Results as packets of bytes."""

from sim.stream import Packet

__all__ = ["report"]


def report(value: int, width: int) -> Packet:
    """Packet that carries the ``width`` bits of ``value``."""
    return Packet(value.to_bytes(-(-width // 8), "little"))
