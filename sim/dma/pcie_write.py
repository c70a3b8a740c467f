"""Golden model of hdl.dma.PcieWrite: which TLPs and which response a write has."""

from collections.abc import Iterator
from dataclasses import dataclass

from ..pcie.tlp import Kind, Tlp

__all__ = ["Write", "WriteOutcome", "write_outcome", "written_bytes"]

_PAGE = 4096
OK, LINK_DOWN, LENGTH, CANCELLED = 0, 5, 6, 7


@dataclass(frozen=True)
class Write:
    """A request and its packet.

    Parameters
    ----------
    address, length, tag
        As requested.
    data : bytes
        Of the packet; not looked at if ``length`` is 0.
    error : bool
        How the packet ends.
    """

    address: int
    length: int
    data: bytes
    tag: int = 0
    no_snoop: bool = False
    relaxed_ordering: bool = False
    id_ordering: bool = False
    error: bool = False


@dataclass(frozen=True)
class WriteOutcome:
    """What comes of a write if the link is up: TLPs in their order, and the response's status."""

    tlps: list[Tlp]
    status: int


def write_outcome(
    write: Write, *, row_bytes: int, max_payload_bytes: int, requester: int
) -> WriteOutcome:
    """Tell what comes of ``write``.

    Parameters
    ----------
    write : Write
        Request and packet.
    row_bytes : int
        Bytes of a beat of the packet: of a packet that is too short, pages are sent that ended
        in an earlier beat than the packet did.
    max_payload_bytes : int
        128 to 4096.
    requester : int
        Requester ID.
    """
    status = _status(write, row_bytes)
    is_sent = status != CANCELLED and len(write.data) >= write.length
    limit = write.length if is_sent else (len(write.data) - 1) // row_bytes * row_bytes
    tlps = []
    for piece_start, piece_end in _pieces(write.address, write.length, _PAGE, 1):
        if piece_end - write.address > limit:
            break
        size = piece_end - piece_start
        for start, end in _pieces(piece_start, size, max_payload_bytes, 4):
            tlps.append(_tlp(write, start, end, requester))
    return WriteOutcome(tlps, status)


def _status(write: Write, row_bytes: int) -> int:
    """Status; behind the row in which the request ends, nothing of the packet counts."""
    if not write.length:
        return OK
    if write.error and (len(write.data) - 1) // row_bytes <= (write.length - 1) // row_bytes:
        return CANCELLED
    return OK if len(write.data) == write.length else LENGTH


def _pieces(address: int, length: int, size: int, grain: int) -> Iterator[tuple[int, int]]:
    """Cut at multiples of ``size``; of 4 KB, or counted from the first ``grain``."""
    base = 0 if grain == 1 else address // grain * grain
    end = address + length
    while address < end:
        cut = min(end, base + ((address - base) // size + 1) * size)
        yield address, cut
        address = cut


def _tlp(write: Write, start: int, end: int, requester: int) -> Tlp:
    """Memory write of the bytes from ``start`` to before ``end``; what is not enabled is 0."""
    first, last = start // 4, (end - 1) // 4
    enables = [
        sum(1 << n for n in range(4) if start <= 4 * dword + n < end) for dword in (first, last)
    ]
    body = write.data[start - write.address : end - write.address]
    return Tlp(
        Kind.MEMORY,
        data=bytes(start - 4 * first) + body + bytes(4 * (last + 1) - end),
        length=last - first + 1,
        four_dwords=4 * first >= 1 << 32,
        address=4 * first,
        first_be=enables[0],
        last_be=enables[1] if first != last else 0,
        requester=requester,
        no_snoop=write.no_snoop,
        relaxed_ordering=write.relaxed_ordering,
        id_ordering=write.id_ordering,
    )


def written_bytes(tlp: Tlp) -> dict[int, int]:
    """Addresses and bytes that a memory write changes, by its byte enables."""
    data = tlp.data or b""
    enables = [15] * tlp.length
    enables[-1] = tlp.last_be
    enables[0] = tlp.first_be
    return {
        tlp.address + 4 * dword + n: data[4 * dword + n]
        for dword, enable in enumerate(enables)
        for n in range(4)
        if enable >> n & 1
    }
