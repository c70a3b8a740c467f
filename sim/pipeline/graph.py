"""Parse graphs as the model reads them."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from sim.headers import decode, header_bytes

__all__ = ["Graph", "State"]

# Headers that state their own length: field, bytes a unit, bytes beside.
_LENGTHS = {
    "ipv4": ("ihl", 4, 0),
    "tcp": ("data_offset", 4, 0),
    "ipv6_hop_by_hop": ("hdr_ext_len", 8, 8),
    "ipv6_destination_options": ("hdr_ext_len", 8, 8),
    "ipv6_routing": ("hdr_ext_len", 8, 8),
    "ipv6_authentication": ("payload_len", 4, 8),
    "geneve": ("opt_len", 4, 8),
}


@dataclass(frozen=True)
class State:
    """One state of a graph; see hdl/pipeline/graphs/default.toml for what each part means."""

    name: str
    header: str
    key: tuple[str, ...] = ()
    rows: dict[tuple[int, ...], str] = field(default_factory=dict)
    default: str | None = None
    check: tuple[str, int] | None = None
    words: tuple[str, ...] = ()
    slot: str | None = None
    role: str | None = None

    @property
    def fixed_bytes(self) -> int:
        """Bytes that the header has at least; with them its state is decided."""
        return header_bytes(self.header)

    def length(self, fields: dict[str, int]) -> int:
        """Bytes of the header with these fields."""
        if self.words:
            return self.fixed_bytes + 4 * sum(fields[flag] for flag in self.words)
        if self.header in _LENGTHS:
            name, unit, base = _LENGTHS[self.header]
            return base + unit * fields[name]
        return self.fixed_bytes

    def malformed(self, fields: dict[str, int]) -> bool:
        """Whether the header contradicts itself."""
        wrong = self.check is not None and fields[self.check[0]] != self.check[1]
        return wrong or self.length(fields) < self.fixed_bytes

    def following(self, fields: dict[str, int]) -> str | None:
        """Name of the next state; None where the payload begins."""
        return self.rows.get(tuple(fields[name] for name in self.key), self.default)

    def fields(self, data: bytes) -> dict[str, int]:
        """Fields of the header that ``data`` begins with."""
        return decode(self.header, data)


@dataclass(frozen=True)
class Graph:
    """A parse graph: its states by name, and the one to begin with."""

    start: str
    states: dict[str, State]

    @classmethod
    def load(cls, path: Path) -> "Graph":
        """Graph that the TOML file ``path`` describes."""
        text = tomllib.loads(path.read_text())
        states = {}
        for name, entry in text["state"].items():
            check = entry.get("check")
            states[name] = State(
                name=name,
                header=entry.get("header", name),
                key=tuple(entry.get("key", ())),
                rows={tuple(row[:-1]): row[-1] for row in entry.get("next", ())},
                default=entry.get("default"),
                check=(check["field"], check["value"]) if check else None,
                words=tuple(entry.get("words", ())),
                slot=entry.get("slot"),
                role=entry.get("role"),
            )
        return cls(text["start"], states)
