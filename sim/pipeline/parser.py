"""Golden model of hdl.pipeline.Parser."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .graph import Graph
from .icrc import icrc_good

__all__ = ["DEPTH_BYTES", "Parsed", "ParserModel"]

#: Headers end within so many bytes, or the packet is too deep.
DEPTH_BYTES = 256


@dataclass(frozen=True)
class Parsed:
    """What the parser says of a packet.

    Parameters
    ----------
    headers : tuple of (str, int)
        State and offset of each header whose fixed part is in the packet.
    error : str or None
        ``truncated`` (the packet ends within a header), ``bad_header`` (a header contradicts
        itself), ``too_deep`` (a header ends beyond ``DEPTH_BYTES``), ``too_many_headers``.
    header_bytes : int
        Where the payload begins; meaningful without error.
    windows : dict
        For each slot whose header begins in the packet, that many bytes from there on; zero where
        the packet has ended.
    icrc_good : bool or None
        Verdict on the invariant CRC, None where no BTH is in the packet.
    """

    headers: tuple[tuple[str, int], ...]
    error: str | None
    header_bytes: int
    windows: dict[str, bytes] = field(default_factory=dict)
    icrc_good: bool | None = None


class ParserModel:
    """Parse packets one after the other, by the definition.

    Parameters
    ----------
    graph : Graph
        States to go through.
    header_count : int
        Headers that a packet may have.
    slots : mapping of str to int
        Bytes of each window.
    """

    def __init__(self, graph: Graph, *, header_count: int, slots: Mapping[str, int]):
        self.graph = graph
        self.header_count = header_count
        self.slots = dict(slots)

    def parse(self, packet: bytes) -> Parsed:
        """Headers, windows and verdict of ``packet``, which has no FCS."""
        headers: list[tuple[str, int]] = []
        windows: dict[str, bytes] = {}
        places: dict[str, int] = {}
        error = None
        offset = 0
        name: str | None = self.graph.start
        while name is not None and error is None:
            if len(headers) == self.header_count:
                error = "too_many_headers"
                break
            state = self.graph.states[name]
            if offset < len(packet):
                if state.slot in self.slots and state.slot not in windows:
                    size = self.slots[state.slot]
                    windows[state.slot] = packet[offset : offset + size].ljust(size, b"\0")
                if state.role is not None:
                    places[state.role] = offset
            if len(packet) < offset + state.fixed_bytes:
                error = "truncated"
                break
            fields = state.fields(packet[offset:])
            headers.append((name, offset))
            offset += state.length(fields)
            if state.malformed(fields):
                error = "bad_header"
            elif offset > DEPTH_BYTES:
                error = "too_deep"
            name = state.following(fields)
        if error is None and offset > len(packet):
            error = "truncated"
        return Parsed(tuple(headers), error, offset, windows, icrc_good(packet, places))
