"""``headrace parse``: against tshark and scapy on every capture; wrong input; output forms."""

import json
import shutil
import struct
import subprocess

import pytest
from scapy.contrib.roce import BTH
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapWriter
from typer.testing import CliRunner

from headrace.capture import read_frames
from headrace.cli import app

_TSHARK_FIELDS = {
    "opcode": "infiniband.bth.opcode",
    "dest_qp": "infiniband.bth.destqp",
    "psn": "infiniband.bth.psn",
    "aeth.syndrome": "infiniband.aeth.syndrome",
    "aeth.msn": "infiniband.aeth.msn",
    "reth.virtual_address": "infiniband.reth.va",
    "reth.r_key": "infiniband.reth.r_key",
    "reth.dma_length": "infiniband.reth.dmalen",
    "icrc": "infiniband.invariant.crc",
}


def headrace(*words: str):
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def every_capture(pytestconfig, tmp_path_factory):
    """One file with the frames of all captures, and the frames."""
    folder = pytestconfig.rootpath / "data" / "captures"
    frames = [f for capture in sorted(folder.glob("*.pcap")) for f in read_frames(capture)]
    path = tmp_path_factory.mktemp("captures") / "every.pcap"
    with RawPcapWriter(str(path), linktype=1) as writer:
        for frame in frames:
            writer.write(frame)
    return path, frames


@pytest.fixture(scope="module")
def parsed(every_capture):
    """Return what `headrace parse --json` prints of every capture."""
    done = headrace("parse", str(every_capture[0]), "--json")
    assert done.exit_code == 0
    *frames, total = map(json.loads, done.stdout.splitlines())
    return frames, total["total"]


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark missing: apt-get install tshark")
def test_every_capture_as_tshark_reads_it(every_capture, parsed):
    names = [word for field in _TSHARK_FIELDS.values() for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-r", every_capture[0], "-T", "fields", "-E", "separator=,", *names],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(parsed[0]) > 1000
    roce = 0
    for ours, text, frame in zip(parsed[0], lines, every_capture[1], strict=True):
        theirs = {
            key: int(word, 0) if word else None
            for key, word in zip(_TSHARK_FIELDS, text.split(","), strict=True)
        }
        icrc = theirs.pop("icrc")
        found = {key: ours.get(key) for key in ("opcode", "dest_qp", "psn")}
        for key in list(theirs)[3:]:
            header, _, field = key.partition(".")
            # tshark names the address and key of an AtomicETH as those of a RETH.
            same = "atomic_eth" if header == "reth" and field != "dma_length" else header
            found[key] = {**ours["fields"].get(same, {}), **ours["fields"].get(header, {})}.get(
                field
            )
        assert found == theirs, ours
        # tshark 4.0 shows the ICRC but does not check it; what it should be, scapy says.
        packet = Ether(frame)
        if BTH in packet:
            right = packet[BTH].compute_icrc(bytes(packet[BTH])[:-4])
            assert ours["icrc_good"] == (right == frame[-4:]), ours
            # Nor does it show that of a management datagram.
            assert icrc is None or icrc.to_bytes(4, "big") == frame[-4:]
            roce += icrc is not None
        else:
            assert ours["icrc_good"] is None
    assert roce > 800


def test_one_packet_is_damaged(parsed):
    frames, total = parsed
    assert sum(about["icrc_good"] is False for about in frames) == 1
    assert total["icrc_bad"] == 1
    assert total["frames"] == len(frames)
    assert sum(total["by_opcode"].values()) == len(frames)
    assert (
        total["cycles_used"] == total["cycles_needed"] == sum(-(-f["length"] // 8) for f in frames)
    )


def test_a_line_for_a_person(pytestconfig):
    folder = pytestconfig.rootpath / "data" / "captures"
    done = headrace("parse", str(folder / "v_rc_nak_bad_rkey_write.pcap"))
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split()[:7] == ["1", "192.0.2.1", ">", "192.0.2.2", "RC", "RDMA", "WRITE"]
    assert lines[0].endswith("ICRC good")
    assert "NAK, remote access error msn 0" in lines[1]
    assert lines[-1].endswith("= 1.000")


def test_an_empty_capture_has_a_total(pytestconfig):
    path = pytestconfig.rootpath / "data" / "captures" / "f_timeout_exceeded.b.pcap"
    done = headrace("parse", str(path), "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["total"]["frames"] == 0


def _records(*frames: bytes, linktype: int = 1, sent: int = 0) -> bytes:
    """Make a pcap file."""
    data = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, linktype)
    for frame in frames:
        data += struct.pack("<IIII", 0, 0, len(frame), sent or len(frame)) + frame
    return data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "not a pcap or pcapng file"),
        (b"hello, world, this is no capture", "not a pcap or pcapng file"),
        (_records(bytes(60))[:20], "not a pcap or pcapng file"),
        (_records(bytes(60), bytes(60))[:-1], "truncated: it ends within frame 2"),
        (_records(bytes(60)) + b"12345", "truncated: it ends within the header of a frame"),
        (_records(bytes(60), linktype=113), "link type is 113, not Ethernet"),
        (_records(bytes(60), sent=100), "frame 1 was captured in part (60 of 100 bytes)"),
        (_records(b""), "frame 1 is empty"),
        (
            bytes.fromhex("0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000")
            + bytes.fromhex("0600000040000000"),
            "truncated: it ends within a block",
        ),
    ],
)
def test_wrong_input_is_one_line(content, message, tmp_path):
    path = tmp_path / "x.pcap"
    if content is not None:
        path.write_bytes(content)
    done = headrace("parse", str(path))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_unknown_profile_is_one_line(pytestconfig):
    path = pytestconfig.rootpath / "data" / "captures" / "rping_v4.pcap"
    done = headrace("parse", str(path), "--profile", "card800")
    assert done.exit_code == 2
    assert "profile must be one of proto, card100, card400, not 'card800'" in done.stderr
