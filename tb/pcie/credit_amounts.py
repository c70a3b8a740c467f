"""Credits of the three classes as six numbers, in the order of ``tx_infinite``."""

__all__ = ["KINDS", "pack", "unpack"]

KINDS = ("headers", "data")


def pack(layout, values: list[int]) -> int:
    """Bits of six amounts."""
    pairs = [dict(zip(KINDS, values[2 * n : 2 * n + 2], strict=True)) for n in range(3)]
    return layout.const(pairs).as_bits()


def unpack(layout, bits: int) -> list[int]:
    """Six amounts out of their bits."""
    view = layout.from_bits(bits)
    return [view[n][kind] for n in range(3) for kind in KINDS]
