"""Wire formats as tables: what a header is, and how hardware reads and writes one."""

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data

__all__ = ["Header", "HeaderField", "Length"]


@dataclass(frozen=True)
class HeaderField:
    """One field of a header.

    Parameters
    ----------
    name : str
        The specification's name in snake_case.
    bits : int
        Width, 1 or more.
    clause : str
        Where the field is defined; the header's specification names the document unless the
        clause itself does.
    """

    name: str
    bits: int
    clause: str


@dataclass(frozen=True)
class Length:
    """Length of a header that states its own: ``base_bytes + unit_bytes * field``."""

    field: str
    unit_bytes: int
    base_bytes: int


@dataclass(frozen=True)
class Header:
    """A wire format: fields in wire order, the most significant bit of each first.

    In hardware a header is a vector whose byte 0, bits 7:0, is first on the wire, as in the
    data of a packet beat; :meth:`extract`, :meth:`view` and :meth:`pack` translate between such
    a vector and the fields' values. All of it is wiring, so it costs no logic.

    Parameters
    ----------
    name : str
        Key in ``HEADERS``.
    fields : tuple of HeaderField
        The part that is always there.
    specification : str
        Document, edition and section.
    length : Length, optional
        How long the header says it is; None where it is always as long as its fields.

    Raises
    ------
    ValueError
        If the fields do not fill whole bytes, share a name or have no width, or if ``length``
        names no field.
    """

    name: str
    fields: tuple[HeaderField, ...]
    specification: str
    length: Length | None = None

    def __post_init__(self):
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"fields of {self.name} must have different names, not {names!r}")
        if any(field.bits < 1 for field in self.fields):
            raise ValueError(f"fields of {self.name} must have 1 bit or more")
        if self.bits % 8 or not self.bits:
            raise ValueError(f"fields of {self.name} must fill whole bytes, not {self.bits} bits")
        if self.length is not None and self.length.field not in names:
            raise ValueError(f"length of {self.name} must name a field, not {self.length.field!r}")

    @property
    def bits(self) -> int:
        """Width of all fields together."""
        return sum(field.bits for field in self.fields)

    @property
    def bytes(self) -> int:
        """Bytes that the fields take on the wire."""
        return self.bits // 8

    def __getitem__(self, name: str) -> HeaderField:
        """Field of that name; KeyError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.name} has no field {name!r}")

    def offset(self, name: str) -> int:
        """Bits on the wire before the field."""
        before = 0
        for field in self.fields:
            if field.name == name:
                return before
            before += field.bits
        raise KeyError(f"{self.name} has no field {name!r}")

    def layout(self) -> data.StructLayout:
        """Layout of the field values; its bits, read as one big-endian number, are the header."""
        return data.StructLayout({field.name: field.bits for field in reversed(self.fields)})

    def extract(self, value: ValueLike, name: str) -> Value:
        """Value of one field of the header that begins at bit 0 of ``value``."""
        value = self._checked(value)
        start = self.offset(name)
        stop = start + self[name].bits
        pieces = []
        for byte in reversed(range(start // 8, (stop + 7) // 8)):
            # Wire bit n of a byte, counted from the first, is bit 7 - n of the vector's byte.
            first, end = max(start, 8 * byte), min(stop, 8 * byte + 8)
            pieces.append(value[16 * byte + 8 - end : 16 * byte + 8 - first])
        return Cat(*pieces)

    def view(self, value: ValueLike) -> data.View:
        """Fields of the header that begins at bit 0 of ``value``, for reading."""
        return data.View(self.layout(), _reverse_bytes(self._checked(value)[: self.bits]))

    def pack(self, fields: Mapping[str, ValueLike] | data.View) -> Value:
        """Header, byte 0 in the low bits, with these values; a field that is left out is 0.

        Raises
        ------
        KeyError
            If a key is no field of this header.
        ValueError
            If a view has another layout.
        """
        if isinstance(fields, data.View):
            if fields.shape() != self.layout():
                raise ValueError(f"view to pack as {self.name} has layout {fields.shape()!r}")
            return _reverse_bytes(Value.cast(fields))
        for name in fields:
            self[name]
        parts = []
        for field in reversed(self.fields):
            given = Value.cast(fields.get(field.name, 0))
            parts.append(Cat(given, Const(0, field.bits))[: field.bits])
        return _reverse_bytes(Cat(*parts))

    def _checked(self, value: ValueLike) -> Value:
        value = Value.cast(value)
        if len(value) < self.bits:
            raise ValueError(
                f"{self.name} has {self.bits} bits, more than the {len(value)} of the value"
            )
        return value


def _reverse_bytes(value: Value) -> Value:
    return Cat(*(value[start : start + 8] for start in reversed(range(0, len(value), 8))))
