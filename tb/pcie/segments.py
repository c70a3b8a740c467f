"""Convert TLPs to the segments that carry them, and back, as plain integers.

Offsets come from the layouts that the hardware uses, so a changed layout needs no change here.
"""

from collections.abc import Iterator
from typing import Any

from amaranth.lib import data

from hdl.pcie.tlp import TlpHeaderLayout, TlpSegmentLayout
from sim.pcie.tlp import Kind, Tlp

__all__ = [
    "SEGMENT_WIDTH",
    "BeatReader",
    "changed",
    "field_of",
    "from_segments",
    "header_from_int",
    "header_to_int",
    "to_segments",
]

SEGMENT_DWORDS = 8


def _flatten(layout: data.Layout, base: int = 0, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, field in layout:
        yield f"{prefix}{key}", (base + field.offset, (1 << field.width) - 1)
        if isinstance(field.shape, data.Layout):
            yield from _flatten(field.shape, base + field.offset, f"{prefix}{key}.")


_HEADER: dict[str, tuple[int, int]] = dict(_flatten(TlpHeaderLayout()))
_SEGMENT: dict[str, tuple[int, int]] = dict(_flatten(TlpSegmentLayout()))
SEGMENT_WIDTH = TlpSegmentLayout().size
_HEADER_BASE, _HEADER_MASK = _SEGMENT["header"]
_DATA_BASE, _DATA_MASK = _SEGMENT["data"]
_EMPTY, _EMPTY_MASK = _SEGMENT["empty"]
_SOP, _EOP, _NULLIFIED = (1 << _SEGMENT[name][0] for name in ("sop", "eop", "nullified"))

# Attribute of Tlp and field of the header; the variants share bits.
_COMMON = {
    "four_dwords": "four_dwords",
    "kind": "type",
    "tc": "tc",
    "no_snoop": "attributes.no_snoop",
    "relaxed_ordering": "attributes.relaxed_ordering",
    "id_ordering": "attributes.id_ordering",
    "at": "at",
    "th": "th",
    "ln": "ln",
    "poisoned": "poisoned",
    "tag": "tag",
    "requester": "requester",
}
_ENABLES = ("first_be", "last_be")
_MEMORY = {name: f"specific.memory.{name}" for name in (*_ENABLES, "address")}
_CONFIGURATION = {
    name: f"specific.configuration.{name}" for name in (*_ENABLES, "target", "register")
}
_COMPLETION = {
    name: f"specific.completion.{name}"
    for name in ("completer", "status", "bcm", "byte_count", "lower_address")
}
_MESSAGE = {
    "code": "specific.message.code",
    "target": "specific.message.target",
    "vendor": "specific.message.vendor",
    "message_payload": "specific.message.payload",
}


def _variant(kind: int) -> dict[str, str]:
    if kind in (Kind.CONFIGURATION_0, Kind.CONFIGURATION_1):
        return _CONFIGURATION
    if kind in (Kind.COMPLETION, Kind.COMPLETION_LOCKED):
        return _COMPLETION
    return _MESSAGE if kind >> 3 == 0b10 else _MEMORY


_FIELDS: list[list[tuple[str, int, int]]] = [
    [(name, *_HEADER[path]) for name, path in (_COMMON | _variant(kind)).items()]
    for kind in range(32)
]
_FLAGS = {name for name, kind in Tlp.__annotations__.items() if kind is bool}
_HAS_DATA, _LENGTH, _TD, _HAS_PREFIX, _PREFIX = (
    _HEADER[name][0] for name in ("has_data", "length", "td", "has_prefix", "prefix")
)


def header_to_int(tlp: Tlp) -> int:
    """Value of a ``TlpHeaderLayout`` that carries the header of ``tlp``."""
    value = (
        (tlp.data is not None) << _HAS_DATA
        | (tlp.length & 0x3FF) << _LENGTH
        | (tlp.digest is not None) << _TD
    )
    if tlp.prefix is not None:
        value |= 1 << _HAS_PREFIX | tlp.prefix << _PREFIX
    for name, offset, mask in _FIELDS[tlp.kind]:
        value |= (int(getattr(tlp, name)) & mask) << offset
    return value


def header_from_int(value: int, payload: bytes = b"") -> Tlp:
    """TLP of a header's value; ``payload`` is what its segments carry, with the digest."""
    kind = value >> _HEADER["type"][0] & 0x1F
    fields: dict[str, Any] = {
        name: bool(value >> offset & mask) if name in _FLAGS else value >> offset & mask
        for name, offset, mask in _FIELDS[kind]
    }
    has_data = value >> _HAS_DATA & 1
    length = value >> _LENGTH & 0x3FF
    may_be_reserved = kind >> 3 == 0b10 or kind in (Kind.COMPLETION, Kind.COMPLETION_LOCKED)
    if not length and (has_data or not may_be_reserved):
        length = 1024
    digest = None
    if value >> _TD & 1:
        payload, digest = payload[:-4], payload[-4:]
    return Tlp(
        **fields,
        data=payload if has_data else None,
        length=length,
        digest=digest,
        prefix=value >> _PREFIX & 0xFFFFFFFF if value >> _HAS_PREFIX & 1 else None,
    )


def to_segments(tlp: Tlp) -> list[int]:
    """Segments of ``tlp``, as its fields say, whether or not they agree with each other."""
    carried = (tlp.data or b"") + (tlp.digest or b"")
    count = max(1, -(-len(carried) // 32))
    bits = int.from_bytes(carried, "little")
    segments = [(bits >> 256 * number & _DATA_MASK) << _DATA_BASE for number in range(count)]
    segments[0] |= header_to_int(tlp) << _HEADER_BASE | _SOP
    empty = SEGMENT_DWORDS * count - len(carried) // 4
    segments[-1] |= _EOP | empty << _EMPTY | (_NULLIFIED if tlp.nullified else 0)
    return segments


def from_segments(segments: list[int]) -> Tlp:
    """TLP that ``segments`` carry; a wrong count of DW fails the test unless it is nullified."""
    last = segments[-1]
    empty = last >> _EMPTY & _EMPTY_MASK
    bits = 0
    for segment in reversed(segments):
        bits = bits << 256 | (segment >> _DATA_BASE & _DATA_MASK)
    dwords = SEGMENT_DWORDS * len(segments) - empty
    carried = (bits & (1 << 32 * dwords) - 1).to_bytes(4 * dwords, "little")
    header = segments[0] >> _HEADER_BASE & _HEADER_MASK
    tlp = header_from_int(header, carried)
    if last & _NULLIFIED:
        return tlp.with_changes(nullified=True)
    expected = (0 if tlp.data is None else tlp.length) + (tlp.digest is not None)
    assert dwords == expected, f"{dwords} DW behind a header that says {expected}: {tlp}"
    assert len(segments) == tlp.segments, f"{len(segments)} segments for {expected} DW"
    return tlp


def field_of(segment: int, name: str) -> int:
    """Field ``name`` of a segment; of the header with dots, as ``header.tag``."""
    offset, mask = _SEGMENT[name]
    return segment >> offset & mask


def changed(segment: int, **fields: int) -> int:
    """Segment with some fields changed, for malformed traffic: ``header__tag=7``."""
    for name, value in fields.items():
        offset, mask = _SEGMENT[name.replace("__", ".")]
        segment = segment & ~(mask << offset) | (value & mask) << offset
    return segment


class BeatReader:
    """Put TLPs together from beats, and check the rules of ``TlpBeatLayout``.

    Parameters
    ----------
    segment_count : int
        Segments of a beat.

    Attributes
    ----------
    is_open : bool
        The last beat ended within a TLP.
    segments : int
        Segments read.
    """

    def __init__(self, segment_count: int):
        self.segment_count = segment_count
        self.segments = 0
        self._lanes = (1 << segment_count) - 1
        self._mask = (1 << SEGMENT_WIDTH) - 1
        self._open: list[int] = []

    @property
    def is_open(self) -> bool:
        """Whether a TLP has begun and not ended."""
        return bool(self._open)

    def flush(self) -> None:
        """Forget a TLP that has begun."""
        self._open = []

    def read(self, beat: int) -> list[tuple[int, Tlp]]:
        """TLPs that end in ``beat``, each with the lane that it ends in."""
        valid = beat & self._lanes
        ended: list[tuple[int, Tlp]] = []
        beat >>= self.segment_count
        for lane in range(self.segment_count if valid else 0):
            if not valid >> lane & 1:
                assert not self._open, f"lane {lane} is idle within a TLP"
                continue
            segment = beat >> lane * SEGMENT_WIDTH & self._mask
            self.segments += 1
            if segment & _SOP:
                assert not self._open, f"sop in lane {lane} within a TLP"
            else:
                assert self._open, f"lane {lane} begins without sop"
            self._open.append(segment)
            if segment & _EOP:
                ended.append((lane, from_segments(self._open)))
                self._open = []
        return ended
