"""Random configurations of bridges, TLPs that fall on their boundaries, and beats of them."""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from hdl.pcie.route import BridgeLayout, RouteLayout
from hdl.pcie.tlp import TlpBeatLayout
from sim.pcie import Acs, Bridge, Decision, Kind, Tlp

from .segments import SEGMENT_WIDTH, changed, field_of, to_segments

__all__ = [
    "beats_of",
    "bridge_to_int",
    "random_bridges",
    "random_tlp",
    "route_to_int",
    "segments_of",
]

_ACS_BITS = [name for name, kind in Acs.__annotations__.items() if kind is bool]
_TOP = (1 << 44) - 1
_ATOMICS = (Kind.FETCH_ADD, Kind.SWAP, Kind.COMPARE_AND_SWAP)
_COMPLETIONS = (Kind.COMPLETION, Kind.COMPLETION_LOCKED)
_CONFIGURATIONS = (Kind.CONFIGURATION_0, Kind.CONFIGURATION_1)
_MESSAGES = range(0x10, 0x18)


def bridge_to_int(bridge: Bridge, port_count: int) -> int:
    """Value of a ``BridgeLayout``."""
    values: dict[Any, Any] = {name: getattr(bridge, name) for name in Bridge.__annotations__}
    values["acs"] = {name: getattr(bridge.acs, name) for name in Acs.__annotations__}
    return BridgeLayout(port_count).const(values).as_value().value


def route_to_int(decision: Decision, port_count: int) -> int:
    """Value of a ``RouteLayout``."""
    layout = RouteLayout(port_count)
    fields: dict[str, int] = {
        "egress": sum(
            1 << port
            for port in range(port_count)
            if port == decision.egress or port in decision.copies
        ),
        "local": decision.local,
        "function": decision.function,
        "to_type_0": decision.to_type_0,
        "action": decision.action,
        "rule": decision.rule,
    }
    return sum(value << layout[name].offset for name, value in fields.items())


def _likely(probability: float) -> bool:
    return random.random() < probability


def _acs(port_count: int) -> Acs:
    chance = random.choice([0.1, 0.5])
    bits = {name: _likely(chance) for name in _ACS_BITS}
    return Acs(**bits, egress_vector=random.getrandbits(port_count))


def _common(port_count: int, *, upstream: bool) -> dict[str, Any]:
    return {
        "memory_enable": _likely(0.9),
        "bus_master_enable": _likely(0.9),
        "ari_forwarding": _likely(0.3),
        "max_payload": random.choice([0, 1, 2, 3, 4, 5, 6, 7]),
        "link_up": _likely(0.9),
        "acs": Acs() if upstream else _acs(port_count),
    }


def _tree(port_count: int) -> list[Bridge]:
    """Bridges as software numbers them: disjoint, and inside what the upstream port has."""
    bus = random.choice([0, 1, 5, 250 - 2 * port_count])
    low = random.choice([0, 0x7F0, 0xFFF - 8 * port_count])
    high = random.choice([0, 0x1000 - 4 * port_count, 0x0FFF_FFFF_F000, 1 << 30])
    bridges = []
    first = (bus + 2, low, high)
    place = first
    for port in range(1, port_count):
        spans = [random.choice([0, 1, 1, 2]), *(random.choice([0, 0, 2, 3]) for _ in range(2))]
        ends = [start + span - 1 for start, span in zip(place[1:], spans[1:], strict=True)]
        bridges.append(
            Bridge(
                bus=bus + 1,
                device=port - 1,
                secondary=place[0],
                subordinate=min(255, place[0] + spans[0]),
                memory_base=place[1],
                memory_limit=ends[0] if spans[1] else 0,
                prefetchable_base=place[2],
                prefetchable_limit=ends[1] if spans[2] else 0,
                **_common(port_count, upstream=False),
            )
        )
        # Sometimes a hole between two, which nobody claims.
        holes = [random.choice([0, 0, 1]) for _ in range(3)]
        place = tuple(
            start + span + hole
            for start, span, hole in zip(place, (spans[0] + 1, *spans[1:]), holes, strict=True)
        )
    upper = Bridge(
        bus=bus,
        device=random.choice([0, 0, 31]),
        secondary=bus + 1,
        subordinate=min(255, place[0]),
        memory_base=low,
        memory_limit=min(0xFFF, place[1]),
        prefetchable_base=high,
        prefetchable_limit=min(_TOP, place[2]),
        **_common(port_count, upstream=True),
    )
    return [upper, *bridges]


def _jumble(port_count: int) -> list[Bridge]:
    """Bridges that overlap, contradict each other, or are closed."""
    buses = [0, 1, 2, 3, 4, 6, 254, 255]
    low = [0, 1, 2, 3, 0x7FF, 0x800, 0xFFE, 0xFFF]
    high = [0, 1, 3, 0xFFE, 0xFFF, 0x1000, 0x1001, 1 << 43, _TOP - 1, _TOP]
    return [
        Bridge(
            bus=random.choice(buses),
            device=random.choice([0, 1, 31]),
            secondary=random.choice(buses),
            subordinate=random.choice(buses),
            memory_base=random.choice(low),
            memory_limit=random.choice(low),
            prefetchable_base=random.choice(high),
            prefetchable_limit=random.choice(high),
            **_common(port_count, upstream=port == 0),
        )
        for port in range(port_count)
    ]


def random_bridges(port_count: int) -> list[Bridge]:
    """Configure all ports: mostly in a sound way, sometimes anyhow."""
    return _tree(port_count) if _likely(0.7) else _jumble(port_count)


