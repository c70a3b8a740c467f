"""What makes a TLP malformed, or one that leaves no trace."""

from .tlp import Kind, Tlp

__all__ = ["defect"]

_READS = (Kind.MEMORY, Kind.MEMORY_LOCKED)
_NARROW = (Kind.IO, Kind.CONFIGURATION_0, Kind.CONFIGURATION_1)
_ATOMICS = (Kind.FETCH_ADD, Kind.SWAP, Kind.COMPARE_AND_SWAP)


def defect(tlp: Tlp, max_payload_bytes: int = 4096) -> str | None:
    """Name the first rule that makes ``tlp`` malformed for a switch, None if it is well formed.

    Byte enables with holes, alignment of atomics and attributes are left to completers.

    Parameters
    ----------
    max_payload_bytes : int
        What the receiver can hold at most, whatever it is set to.
    """
    has_data = tlp.data is not None
    if not _is_defined(tlp.kind, has_data=has_data, four_dwords=tlp.four_dwords):
        return "Fmt and Type are no pair of the table (2.2.1)"
    if tlp.data is not None and len(tlp.data) != 4 * tlp.length:
        return f"{len(tlp.data)} bytes of payload, but Length is {tlp.length} DW (2.2.2)"
    if has_data and 4 * tlp.length > max_payload_bytes:
        return f"{4 * tlp.length} bytes of payload (2.2.2)"
    if tlp.kind in _NARROW and (tlp.length, tlp.tc, tlp.last_be) != (1, 0, 0):
        return "an I/O or configuration request has 1 DW, TC 0, no last byte enables (2.2.7)"
    if tlp.kind in _READS:
        if (tlp.address & 0xFFC) + 4 * tlp.length > 4096:
            return "it crosses a 4 KB boundary (2.2.7)"
        has_enables = has_data or not tlp.th
        if has_enables and tlp.length == 1 and tlp.last_be:
            return "one DW, but last byte enables (2.2.5)"
        if has_enables and tlp.length > 1 and not (tlp.first_be and tlp.last_be):
            return "more than one DW, but no byte enables in the first or last (2.2.5)"
    return None


def _is_defined(kind: int, *, has_data: bool, four_dwords: bool) -> bool:
    if kind >> 3 == 0b10:
        return four_dwords
    if kind == Kind.MEMORY:
        return True
    if kind == Kind.MEMORY_LOCKED:
        return not has_data
    if kind in _ATOMICS:
        return has_data
    return not four_dwords and kind in (*_NARROW, Kind.COMPLETION, Kind.COMPLETION_LOCKED)
