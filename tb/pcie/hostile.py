"""Lanes that no honest link sends, and what the model of TlpCheck sees in them."""

import random

from sim.pcie import Segment, Tlp
from sim.pcie.tlp import Kind

from .random_tlps import random_tlp
from .segments import changed, field_of, header_from_int, to_segments

__all__ = ["good_tlp", "hostile_lanes", "to_model"]

_NARROW = (Kind.IO, Kind.CONFIGURATION_0, Kind.CONFIGURATION_1)


def to_model(segment: int | None) -> Segment | None:
    """Make of a segment what the model sees; its value is its name."""
    if segment is None:
        return None
    sop, eop, nullified = (bool(field_of(segment, n)) for n in ("sop", "eop", "nullified"))
    header = header_from_int(field_of(segment, "header"))
    return Segment(sop, eop, field_of(segment, "empty"), nullified, header, segment)


def good_tlp(most_dwords: int) -> Tlp:
    """One that nothing is wrong with."""
    tlp = random_tlp(most_dwords=most_dwords)
    return tlp.with_changes(tc=0) if tlp.kind in _NARROW else tlp


def _header(segment: int) -> int:
    """Segment with a header in which a field or a few bits are others."""
    name, width = random.choice(
        [
            ("type", 5),
            ("has_data", 1),
            ("four_dwords", 1),
            ("length", 10),
            ("td", 1),
            ("tc", 3),
            ("th", 1),
            ("specific.memory.address", 12),
            ("specific.memory.first_be", 4),
            ("specific.memory.last_be", 4),
        ]
    )
    key = "header__" + name.replace(".", "__")
    value = random.getrandbits(width)
    if name == "specific.memory.address":
        value |= field_of(segment, f"header.{name}") & ~0xFFF
    elif name == "length" and random.random() < 0.7:
        value = field_of(segment, "header.length") + random.choice([-8, -1, 1, 8]) & 0x3FF
    return changed(segment, **{key: value})


def hostile_lanes(most_dwords: int) -> list[int | None]:
    """One TLP to which something may have happened, or lanes that are none."""
    lanes: list[int | None] = list(to_segments(good_tlp(most_dwords)))
    place = random.randrange(len(lanes))
    segment = lanes[place]
    assert segment is not None
    match random.randrange(16):
        case 0:
            lanes[0] = _header(lanes[0] or 0)
        case 1:
            lanes[-1] = changed(lanes[-1] or 0, empty=random.getrandbits(4))
        case 2:
            lanes[place] = changed(segment, eop=random.getrandbits(1))
        case 3:
            lanes[place] = changed(segment, sop=random.getrandbits(1))
        case 4:
            lanes.insert(place, random.choice([None, segment, changed(segment, eop=0)]))
        case 5:
            lanes = [*lanes[:place], *lanes[place + 1 :]] or [None]
        case 6:
            lanes[place] = None
        case 7:
            lanes[-1] = changed(lanes[-1] or 0, nullified=1)
        case 8:
            flags = {name: random.getrandbits(1) for name in ("sop", "eop", "nullified")}
            lanes = [changed(s or 0, **flags) for s in lanes[: random.randint(1, 6)]]
        case 9:
            lanes = [
                random.choice([None, changed(segment, sop=random.getrandbits(1))])
                for _ in range(random.randint(1, 6))
            ]
        case 10:
            # Far longer than it says.
            lanes = [lanes[0], *[changed(segment, sop=0, eop=0)] * random.randint(1, 40)]
        case _:
            pass
    return lanes
