"""Entries of a work queue: a work request as a driver leaves it in memory."""

import struct
from collections.abc import Mapping

from .memory import Rights, WindowBinding
from .send_queue import Datagram, SendKind, SendRequest, SendStatus

__all__ = ["MOST_INLINE_BYTES", "SLOT_BYTES", "BadEntryError", "decode_entry", "encode_entry"]

SLOT_BYTES = 64
MOST_INLINE_BYTES = 224
_MOST_PIECES = 16
_PIECES_IN_FIRST = 2
_PIECES_IN_SLOT = 4
_INLINE_BYTES_IN_FIRST = 32

_SIGNALLED, _FENCE, _SOLICITED, _INLINE, _IMMEDIATE, _INVALIDATE, _ZERO_BASED = (
    1 << n for n in range(7)
)
# Kind, flags, pieces or inline bytes, slots; value; address; key; length; datagram; 0.
_HEAD = struct.Struct("<BBBB I Q I I I H H")
_PIECE = struct.Struct("<QII")
_RIGHTS = (Rights.WRITE, Rights.READ, Rights.ATOMIC)
_SENDS = (SendKind.SEND, SendKind.WRITE)
#: Pieces that an entry may have, where they are not 16.
_PIECES = {
    SendKind.COMPARE_SWAP: 1,
    SendKind.FETCH_ADD: 1,
    SendKind.BIND: 1,
    SendKind.INVALIDATE: 0,
}


class BadEntryError(ValueError):
    """Bytes that are no entry; ``status`` is what its completion says."""

    def __init__(self, why: str, status: SendStatus = SendStatus.LOCAL_OPERATION):
        super().__init__(why)
        self.status = status


def _slots(pieces: int, inline: int) -> int:
    """Slots of an entry with so many pieces, or inline bytes."""
    more = max(0, pieces - _PIECES_IN_FIRST)
    rest = max(0, inline - _INLINE_BYTES_IN_FIRST)
    return 1 - (-more // _PIECES_IN_SLOT) - (-rest // SLOT_BYTES)


def encode_entry(request: SendRequest, *, address_row: int = 0) -> bytes:
    """Give the slots of a work request; ``address_row`` is where a datagram's address stands.

    Raises
    ------
    ValueError
        If it has more pieces or inline data than an entry can.
    """
    inline, window, datagram = request.inline, request.window, request.datagram
    if len(request.gather) > _MOST_PIECES or len(inline or b"") > MOST_INLINE_BYTES:
        raise ValueError("an entry has 16 pieces, or 224 bytes of inline data, at most")
    flags = (
        _SIGNALLED * request.signalled
        | _FENCE * request.fence
        | _SOLICITED * request.solicited
        | _INLINE * (inline is not None)
        | _IMMEDIATE * (request.immediate is not None)
        | _INVALIDATE * (request.invalidate is not None)
    )
    value = request.immediate if request.immediate is not None else request.invalidate or 0
    address, key, length = request.remote_address, request.remote_key, request.length
    gather = request.gather
    if window is not None:
        flags |= _ZERO_BASED * window.is_zero_based
        value, length = window.key, window.length
        address = sum(1 << n for n, right in enumerate(_RIGHTS) if right in window.rights)
        gather = ((window.region, window.address, window.length),)
    if datagram is not None:
        key = datagram.q_key
    count = len(gather) if inline is None else len(inline)
    slots = _slots(0 if inline is not None else count, len(inline or b""))
    head = _HEAD.pack(
        request.kind.value,
        flags,
        count,
        slots,
        value,
        address,
        key,
        length,
        datagram.queue_pair if datagram else 0,
        address_row if datagram else 0,
        0,
    )
    if inline is not None:
        body = inline
    else:
        pieces = [_PIECE.pack(address, size, key) for key, address, size in gather]
        if request.kind.is_atomic:
            operands = struct.pack("<QQ", request.operand, request.compare)
            pieces = [(pieces or [bytes(_PIECE.size)])[0], operands]
        body = b"".join(pieces)
    return (head + body).ljust(slots * SLOT_BYTES, b"\0")


def decode_entry(
    data: bytes, *, identifier: int = 0, addresses: Mapping[int, bytes] | None = None
) -> SendRequest:
    """Read the entry that ``data`` begins with, which are all the slots that were posted.

    Parameters
    ----------
    data : bytes
        A slot at least.
    identifier : int
        Index of the entry.
    addresses : mapping of int to bytes, optional
        IP addresses by row; without it, entries are not those of datagrams.

    Raises
    ------
    BadEntryError
        If the bytes contradict each other, or are no work request.
    """
    kind_number, flags, count, slots, value, address, key, length, peer, row, zero = (
        _HEAD.unpack_from(data)
    )
    try:
        kind = SendKind(kind_number)
    except ValueError:
        raise BadEntryError(f"no such kind: {kind_number}") from None
    is_inline = bool(flags & _INLINE)
    if flags >> 7 or zero or peer >> 24:
        raise BadEntryError("reserved bits")
    if kind is SendKind.BIND and address >> len(_RIGHTS):
        raise BadEntryError("rights")
    if is_inline and kind not in _SENDS:
        raise BadEntryError("inline data")
    if flags & _IMMEDIATE and (flags & _INVALIDATE or kind not in _SENDS):
        raise BadEntryError("immediate data")
    if (flags & _INVALIDATE) and kind not in (SendKind.SEND, SendKind.INVALIDATE):
        raise BadEntryError("invalidate")
    if kind is SendKind.INVALIDATE and not flags & _INVALIDATE:
        raise BadEntryError("invalidates nothing")
    if count > (MOST_INLINE_BYTES if is_inline else _PIECES.get(kind, _MOST_PIECES)):
        raise BadEntryError("too much")
    wanted = _slots(0 if is_inline else count, count if is_inline else 0)
    if slots != wanted or slots * SLOT_BYTES > len(data):
        raise BadEntryError("slots")
    body = data[_HEAD.size : slots * SLOT_BYTES]
    inline = body[:count] if is_inline else None
    gather = []
    for number in range(0 if is_inline else count):
        place, size, local = _PIECE.unpack_from(body, number * _PIECE.size)
        gather.append((local, place, size))
    found = count if is_inline else sum(size for _, _, size in gather)
    if kind is SendKind.BIND and not found:
        raise BadEntryError("binds to nothing", SendStatus.BIND)
    if kind is not SendKind.INVALIDATE and found != length:
        raise BadEntryError("length", SendStatus.LOCAL_LENGTH)
    operand, compare = struct.unpack_from("<QQ", body, 16) if kind.is_atomic else (0, 0)
    window = None
    if kind is SendKind.BIND:
        may = Rights(0)
        for number, right in enumerate(_RIGHTS):
            if address >> number & 1:
                may |= right
        ((region, place, size),) = gather
        window = WindowBinding(region, value, place, size, may, bool(flags & _ZERO_BASED))
        gather = []
    datagram = None
    if addresses is not None:
        if row not in addresses:
            raise BadEntryError("no such address")
        datagram = Datagram(addresses[row], peer, key)
    is_remote = window is None and datagram is None
    return SendRequest(
        identifier=identifier,
        kind=kind,
        gather=tuple(gather),
        inline=inline,
        remote_address=address if is_remote else 0,
        remote_key=key if is_remote else 0,
        immediate=value if flags & _IMMEDIATE else None,
        invalidate=value if flags & _INVALIDATE else None,
        operand=operand,
        compare=compare,
        signalled=bool(flags & _SIGNALLED),
        fence=bool(flags & _FENCE),
        solicited=bool(flags & _SOLICITED),
        datagram=datagram,
        window=window,
    )
