"""Register tables: what software sees of a block, as data."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

__all__ = ["Access", "Counter", "Entry", "Field", "Place", "Register", "RegisterTable", "Window"]

WORD_BYTES = 4
WORD_BITS = 8 * WORD_BYTES
COUNTER_BITS = 64


class Access(Enum):
    """What software may do to a field, and what the block has of it."""

    CONSTANT = "constant"  #: software reads ``init``; the block has no port
    RO = "read-only"  #: software reads what the block drives
    RW = "read-write"  #: software writes what the block sees
    W1C = "write 1 to clear"  #: the block's event sets a bit, a 1 that software writes clears it
    PULSE = "pulse"  #: a 1 that software writes is 1 for one cycle; reads as 0


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or name == "signature":
        raise ValueError(f"name must be snake_case and not 'signature', not {name!r}")


def _check_array(name: str, count: int, address: int | None, alignment: int) -> None:
    _check_name(name)
    if count < 1:
        raise ValueError(f"count of {name} must be 1 or more, not {count!r}")
    if address is not None and (address < 0 or address % alignment):
        raise ValueError(f"address of {name} must be a multiple of {alignment}, not {address!r}")


@dataclass(frozen=True)
class Field:
    """Bits of a register that mean one thing.

    Parameters
    ----------
    name : str
        snake_case.
    bits : int
        Width, 1 to 32.
    access : Access
        Who writes it.
    description : str
        One line of documentation.
    offset : int, optional
        Lowest bit; left out, the bit after the field before.
    init : int
        Value of a CONSTANT, of RW after reset; otherwise 0.

    Raises
    ------
    ValueError
        If the name, width or initial value is none.
    """

    name: str
    bits: int
    access: Access
    description: str
    offset: int | None = None
    init: int = 0

    def __post_init__(self):
        _check_name(self.name)
        if not 1 <= self.bits <= WORD_BITS:
            raise ValueError(f"bits of {self.name} must be 1 to {WORD_BITS}, not {self.bits!r}")
        if not 0 <= self.init < 1 << self.bits:
            raise ValueError(f"init of {self.name} must fit {self.bits} bits, not {self.init!r}")
        if self.init and self.access not in (Access.CONSTANT, Access.RW):
            raise ValueError(f"init of {self.name} must be 0, since it is {self.access.value}")

    @property
    def writable(self) -> bool:
        """Whether a write can have an effect."""
        return self.access in (Access.RW, Access.W1C, Access.PULSE)


@dataclass(frozen=True)
class Register:
    """One 32-bit word, or ``count`` of them in a row.

    Raises
    ------
    ValueError
        If fields overlap, share a name or leave the word.
    """

    name: str
    description: str
    fields: tuple[Field, ...]
    count: int = 1
    address: int | None = None

    def __post_init__(self):
        _check_array(self.name, self.count, self.address, WORD_BYTES)
        if not self.fields:
            raise ValueError(f"register {self.name} must have a field")
        names = [field.name for field in self.fields]
        names += [f"{field.name}_pending" for field in self.fields if field.access is Access.W1C]
        if len(set(names)) != len(names):
            raise ValueError(f"fields of {self.name} must have different names, not {names!r}")
        taken = 0
        for field, offset in self.placed():
            mask = ((1 << field.bits) - 1) << max(offset, 0)
            if offset < 0 or mask >> WORD_BITS or mask & taken:
                raise ValueError(f"field {self.name}.{field.name} must have bits of its own")
            taken |= mask

    def placed(self) -> list[tuple[Field, int]]:
        """Fields with their lowest bits."""
        placed, free = [], 0
        for field in self.fields:
            offset = free if field.offset is None else field.offset
            placed.append((field, offset))
            free = offset + field.bits
        return placed

    @property
    def writable(self) -> bool:
        """Whether a write can have an effect."""
        return any(field.writable for field in self.fields)

    @property
    def stride(self) -> int:
        """Bytes of one element."""
        return WORD_BYTES

    @property
    def alignment(self) -> int:
        """Bytes of which the address is a multiple."""
        return WORD_BYTES


@dataclass(frozen=True)
class Counter:
    """64-bit counter of events in two words, the low first, or ``count`` of them in a row.

    Reading the low word keeps the high word of that moment for the read that follows.

    Parameters
    ----------
    increment_max : int
        Most events in one cycle.
    saturates : bool
        Whether it stays at its largest value; otherwise it wraps to 0.

    Raises
    ------
    ValueError
        If ``increment_max`` is less than 1 or does not fit a word.
    """

    name: str
    description: str
    increment_max: int
    saturates: bool
    count: int = 1
    address: int | None = None

    def __post_init__(self):
        _check_array(self.name, self.count, self.address, self.alignment)
        if not 1 <= self.increment_max < 1 << WORD_BITS:
            raise ValueError(
                f"increment_max of {self.name} must be 1 to {(1 << WORD_BITS) - 1}, "
                f"not {self.increment_max!r}"
            )

    @property
    def stride(self) -> int:
        """Bytes of one element."""
        return COUNTER_BITS // 8

    @property
    def alignment(self) -> int:
        """Bytes of which the address is a multiple."""
        return self.stride


@dataclass(frozen=True)
class Window:
    """Region whose words the block itself keeps, such as the entries of a table.

    Parameters
    ----------
    window_bytes : int
        Size, a power of two of 8 or more; the address is a multiple of it.

    Raises
    ------
    ValueError
        If ``window_bytes`` is not such a power.
    """

    name: str
    description: str
    window_bytes: int
    address: int | None = None

    def __post_init__(self):
        if self.window_bytes < 2 * WORD_BYTES or self.window_bytes & (self.window_bytes - 1):
            raise ValueError(
                f"window_bytes of {self.name} must be a power of two of {2 * WORD_BYTES} or more, "
                f"not {self.window_bytes!r}"
            )
        _check_array(self.name, 1, self.address, self.window_bytes)

    @property
    def count(self) -> int:
        """Windows come alone."""
        return 1

    @property
    def stride(self) -> int:
        """Bytes of the window."""
        return self.window_bytes

    @property
    def alignment(self) -> int:
        """Bytes of which the address is a multiple."""
        return self.window_bytes


Entry = Register | Counter | Window


@dataclass(frozen=True)
class Place:
    """An entry of a table and the byte address of its first element."""

    entry: Entry
    address: int

    @property
    def end(self) -> int:
        """Address of the byte after the last element."""
        return self.address + self.entry.count * self.entry.stride


@dataclass(frozen=True)
class RegisterTable:
    """Registers, counters and windows of a block, in the order of their addresses.

    An entry without an address takes the next that its alignment allows; so adding an entry at
    the end moves no other.

    Parameters
    ----------
    name : str
        Of the block; prefix in C and file name of the documentation.
    description : str
        First paragraph of the documentation.
    entries : tuple of Register, Counter or Window
        At least one.

    Raises
    ------
    ValueError
        If there is no entry, or if entries overlap, are out of order or share a name.
    """

    name: str
    description: str
    entries: tuple[Entry, ...]

    def __post_init__(self):
        _check_name(self.name)
        names = [entry.name for entry in self.entries]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"entries of {self.name} must have different names, not {names!r}")
        free = 0
        for place in self.places():
            if place.address < free:
                raise ValueError(
                    f"{place.entry.name} must begin at {free:#x} or later, not {place.address:#x}"
                )
            free = place.end

    def places(self) -> Iterator[Place]:
        """Entries with their addresses."""
        free = 0
        for entry in self.entries:
            aligned = -(-free // entry.alignment) * entry.alignment
            place = Place(entry, aligned if entry.address is None else entry.address)
            yield place
            free = place.end

    def __getitem__(self, name: str) -> Place:
        """Entry of that name; KeyError if there is none."""
        for place in self.places():
            if place.entry.name == name:
                return place
        raise KeyError(f"{self.name} has no entry {name!r}")

    @property
    def address_bits(self) -> int:
        """Bits of an address that reaches every entry."""
        return max(place.end - 1 for place in self.places()).bit_length()
