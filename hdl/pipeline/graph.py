"""Parse graphs: what the parser's tables hold, and how a graph becomes tables."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.lib import data, enum

from hdl.headers import HEADERS, Header

__all__ = [
    "STATE_COUNT",
    "TAP_COUNT",
    "TRANSITION_COUNT",
    "GraphError",
    "GraphTables",
    "Role",
    "Scale",
    "StateEntry",
    "TransitionEntry",
    "compile_graph",
    "fold",
]

#: States of a graph; 0 is its end and has no entry, 1 is where it begins.
STATE_COUNT = 64
#: Rows of the hash table that holds what follows which key.
TRANSITION_COUNT = 256
#: Bytes of a header that a state looks at: three for the key, the last for length and check.
TAP_COUNT = 4
#: Slot number of a state that fills no window.
NO_SLOT = 7
# By how much a key's second and third byte are rotated before they are folded into an index.
_ROTATIONS = ((0, 0), (1, 3), (3, 6), (5, 2))


class GraphError(ValueError):
    """A graph that cannot become tables; the message names the state and the rule."""


class Scale(enum.Enum, shape=2):
    """What a header's length is made of the masked last tap."""

    TIMES_4 = 0
    TIMES_8 = 1
    HIGH_NIBBLE_TIMES_4 = 2
    FLAGS_TIMES_4 = 3


class Role(enum.Enum, shape=3):
    """What a header is to the ICRC check."""

    NONE = 0
    IPV4 = 1
    IPV6 = 2
    UDP = 3
    BTH = 4


class StateEntry(data.StructLayout):
    """Row of the state table: how to read one header.

    Fields
    ------
    taps : array of {offset: 5 bits, mask: 8 bits}
        Bytes to look at, counted from the header's start; each below ``minimum``.
    minimum : 6 bits
        Bytes that decide the state; a header that says it is shorter is malformed.
    add, scale : 6 bits, Scale
        Length in bytes: ``add`` and the scaled last tap, masked.
    check_mask, check_value : 8 bits
        What the last tap must be under its own mask.
    default : 6 bits
        State where no transition matches.
    hash_select, displacement : 2 and 8 bits
        Where this state's transitions lie; see :func:`fold`.
    slot : 3 bits
        Window that is filled from the header's start, 7 for none.
    role : Role
        Meaning to the ICRC check.
    """

    def __init__(self):
        tap = data.StructLayout({"offset": 5, "mask": 8})
        super().__init__(
            {
                "taps": data.ArrayLayout(tap, TAP_COUNT),
                "minimum": 6,
                "add": 6,
                "scale": Scale,
                "check_mask": 8,
                "check_value": 8,
                "default": 6,
                "hash_select": 2,
                "displacement": 8,
                "slot": 3,
                "role": Role,
            }
        )


class TransitionEntry(data.StructLayout):
    """Row of the transition table: in ``state``, ``key`` (masked, first tap low) leads to ``next``.

    A row of state 0 is free.
    """

    def __init__(self):
        super().__init__({"state": 6, "key": 8 * (TAP_COUNT - 1), "next": 6})


def fold(key: bytes, select: int) -> int:
    """Row of a key before its state's displacement is XORed to it.

    A linear fold, so that hardware spends one XOR; the compiler then finds for each state the
    rotations (``select``) and the displacement that make all rows of the graph differ, which is
    a perfect hash by displacement (Tarjan and Yao, "Storing a sparse table", CACM 22(11), 1979).
    """
    row = key[0]
    for byte, rotation in zip(key[1:], _ROTATIONS[select], strict=True):
        row ^= (byte << rotation | byte >> (8 - rotation)) & 0xFF
    return row


@dataclass(frozen=True)
class GraphTables:
    """A compiled graph.

    Parameters
    ----------
    names : tuple of str
        State names by number; the first is the graph's end.
    headers : tuple of str
        Header read in each state, by number.
    slots : mapping of str to str or None
        Slot that each state names, whether or not the hardware has it.
    states, transitions : tuple of int
        Rows of the two tables, as bits of their layouts.
    """

    names: tuple[str, ...]
    headers: tuple[str, ...]
    slots: Mapping[str, str | None]
    states: tuple[int, ...]
    transitions: tuple[int, ...]


