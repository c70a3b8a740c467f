"""Entries of a work queue: what is written is read, and nothing else is taken for an entry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.roce import Datagram, Rights, SendKind, SendRequest, WindowBinding
from sim.roce.work_entry import (
    MOST_INLINE_BYTES,
    SLOT_BYTES,
    BadEntryError,
    decode_entry,
    encode_entry,
)

KINDS = st.sampled_from(SendKind)
WORDS = st.integers(0, (1 << 32) - 1)
LONGS = st.integers(0, (1 << 64) - 1)
#: Of windows: one of no bytes is refused, see below.
LENGTHS = st.integers(1, (1 << 32) - 1)
PIECES = st.tuples(WORDS, LONGS, st.integers(0, 1 << 27))
PEER = b"\xc0\x00\x02\x09"


@st.composite
def requests(draw) -> SendRequest:
    """Make any work request that an entry can hold."""
    kind = draw(KINDS)
    sends = kind in (SendKind.SEND, SendKind.WRITE)
    most = 0 if kind.is_local else 1 if kind.is_atomic else 16
    inline = draw(st.binary(max_size=MOST_INLINE_BYTES)) if sends and draw(st.booleans()) else None
    gather = draw(st.lists(PIECES, max_size=most)) if inline is None else []
    value = draw(WORDS)
    fields = {}
    what = draw(st.sampled_from(["immediate", "invalidate", ""])) if sends else ""
    if kind is SendKind.INVALIDATE or (what == "invalidate" and kind is SendKind.SEND):
        fields["invalidate"] = value
    elif what == "immediate":
        fields["immediate"] = value
    if kind is SendKind.BIND:
        rights = draw(st.sampled_from([Rights(n) for n in range(8)]))
        fields["window"] = WindowBinding(
            draw(WORDS), draw(WORDS), draw(LONGS), draw(LENGTHS), rights, draw(st.booleans())
        )
    elif kind is SendKind.SEND and "invalidate" not in fields and draw(st.booleans()):
        fields["datagram"] = Datagram(PEER, draw(st.integers(0, (1 << 24) - 1)), draw(WORDS))
    else:
        fields |= {"remote_address": draw(LONGS), "remote_key": draw(WORDS)}
    if kind.is_atomic:
        fields |= {"operand": draw(LONGS), "compare": draw(LONGS)}
    return SendRequest(
        identifier=draw(st.integers(0, 1 << 16)),
        kind=kind,
        gather=tuple(gather),
        inline=inline,
        signalled=draw(st.booleans()),
        fence=draw(st.booleans()),
        solicited=draw(st.booleans()),
        **fields,
    )


def read(data: bytes, request: SendRequest) -> SendRequest:
    """Read what was written for ``request``."""
    addresses = {5: PEER} if request.datagram else None
    return decode_entry(data, identifier=request.identifier, addresses=addresses)


@given(requests(), st.binary(max_size=3 * SLOT_BYTES))
def test_what_is_written_is_read(request, behind):
    data = encode_entry(request, address_row=5)
    assert len(data) % SLOT_BYTES == 0
    assert data[3] * SLOT_BYTES == len(data)
    assert read(data + behind, request) == request


@given(requests())
def test_an_entry_that_is_not_all_there_is_none(request):
    data = encode_entry(request, address_row=5)
    if len(data) > SLOT_BYTES:
        with pytest.raises(BadEntryError, match="slots"):
            read(data[:-SLOT_BYTES], request)


CHANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)), max_size=3)


@given(requests(), CHANGES, st.booleans())
def test_any_bytes_are_an_entry_or_refused(request, changes, is_datagram):
    """What is taken says the same when it is written again, but for what nobody looks at."""
    addresses = dict.fromkeys(range(1 << 16), PEER) if is_datagram else None
    data = bytearray(encode_entry(request).ljust(5 * SLOT_BYTES, b"\0"))
    for place, value in changes:
        data[place] = value
    try:
        taken = decode_entry(bytes(data), addresses=addresses)
    except BadEntryError as error:
        assert error.status.name in ("LOCAL_OPERATION", "LOCAL_LENGTH", "BIND")
        return
    again = decode_entry(encode_entry(taken), addresses=addresses)
    assert again == taken


SEND = encode_entry(SendRequest(0, SendKind.SEND, gather=((1, 2, 3),) * 3))
SHORT = encode_entry(SendRequest(0, SendKind.SEND, gather=((1, 2, 3),)))


BINDS = encode_entry(
    SendRequest(0, SendKind.BIND, window=WindowBinding(0x100, 0x200, 0, 8, Rights.READ))
)


@pytest.mark.parametrize(
    ("base", "place", "value", "why"),
    [
        (SEND, 0, 7, "no such kind: 7"),
        (SEND, 1, 0x80, "reserved bits"),
        (SEND, 31, 1, "reserved bits"),
        (SEND, 27, 1, "reserved bits"),
        (SEND, 30, 8, "reserved bits"),
        (SEND, 2, 17, "too much"),
        (SEND, 2, 7, "slots"),
        (SEND, 2, 2, "slots"),
        (SEND, 3, 1, "slots"),
        (SEND, 3, 255, "slots"),
        (SEND, 1, 0x30, "immediate data"),
        (SEND, 20, 8, "length"),
        (SHORT, 1, 0x08, "length"),
        (SHORT, 0, SendKind.INVALIDATE.value, "invalidates nothing"),
        (BINDS, 8, 8, "rights"),
        (BINDS, 2, 2, "too much"),
        (BINDS, 2, 0, "binds to nothing"),
        (BINDS, 40, 0, "binds to nothing"),
        (encode_entry(SendRequest(0, SendKind.INVALIDATE, invalidate=1)), 2, 1, "too much"),
        (encode_entry(SendRequest(0, SendKind.READ)), 1, 0x08, "inline data"),
        (encode_entry(SendRequest(0, SendKind.READ)), 1, 0x10, "immediate data"),
        (encode_entry(SendRequest(0, SendKind.WRITE)), 1, 0x20, "invalidate"),
        (encode_entry(SendRequest(0, SendKind.FETCH_ADD, gather=((1, 2, 8),))), 2, 2, "too much"),
        (encode_entry(SendRequest(0, SendKind.WRITE, inline=b"")), 2, 225, "too much"),
    ],
)
def test_contradictions_are_refused(base, place, value, why):
    data = bytearray(base)
    data[place] = value
    with pytest.raises(BadEntryError, match=why):
        decode_entry(bytes(data))


def test_an_address_that_is_not_there_is_refused():
    with pytest.raises(BadEntryError, match="no such address"):
        decode_entry(encode_entry(SendRequest(0, SendKind.SEND)), addresses={1: PEER})


@pytest.mark.parametrize(
    "request_",
    [
        SendRequest(0, SendKind.SEND, gather=((1, 2, 3),) * 17),
        SendRequest(0, SendKind.SEND, inline=bytes(MOST_INLINE_BYTES + 1)),
    ],
)
def test_what_does_not_fit_is_not_written(request_):
    with pytest.raises(ValueError, match="16 pieces, or 224 bytes"):
        encode_entry(request_)


def test_a_layout_by_hand():
    """The table of docs/roce-requester.md."""
    request = SendRequest(
        0,
        SendKind.WRITE,
        gather=((0xA1, 0x1122334455667788, 5), (0xA2, 0x10, 6), (0xA3, 0x20, 7)),
        remote_address=0x0102030405060708,
        remote_key=0xCAFE,
        immediate=0xABCD,
        solicited=True,
    )
    data = encode_entry(request)
    assert data[:4] == bytes([1, 0b010101, 3, 2])
    assert data[4:8] == bytes([0xCD, 0xAB, 0, 0])
    assert data[8:16] == bytes(range(8, 0, -1))
    assert data[16:20] == bytes([0xFE, 0xCA, 0, 0])
    assert data[20:24] == bytes([18, 0, 0, 0])
    assert data[24:32] == bytes(8)
    assert data[32:40] == bytes([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11])
    assert data[40:48] == bytes([5, 0, 0, 0, 0xA1, 0, 0, 0])
    assert data[64:80] == bytes([0x20, *bytes(7), 7, 0, 0, 0, 0xA3, 0, 0, 0])
    assert len(data) == 128
