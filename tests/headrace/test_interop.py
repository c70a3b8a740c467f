"""``headrace interop``: what it refuses, and a few scenarios with a guest where one can be made."""

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from scapy.utils import rdpcap
from typer.testing import CliRunner

from headrace.capture import read_frames
from headrace.cli import app
from sim.peer import PeerError, Result
from sim.peer.packages import MissingPackagesError, missing
from sim.roce import BadPacketError, parse

ROOT = Path(__file__).parents[2]


# The module, not the command of the same name.
interop = sys.modules["headrace.interop"]


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
        ("--engine harware", "engine must be model or hardware, not 'harware'"),
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


class PlayedElsewhere:
    """A meeting without a guest, whose scenarios go as ``errors`` has it."""

    errors: ClassVar[list[str | Exception]] = []

    def __init__(self, image, card, *, capture, seconds, patience):
        assert 0 < seconds < 300

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def play(self, item):
        error = self.errors.pop(0)
        if isinstance(error, Exception):
            raise error
        return Result(item.name, item.text, 0.5, error)


@pytest.mark.parametrize(
    ("errors", "code", "words"),
    [
        (["", ""], 0, ["2 of 2 as they have to be"]),
        (["", "memory of Linux: 1 bytes differ"], 1, ["1 of 2", "memory of Linux"]),
        (
            ["", PeerError("the guest says nothing")],
            1,
            ["1 of 2", "error: 1 not played: the guest"],
        ),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_wrong_is_said(errors, code, words, as_json, monkeypatch, tmp_path):
    monkeypatch.setattr(interop, "build_image", lambda folder, say: None)
    monkeypatch.setattr(interop, "Meeting", PlayedElsewhere)
    monkeypatch.setattr(PlayedElsewhere, "errors", list(errors))
    pcap = ["--pcap", str(tmp_path / "folder" / "x.pcap")]
    done = run("--only", "^rnr-(engine|linux)", *pcap, *(["--json"] if as_json else []))
    assert done.exit_code == code
    if not as_json:
        assert all(word in done.output for word in words)
        return
    report = json.loads(done.stdout)
    assert report["passed"] == 2 - sum(bool(error) for error in errors)
    assert report["passed"] + report["failed"] + report["not_played"] == 2
    assert {result["name"] for result in report["results"]} <= {"rnr-engine", "rnr-linux"}


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
