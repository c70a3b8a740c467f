"""``headrace interop``: what it refuses, and a few scenarios with a guest where one can be made."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from scapy.utils import rdpcap
from typer.testing import CliRunner

from headrace.capture import read_frames
from headrace.cli import app
from sim.peer.packages import MissingPackagesError, missing
from sim.roce import BadPacketError, parse

ROOT = Path(__file__).parents[2]


def run(*words: str):
    return CliRunner().invoke(app, ["interop", *words])


def why_not() -> str:
    """Why there is no guest here."""
    try:
        missing()
    except MissingPackagesError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--engine harware", "engine must be model, not 'harware'"),
        ("--only unicorn", "nothing has 'unicorn' in its name: headrace interop --list"),
        ("--only (", "'(' is no regular expression"),
    ],
)
def test_wrong_input_is_one_line(words, message):
    done = run(*words.split())
    assert done.exit_code == 2
    assert message in done.output
    assert len(done.output.splitlines()) == 1


def test_list_says_what_there_is():
    done = run("--list", "--only", "rc-mtu-4096-ip6|ib-write-lat")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert "engine asks: ib_write_lat" in done.stdout


def test_what_is_missing_is_named(monkeypatch):
    here = {"apt-get", "dpkg-deb", "gcc", "readelf", "setpriv", "tar"}
    monkeypatch.setattr(
        "sim.peer.packages.shutil.which", lambda name: name if name in here else None
    )
    done = run("--only", "rnr")
    assert done.exit_code == 2
    assert done.output.splitlines() == [
        "error: qemu-system-x86_64, timeout are missing: on Debian,"
        " apt-get install coreutils qemu-system-x86"
    ]


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_a_guest(tmp_path):
    """Boot, play a few, say so, and leave every frame, good for others to read."""
    only = (
        "^(rc-mtu-1024-ip4|rc-read-ip6|lost-write-middle|wrong-key-read|ibv-rc-pingpong-1024-ip4)-"
    )
    pcap = tmp_path / "frames.pcap"
    program = Path(sys.executable).parent / "headrace"
    command = [program, "interop", "--json", "--only", only]
    done = subprocess.run(
        [*command, "--pcap", str(pcap)],
        capture_output=True,
        text=True,
        timeout=320,
        cwd=ROOT,
        check=False,
    )
    if done.returncode == 2:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["passed"], report["failed"], report["not_played"]) == (10, 0, 0)
    names = set()
    for frame in read_frames(pcap):
        try:
            packet = parse(frame)
        except BadPacketError as error:
            # ARP, neighbour discovery: nothing that is RoCEv2 is bad.
            assert str(error) in ("not IP", "not UDP")
            continue
        names.add(packet.name)
    assert {"RC_RDMA_WRITE_FIRST", "RC_RDMA_READ_RESPONSE_LAST", "RC_COMPARE_SWAP"} <= names
    assert len(rdpcap(str(pcap))) > 100
