"""Fields of a payload that was read as an integer, by the layout that the hardware uses."""

from types import SimpleNamespace
from typing import Any

from amaranth.lib import data

__all__ = ["FieldReader", "pack_fields"]


class FieldReader:
    """Take values of ``layout`` apart; structures inside are namespaces inside."""

    def __init__(self, layout: data.Layout):
        self._fields: list[tuple[str, int, int, FieldReader | None]] = [
            (
                str(name),
                field.offset,
                (1 << field.width) - 1,
                FieldReader(field.shape) if isinstance(field.shape, data.StructLayout) else None,
            )
            for name, field in layout
        ]

    def read(self, value: int) -> Any:
        """Fields of ``value``."""
        return SimpleNamespace(
            **{
                name: inner.read(value >> offset & mask) if inner else value >> offset & mask
                for name, offset, mask, inner in self._fields
            }
        )


def pack_fields(layout: data.Layout, **values: int) -> int:
    """Value of ``layout``; fields that are not named are 0."""
    return sum((int(value) << layout[name].offset) for name, value in values.items())
