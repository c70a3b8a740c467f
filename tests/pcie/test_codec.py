"""The codec against headers written down by hand, and against cocotbext-pcie."""

import pytest
from cocotbext.pcie.core.tlp import CplStatus, TlpAt, TlpAttr, TlpTc
from cocotbext.pcie.core.tlp import Tlp as OtherTlp
from cocotbext.pcie.core.utils import PcieId
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.pcie import Kind, Tlp, decode_tlp, encode_tlp
from tests.pcie.strategies import MESSAGES, tlps

# Bytes by the figures of the specification's section 2.2.
VECTORS = {
    "memory read, 3 DW": (
        Tlp(Kind.MEMORY, length=1, requester=0x0100, tag=5, first_be=15, address=0x1234_5678),
        "00000001 0100050f 12345678",
    ),
    "memory write, 4 DW, every bit of the first DW": (
        Tlp(
            Kind.MEMORY,
            data=b"\1\2\3\4\5\6\7\10",
            four_dwords=True,
            length=2,
            tc=5,
            no_snoop=True,
            id_ordering=True,
            at=2,
            th=True,
            poisoned=True,
            tag=0x2A7,
            requester=0xBEEF,
            first_be=14,
            last_be=1,
            address=0x1122_3344_5566_7788 | 1,
            digest=b"\xaa\xbb\xcc\xdd",
        ),
        "60d5d802 beefa71e 11223344 55667789 01020304 05060708 aabbccdd",
    ),
    "longest read": (Tlp(Kind.MEMORY, length=1024, last_be=15), "00000000 000000f0 00000000"),
    "configuration write": (
        Tlp(
            Kind.CONFIGURATION_1,
            data=b"\x0f\0\0\0",
            length=1,
            tag=0x100,
            requester=0x0008,
            first_be=3,
            target=0x0512,
            register=0x2C4,
        ),
        "45080001 00080003 05120b10 0f000000",
    ),
    "completion with data": (
        Tlp(
            Kind.COMPLETION,
            data=b"abcd",
            length=1,
            relaxed_ordering=True,
            ln=True,
            completer=0x0300,
            status=0,
            bcm=True,
            byte_count=0xABC,
            requester=0x0207,
            tag=0xFE,
            lower_address=0x7D,
        ),
        "4a022001 03001abc 0207fe7d 61626364",
    ),
    "refusal": (
        Tlp(Kind.COMPLETION, completer=0x10, status=4, byte_count=4, requester=0x0207, tag=1),
        "0a000000 00108004 02070100",
    ),
    "vendor's message by ID, after a prefix": (
        Tlp(
            Kind.MESSAGE_BY_ID,
            four_dwords=True,
            requester=0x0100,
            tag=9,
            code=0x7F,
            target=0x0208,
            vendor=0x1AF4,
            message_payload=0x01020304,
            prefix=0x33221191,
        ),
        "91112233 32000000 0100097f 02081af4 01020304",
    ),
}


@pytest.mark.parametrize("tlp, wire", VECTORS.values(), ids=VECTORS)
def test_vectors(tlp, wire):
    assert encode_tlp(tlp).hex() == wire.replace(" ", "")
    assert decode_tlp(bytes.fromhex(wire)) == tlp


@settings(deadline=None)
@given(tlps(most_dwords=1024), st.booleans(), st.booleans())
def test_nothing_is_lost(tlp, th, ln):
    tlp = tlp.with_changes(th=th, ln=ln)
    wire = encode_tlp(tlp)
    assert decode_tlp(wire) == tlp
    assert len(wire) == (
        4 * (tlp.prefix is not None)
        + (16 if tlp.four_dwords else 12)
        + len(tlp.data or b"")
        + 4 * (tlp.digest is not None)
    )


def other(tlp: Tlp) -> OtherTlp:
    """Translate to cocotbext-pcie, which knows neither prefixes nor digests."""
    that = OtherTlp()
    that.fmt, that.type = 2 * (tlp.data is not None) + tlp.four_dwords, int(tlp.kind)
    that.length, that.tag, that.tc, that.at = tlp.length, tlp.tag, TlpTc(tlp.tc), TlpAt(tlp.at)
    that.attr = TlpAttr(tlp.id_ordering << 2 | tlp.relaxed_ordering << 1 | tlp.no_snoop)
    that.th, that.ln, that.ep = tlp.th, tlp.ln, tlp.poisoned
    that.requester_id = PcieId.from_int(tlp.requester)
    that.first_be, that.last_be = tlp.first_be, tlp.last_be
    if tlp.is_completion:
        that.completer_id = PcieId.from_int(tlp.completer)
        that.status, that.bcm = CplStatus(tlp.status), tlp.bcm
        that.byte_count, that.lower_address = tlp.byte_count or 4096, tlp.lower_address
    elif tlp.kind in (Kind.CONFIGURATION_0, Kind.CONFIGURATION_1):
        that.completer_id = PcieId.from_int(tlp.target)
        that.address = tlp.register << 2
    else:
        that.address, that.ph = tlp.address & ~3, tlp.address & 3
    that.data = bytearray(tlp.data or b"")
    return that


@settings(deadline=None)
@given(
    tlps(kinds=[kind for kind in Kind if kind not in MESSAGES], most_dwords=1024),
    st.booleans(),
    st.booleans(),
)
def test_cocotbext_pcie_agrees(tlp, th, ln):
    tlp = tlp.with_changes(th=th, ln=ln, digest=None, prefix=None)
    that = other(tlp)
    wire = encode_tlp(tlp)
    assert wire == bytes(that.pack())
    back = OtherTlp.unpack(wire)
    assert back == that
    assert back.th == that.th


@pytest.mark.parametrize(
    "wire",
    [
        "",
        "0a",
        "000000010100050f",
        "200000010100050f12345678",
        "0000000100000000000000",
        "e0" * 12,
        "91112233" * 2 + "000000010100050f12345678",
        "000080010100050f12345678",
        "000000010100050f1234567800000000",
    ],
)
def test_what_is_no_tlp(wire):
    with pytest.raises(ValueError):
        decode_tlp(bytes.fromhex(wire))


@pytest.mark.parametrize(
    "fields", [{"tag": 1024}, {"address": 1 << 32}, {"length": 1025}, {"lower_address": 128}]
)
def test_what_the_wire_cannot_carry(fields):
    with pytest.raises(ValueError):
        encode_tlp(Tlp(Kind.MEMORY, **fields))


def test_a_payload_of_another_length_is_carried():
    wire = bytes.fromhex("40000004 0100050f 12345678 01020304".replace(" ", ""))
    tlp = decode_tlp(wire)
    assert (tlp.length, tlp.data) == (4, b"\1\2\3\4")
    assert encode_tlp(tlp) == wire
