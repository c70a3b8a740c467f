"""RoCEv2 packets of the model against scapy, and against what is no packet."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.roce import AETH, BTH
from scapy.layers.l2 import Ether

from headrace.capture import read_frames
from sim.roce import BadPacketError, RocePacket, build, parse

CAPTURES = Path(__file__).parents[2] / "data" / "captures"


def addresses(version: int):
    return st.binary(min_size=4 if version == 4 else 16, max_size=4 if version == 4 else 16)


@st.composite
def acknowledgements(draw):
    """ACKs, of which scapy knows all headers, and READ responses."""
    version = draw(st.sampled_from([4, 6]))
    opcode, payload = draw(st.sampled_from([(0x11, 0), (0x10, 1000)]))
    bth = {
        "opcode": opcode,
        "p_key": draw(st.integers(0, 0xFFFF)),
        "dest_qp": draw(st.integers(0, 0xFFFFFF)),
        "psn": draw(st.integers(0, 0xFFFFFF)),
        "ack_req": draw(st.integers(0, 1)),
        "solicited_event": draw(st.integers(0, 1)),
    }
    aeth = {"syndrome": draw(st.integers(0, 255)), "msn": draw(st.integers(0, 0xFFFFFF))}
    return RocePacket(
        draw(addresses(version)),
        draw(addresses(version)),
        {"bth": bth, "aeth": aeth},
        draw(st.binary(max_size=payload)),
        dscp=draw(st.integers(0, 63)),
        ecn=draw(st.integers(0, 3)),
        time_to_live=draw(st.integers(1, 255)),
    )


@given(acknowledgements())
def test_headers_and_icrc_are_scapys(packet):
    frame = build(packet)
    dissected = Ether(frame)
    bth = dissected[BTH]
    for name, field in (("opcode", "opcode"), ("dest_qp", "dqpn"), ("psn", "psn")):
        assert getattr(bth, field) == packet.bth[name]
    assert (bth.pkey, bth.ackreq) == (packet.bth["p_key"], packet.bth["ack_req"])
    assert bth.solicited == packet.bth["solicited_event"]
    assert bth.padcount == -len(packet.payload) % 4
    if AETH in bth:
        assert bth[AETH].syndrome == packet.headers["aeth"]["syndrome"]
        assert bth[AETH].msn == packet.headers["aeth"]["msn"]
    else:
        assert packet.bth["opcode"] != 0x11
    if len(packet.source) == 4:
        # Of IPv6, scapy's own ICRC leaves out the header.
        assert bth.compute_icrc(frame[42:-4]) == frame[-4:]
        again = Ether(frame)
        del again["IP"].chksum
        assert bytes(again)[:34] == frame[:34]
    back = parse(frame)
    assert (back.source, back.destination, back.payload) == (
        packet.source,
        packet.destination,
        packet.payload,
    )
    assert (back.dscp, back.ecn, back.time_to_live) == (
        packet.dscp,
        packet.ecn,
        packet.time_to_live,
    )
    for header, fields in packet.headers.items():
        assert {**back.headers[header], "pad_count": 0} | {**fields} == {
            **back.headers[header],
            "pad_count": 0,
        }


def test_build_makes_what_was_recorded():
    """Every answer of Soft-RoCE over IPv4 from its fields, byte for byte."""
    count = 0
    for path in sorted(CAPTURES.glob("v_rc_*.pcap")):
        for frame in read_frames(path):
            try:
                packet = parse(frame)
            except BadPacketError:
                continue
            made = build(
                packet,
                destination_mac=int.from_bytes(frame[:6], "big"),
                source_mac=int.from_bytes(frame[6:12], "big"),
                source_port=int.from_bytes(frame[34:36], "big"),
                identification=int.from_bytes(frame[18:20], "big"),
            )
            assert made == frame
            count += 1
    assert count > 250


PACKET = RocePacket(
    b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02", {"bth": {"opcode": 0x04, "dest_qp": 7}}, b"abcde"
)


def changed(place: int, value: int) -> bytes:
    frame = bytearray(build(PACKET))
    frame[place] = value
    return bytes(frame)


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (changed(12, 0x09), "not IP"),
        (changed(14, 0x65), "IP version"),
        (changed(14, 0x46), "IPv4 options"),
        (changed(20, 0x20), "fragment"),
        (changed(23, 6), "not UDP"),
        (changed(37, 0), "not RoCEv2"),
        (changed(39, 0xFF), "length"),
        (changed(39, 16), "length"),
        (changed(50, 1), "ICRC"),
        (build(PACKET)[:-1], "length"),
        (build(PACKET)[:50], "length"),
        (build(PACKET)[:40], "cut off"),
        (b"", "cut off"),
    ],
)
def test_what_is_no_packet(frame, why):
    with pytest.raises(BadPacketError, match=why):
        parse(frame)


def test_transport_header_version():
    bth = {**PACKET.bth, "transport_header_version": 1}
    with pytest.raises(BadPacketError, match="transport header version"):
        parse(build(dataclasses.replace(PACKET, headers={"bth": bth})))


def test_padding_that_is_more_than_there_is():
    # A packet without a payload that says it has three bytes of padding, with a right ICRC.
    frame = build(dataclasses.replace(PACKET, payload=b""))
    bth = {**PACKET.bth, "opcode": 0x05}
    short = build(dataclasses.replace(PACKET, headers={"bth": bth}, payload=b""))
    assert parse(frame).payload == b""
    with pytest.raises(BadPacketError, match="cut off"):
        parse(short)


@given(st.binary(max_size=120))
def test_any_bytes(data):
    """Whatever comes, there is an answer and no other exception."""
    for frame in (data, build(PACKET)[:42] + data, build(PACKET)[:34] + data):
        try:
            parse(frame)
        except BadPacketError:
            continue
