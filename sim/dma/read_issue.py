"""Golden model of hdl.dma.ReadIssue."""

from ..pcie import Tlp
from .read_splitter import ReadPiece

__all__ = ["read_tlp"]

_MEMORY = 0


def read_tlp(piece: ReadPiece, *, tag: int, requester: int) -> Tlp:
    """Memory read of ``piece``, byte by byte: a DW is read if one of its bytes is wanted."""
    wanted = range(piece.address, piece.address + piece.length)
    dwords = sorted({byte // 4 for byte in wanted}) or [piece.address // 4]
    enables = [
        sum(1 << lane for lane in range(4) if 4 * dword + lane in wanted)
        for dword in (dwords[0], dwords[-1])
    ]
    return Tlp(
        kind=_MEMORY,
        four_dwords=piece.address >= 1 << 32,
        length=len(dwords),
        no_snoop=piece.request.no_snoop,
        relaxed_ordering=piece.request.relaxed_ordering,
        id_ordering=piece.request.id_ordering,
        tag=tag,
        requester=requester,
        first_be=enables[0],
        last_be=enables[1] if len(dwords) > 1 else 0,
        address=4 * dwords[0],
    )
