"""Opcodes and extended transport headers against each other, scapy and captured traffic."""

from collections import Counter
from pathlib import Path

import pytest
from scapy.contrib import roce
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapReader

from hdl.headers import (
    EXTENSIONS,
    EtherType,
    IpProtocol,
    NakCode,
    Opcode,
    SyndromeClass,
    UdpPort,
)
from sim.headers import (
    ETHERTYPES,
    IP_PROTOCOLS,
    NAKS,
    OPCODES,
    UDP_PORTS,
    extensions,
    header_bytes,
    transport,
)

CAPTURES = Path(__file__).parents[2] / "data" / "captures"


@pytest.mark.parametrize(
    ("enum", "table"),
    [(EtherType, ETHERTYPES), (IpProtocol, IP_PROTOCOLS), (UdpPort, UDP_PORTS)],
)
def test_numbers_agree(enum, table):
    assert {member.name: member.value for member in enum} == table


def test_opcodes_agree():
    assert {opcode.value: opcode.name for opcode in Opcode} == OPCODES


def test_extensions_agree():
    assert {o.value: [h.name for h in headers] for o, headers in EXTENSIONS.items()} == {
        opcode: extensions(opcode) for opcode in OPCODES
    }


def test_scapy_has_the_same_opcodes():
    # scapy knows neither XRC nor the operations added after release 1.0: RESYNC, INVALIDATE.
    newer = {v for v, name in OPCODES.items() if "INVALIDATE" in name or "RESYNC" in name}
    newer |= {v for v, name in OPCODES.items() if name.startswith("XRC")}
    assert {v: OPCODES[v] for v in OPCODES if v not in newer} == roce._bth_opcodes


def test_syndromes_agree():
    assert {SyndromeClass.NAK << 5 | code: code.name for code in NakCode} == NAKS
    # 0x60 and 0x61 of the captures' notes: sequence error and invalid request.
    assert NAKS[0x60] == "PSN_SEQUENCE_ERROR"


def rocev2(name: str):
    """UDP payloads to port 4791 of one capture."""
    for frame, _ in RawPcapReader(str(CAPTURES / f"{name}.pcap")):
        packet = Ether(frame)
        if UDP in packet and packet[UDP].dport == UDP_PORTS["ROCE_V2"]:
            yield bytes(packet[UDP])[8 : packet[UDP].len]


def test_every_captured_packet_has_the_length_of_its_headers():
    """Sizes prove which headers follow: requests of known length leave no byte over."""
    seen = Counter()
    for path in sorted(CAPTURES.glob("*.pcap")):
        for data in rocev2(path.stem):
            headers, rest = transport(data)
            name = OPCODES[headers["bth"]["opcode"]]
            payload = len(rest) - header_bytes("icrc") - headers["bth"]["pad_count"]
            assert payload >= 0
            if any(word in name for word in ("ACKNOWLEDGE", "REQUEST", "SWAP", "ADD")):
                assert payload == 0, name
            if name.endswith("WRITE_ONLY"):
                assert payload == headers["reth"]["dma_length"]
            if name.endswith("ACKNOWLEDGE"):
                assert headers["aeth"]["syndrome"] >> 5 in (0, 1, 3)
            assert headers["bth"]["transport_header_version"] == 0
            seen[name] += 1
    assert len(seen) > 25, f"captures hold only {sorted(seen)}"


#: What tshark 4.0 reads: capture, frame number (from 1), then fields of one header.
TSHARK = [
    ("v_rc_all_ops_m256", 83, 0x06, "bth", {"dest_qp": 0x28, "psn": 38, "p_key": 0xFFFF}),
    (
        "v_rc_all_ops_m256",
        83,
        0x06,
        "reth",
        {"virtual_address": 0x5562D4BC0006, "r_key": 0x1C68, "dma_length": 257},
    ),
    ("v_rc_all_ops_m256", 29, 0x03, "immdt", {"immediate_data": 0xABCD0006}),
    ("v_rc_all_ops_m256", 49, 0x0B, "immdt", {"immediate_data": 0x12340000}),
    (
        "v_rc_all_ops_m256",
        49,
        0x0B,
        "reth",
        {"virtual_address": 0x5562D4BC0040, "r_key": 0x1C68, "dma_length": 0},
    ),
    ("v_rc_all_ops_m256", 91, 0x0F, "aeth", {"syndrome": 31, "msn": 39}),
    ("v_rc_rnr_nak", 3, 0x11, "aeth", {"syndrome": 58, "msn": 0}),
    ("v_rc_nak_bad_rkey_read", 2, 0x11, "aeth", {"syndrome": 0x62, "msn": 0}),
    (
        "v_rc_nak_bad_rkey_read",
        1,
        0x0C,
        "reth",
        {"virtual_address": 0x558184EDA000, "r_key": 0x73B7, "dma_length": 3000},
    ),
    (
        "v_rc_atomics",
        5,
        0x13,
        "atomic_eth",
        {
            "virtual_address": 0x56544CCD9000,
            "r_key": 0x2036,
            "swap_or_add_data": 16045690984503111693,
            "compare_data": 1234605616436508552,
        },
    ),
    (
        "v_rc_atomics",
        1,
        0x14,
        "atomic_eth",
        {
            "virtual_address": 0x56544CCD9000,
            "r_key": 0x2036,
            "swap_or_add_data": 1,
            "compare_data": 0,
        },
    ),
    ("v_rc_atomics", 2, 0x12, "aeth", {"syndrome": 31, "msn": 1}),
    ("v_rc_atomics", 2, 0x12, "atomic_ack_eth", {"original_remote_data": 1234605616436508552}),
    ("v_ud_ops", 1, 0x65, "deth", {"q_key": 0x11111111, "reserved": 0, "src_qp": 0x39}),
    ("v_ud_ops", 1, 0x65, "immdt", {"immediate_data": 0x77000000}),
    ("v_uc_ops", 41, 0x26, "bth", {"dest_qp": 0x38, "psn": 4136}),
    (
        "v_uc_ops",
        30,
        0x2B,
        "reth",
        {"virtual_address": 0x55BF8F4AC040, "r_key": 0x2C01, "dma_length": 0},
    ),
]


@pytest.mark.parametrize(("capture", "frame", "opcode", "header", "fields"), TSHARK)
def test_fields_are_those_that_tshark_reads(capture, frame, opcode, header, fields):
    headers, _ = transport(list(rocev2(capture))[frame - 1])
    assert headers["bth"]["opcode"] == opcode
    assert {name: headers[header][name] for name in fields} == fields