def _bus(bridges: Sequence[Bridge]) -> int:
    bridge = random.choice(bridges)
    edge = random.choice([bridge.secondary, bridge.subordinate, bridge.bus])
    return edge + random.choice([-1, 0, 0, 0, 1]) & 0xFF


def _identifier(bridges: Sequence[Bridge]) -> int:
    if _likely(0.1):
        return random.choice(bridges).identifier | random.choice([0, 0, 1])
    device = random.choice([0, 0, 0, 1, len(bridges) - 2, len(bridges) - 1, random.randrange(32)])
    return _bus(bridges) << 8 | device << 3 | random.choice([0, 0, 0, 0, 0, random.randrange(8)])


def _address(bridges: Sequence[Bridge]) -> int:
    if _likely(0.1):
        return random.getrandbits(random.choice([32, 64])) & ~3
    bridge = random.choice(bridges)
    base, limit = random.choice(
        [
            (bridge.memory_base, bridge.memory_limit),
            (bridge.prefetchable_base, bridge.prefetchable_limit),
        ]
    )
    first, last = base << 20, (limit << 20) + 0xF_FFFC
    inside = random.randint(base, max(base, limit)) << 20 | random.randrange(0, 1 << 20, 4)
    edges = [first, last, first - 4, last + 4, inside, inside]
    # The same megabyte behind 4 GiB is another one.
    return (random.choice(edges) + random.choice([0] * 9 + [1 << 32])) & (1 << 64) - 1


def _kind() -> int:
    groups = [(Kind.MEMORY,)] * 4 + [_ATOMICS, _COMPLETIONS, _CONFIGURATIONS, _MESSAGES]
    return random.randrange(32) if _likely(0.05) else random.choice(random.choice(groups))


def random_tlp(ingress: int, bridges: Sequence[Bridge]) -> Tlp:
    """Header of any type, also unknown ones, near the boundaries of ``bridges``.

    Where there is a payload, ``data`` is empty whatever ``length`` says: routing reads headers.
    """
    kind = _kind()
    limit = 32 << random.choice(bridges).max_payload
    length = random.choice([1, 1, 1, 16, limit - 1, limit, limit + 1, 1024])
    port = bridges[ingress]
    requester = random.choice([_identifier(bridges), port.secondary << 8, port.secondary << 8])
    fields: dict[str, Any] = {}
    address = _address(bridges)
    if kind in _CONFIGURATIONS:
        length = 1
        fields = {"target": _identifier(bridges), "register": random.randrange(1024)}
    elif kind in _COMPLETIONS:
        requester = _identifier(bridges)
        fields = {"completer": random.getrandbits(16), "byte_count": random.getrandbits(12)}
    elif kind in _MESSAGES:
        fields = {"target": _identifier(bridges), "code": random.getrandbits(8)}
        fields |= {"vendor": random.getrandbits(16), "message_payload": random.getrandbits(32)}
    else:
        # The upper half of a header of 3 DW means nothing; here it is not even 0.
        four_dwords = _likely(0.95) if address >> 32 else _likely(0.3)
        fields = {"address": address, "four_dwords": four_dwords}
    return Tlp(
        kind=kind,
        data=b"" if _likely(0.5) else None,
        length=min(1024, length),
        tc=random.randrange(8),
        relaxed_ordering=_likely(0.3),
        id_ordering=_likely(0.5),
        no_snoop=_likely(0.5),
        at=random.choice([0, 0, 0, 1, 2, 2, 3]),
        poisoned=_likely(0.1),
        tag=random.getrandbits(14),
        requester=requester & 0xFFFF,
        **fields,
    )


def _lanes_of(tlp: Tlp) -> list[int]:
    """Segments of a TLP of any length: behind the header's, some that make no sense as one."""
    lanes = to_segments(tlp)
    lanes += [random.getrandbits(SEGMENT_WIDTH) for _ in range(random.choice([0, 0, 0, 1, 2, 9]))]
    last = len(lanes) - 1
    return [changed(lane, sop=n == 0, eop=n == last) for n, lane in enumerate(lanes)]


def beats_of(tlps: Sequence[Tlp], segment_count: int, *, gap: float, pause: float) -> Iterator[int]:
    """Beats with the segments of ``tlps``; idle lanes and cycles carry rubbish.

    Parameters
    ----------
    gap, pause : float
        How likely a lane between TLPs is idle, and a cycle has no beat.
    """
    waiting = deque(lane for tlp in tlps for lane in _lanes_of(tlp))
    inside = False
    while waiting:
        beat = random.getrandbits(TlpBeatLayout(segment_count).size)
        beat = beat >> segment_count << segment_count
        for lane in range(0 if _likely(pause) else segment_count):
            if not waiting or (not inside and _likely(gap)):
                continue
            segment = waiting.popleft()
            inside = not field_of(segment, "eop")
            offset = segment_count + lane * SEGMENT_WIDTH
            beat &= ~((1 << SEGMENT_WIDTH) - 1 << offset)
            beat |= segment << offset | 1 << lane
        yield beat


def segments_of(beat: int, segment_count: int) -> list[int | None]:
    """Each lane's segment, None where the lane is idle."""
    mask = (1 << SEGMENT_WIDTH) - 1
    return [
        beat >> segment_count + lane * SEGMENT_WIDTH & mask if beat >> lane & 1 else None
        for lane in range(segment_count)
    ]