def _locate(header: Header, name: str) -> list[tuple[int, int, int]]:
    """Byte offset, mask and shift of a field, for each byte that it touches."""
    try:
        start = header.offset(name)
    except KeyError as error:
        raise GraphError(error.args[0]) from None
    stop = start + header[name].bits
    places = []
    for byte in range(start // 8, (stop + 7) // 8):
        first, end = max(start, 8 * byte), min(stop, 8 * byte + 8)
        mask = ((1 << (end - first)) - 1) << (8 * byte + 8 - end)
        places.append((byte, mask, stop - end))
    return places


class _Compiler:
    """One state's entry, step by step."""

    def __init__(self, name: str, entry: dict, numbers: dict[str, int], slots: list[str]):
        unknown = set(entry) - {
            "header", "key", "next", "default", "check", "words", "slot", "role",
        }  # fmt: skip
        if unknown:
            raise GraphError(f"state {name} has unknown parts {sorted(unknown)}")
        self.name = name
        self.entry = entry
        self.numbers = numbers
        header = entry.get("header", name)
        if header not in HEADERS:
            raise GraphError(f"state {name}: there is no header {header!r}")
        self.header = HEADERS[header]
        if self.header.bytes >= 1 << 6:
            raise GraphError(f"state {name}: header must be shorter than 64 bytes")
        self.slots = slots
        self.bytes = self._key_bytes()

    def _number(self, state: str) -> int:
        if state not in self.numbers:
            raise GraphError(f"state {self.name} leads to {state!r}, which is no state")
        return self.numbers[state]

    def _key_bytes(self) -> dict[int, int]:
        """Mask of each header byte that the key uses, by offset."""
        used: dict[int, int] = {}
        for field in self.entry.get("key", ()):
            for byte, mask, _ in _locate(self.header, field):
                used[byte] = used.get(byte, 0) | mask
        if len(used) > TAP_COUNT - 1:
            raise GraphError(f"state {self.name}: key must be within {TAP_COUNT - 1} bytes")
        if used and max(used) >= 32:
            raise GraphError(f"state {self.name}: key must be in the header's first 32 bytes")
        return dict(sorted(used.items()))

    def keys(self) -> dict[bytes, int]:
        """Next state's number for each key, its bytes as the taps give them."""
        fields = self.entry.get("key", ())
        keys = {}
        for *values, state in self.entry.get("next", ()):
            if len(values) != len(fields):
                raise GraphError(
                    f"state {self.name}: a row has {len(values)} values, not {len(fields)}"
                )
            taps = dict.fromkeys(self.bytes, 0)
            for field, value in zip(fields, values, strict=True):
                if not 0 <= value < 1 << self.header[field].bits:
                    raise GraphError(f"state {self.name}: {field} cannot be {value!r}")
                for byte, mask, shift in _locate(self.header, field):
                    low = (mask & -mask).bit_length() - 1
                    taps[byte] |= (value >> shift << low) & mask
            key = bytes(taps.values()).ljust(TAP_COUNT - 1, b"\0")
            if key in keys:
                raise GraphError(f"state {self.name}: key {values} stands there twice")
            keys[key] = self._number(state)
        return keys

    def _one_byte(self, field: str, place: int | None) -> tuple[int, int]:
        """Byte and mask of a field that must lie in one byte, that at ``place`` if given."""
        places = _locate(self.header, field)
        if len(places) > 1 or (place is not None and places[0][0] != place) or places[0][0] >= 32:
            raise GraphError(
                f"state {self.name}: length, check and words must lie in one of the first 32 bytes"
            )
        return places[0][0], places[0][1]

    def _length(self) -> tuple[int | None, int, Scale, int]:
        """Tap, mask, scale and added bytes of the header's length."""
        words = self.entry.get("words", ())
        if words:
            place, mask = None, 0
            for flag in words:
                place, bit = self._one_byte(flag, place)
                mask |= bit
            return place, mask, Scale.FLAGS_TIMES_4, self.header.bytes
        length = self.header.length
        if length is None:
            return None, 0, Scale.TIMES_4, self.header.bytes
        place, mask = self._one_byte(length.field, None)
        low = (mask & -mask).bit_length() - 1
        shift = length.unit_bytes.bit_length() - 1 - low
        scales = {2: Scale.TIMES_4, 3: Scale.TIMES_8, -2: Scale.HIGH_NIBBLE_TIMES_4}
        if length.unit_bytes != 1 << (shift + low) or shift not in scales:
            raise GraphError(f"state {self.name}: length cannot be {length}")
        return place, mask, scales[shift], length.base_bytes

    def row(self, hash_select: int, displacement: int) -> int:
        """Bits of the state's entry."""
        place, mask, scale, add = self._length()
        check_mask = check_value = 0
        if "check" in self.entry:
            check = self.entry["check"]
            place, check_mask = self._one_byte(check["field"], place)
            low = (check_mask & -check_mask).bit_length() - 1
            check_value = check["value"] << low
            if check_value & ~check_mask:
                raise GraphError(f"state {self.name}: check cannot be {check['value']!r}")
        taps = [{"offset": byte, "mask": bits} for byte, bits in self.bytes.items()]
        taps += [{"offset": 0, "mask": 0}] * (TAP_COUNT - 1 - len(taps))
        taps.append({"offset": place or 0, "mask": mask})
        slot = self.entry.get("slot")
        role = self.entry.get("role", "none").upper()
        if role not in Role.__members__:
            raise GraphError(f"state {self.name}: there is no role {role.lower()!r}")
        entry: Mapping[int | str, Any] = {
            "taps": taps,
            "minimum": self.header.bytes,
            "add": add,
            "scale": scale,
            "check_mask": check_mask,
            "check_value": check_value,
            "default": self._number(self.entry["default"]) if "default" in self.entry else 0,
            "hash_select": hash_select,
            "displacement": displacement,
            "slot": self.slots.index(slot) if slot in self.slots else NO_SLOT,
            "role": Role[role],
        }
        return StateEntry().const(entry).as_bits()


def compile_graph(path: Path, slots: list[str]) -> GraphTables:
    """Tables of the graph in the TOML file ``path``; graphs/default.toml shows the format.

    Parameters
    ----------
    path : Path
        The graph.
    slots : list of str
        Names of the hardware's windows; a state whose slot is not among them fills none.

    Raises
    ------
    GraphError
        If the graph is not well formed, has too many states or keys, or a state looks at bytes
        that the hardware cannot look at.
    """
    try:
        graph = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise GraphError(f"{path}: {error}") from None
    entries = graph.get("state", {})
    start = graph.get("start")
    if start not in entries:
        raise GraphError(f"{path}: start must be a state, not {start!r}")
    if len(entries) >= STATE_COUNT:
        raise GraphError(
            f"{path}: a graph has at most {STATE_COUNT - 1} states, not {len(entries)}"
        )
    names = ["end", start, *(name for name in entries if name != start)]
    numbers = {name: number for number, name in enumerate(names)}
    compilers = {name: _Compiler(name, entries[name], numbers, slots) for name in names[1:]}

    # The states with most keys choose their places first.
    rows: list[int | None] = [None] * TRANSITION_COUNT
    places: dict[str, tuple[int, int]] = dict.fromkeys(names[1:], (0, 0))
    for name in sorted(compilers, key=lambda name: -len(compilers[name].keys())):
        keys = compilers[name].keys()
        for select, displacement in (
            (select, displacement)
            for select in range(len(_ROTATIONS))
            for displacement in range(TRANSITION_COUNT)
        ):
            taken = {fold(key, select) ^ displacement for key in keys}
            if len(taken) == len(keys) and all(rows[row] is None for row in taken):
                break
        else:
            raise GraphError(f"{path}: state {name} finds no room for its {len(keys)} keys")
        places[name] = (select, displacement)
        for key, following in keys.items():
            entry: Mapping[int | str, Any] = {
                "state": numbers[name],
                "key": int.from_bytes(key, "little"),
                "next": following,
            }
            rows[fold(key, select) ^ displacement] = TransitionEntry().const(entry).as_bits()
    return GraphTables(
        names=tuple(names),
        headers=("", *(compilers[name].header.name for name in names[1:])),
        slots={name: entries[name].get("slot") for name in names[1:]},
        states=(0, *(compilers[name].row(*places[name]) for name in names[1:])),
        transitions=tuple(row or 0 for row in rows),
    )
