"""The whole responder: its cocotb testbenches."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from headrace.capture import read_frames
from tb.roce.parsed_responder import ParsedResponder
from tb.roce.sizes import whole
from tb.simulate import build, run

CAPTURES = Path(__file__).parents[2] / "data" / "captures"


def recordings(path):
    """Put all recordings into a file for the simulator; where there are faults, as seen by b."""
    found = {}
    for about in sorted(CAPTURES.glob("*.json")):
        pcap = about.with_suffix(".pcap")
        frames = read_frames(pcap if pcap.exists() else about.with_suffix(".b.pcap"))
        found[about.stem] = {
            "about": json.loads(about.read_text()),
            "frames": [frame.hex() for frame in frames],
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return path


def responder(data_bytes, run_dir, testbench, *, seed=1, **env):
    config = whole(data_bytes)
    simulator = build(ParsedResponder(config=config), name="responder")
    run(
        simulator,
        name="responder",
        testbench=f"tb.roce.{testbench}",
        run_dir=run_dir,
        env={"ROCE_CONFIG": json.dumps(dataclasses.asdict(config)), **env},
        seed=seed,
    )


#: What takes minutes to build, and differs little from the others.
_LONG_64 = pytest.param(64, marks=pytest.mark.long)


@pytest.mark.parametrize("data_bytes", [8, _LONG_64, 128])
def test_recordings(data_bytes, run_dir):
    path = recordings(run_dir / "recordings.json")
    responder(data_bytes, run_dir, "responder_tb", RECORDINGS=path)


@pytest.mark.parametrize(("data_bytes", "messages"), [(8, 1500), (128, 3500)])
def test_campaign(data_bytes, messages, run_dir):
    responder(data_bytes, run_dir, "responder_campaign", MESSAGES=messages)


@pytest.mark.parametrize(("data_bytes", "packets"), [(8, 1500), (128, 5000)])
def test_hostile(data_bytes, packets, run_dir):
    responder(data_bytes, run_dir, "responder_hostile_tb", PACKETS=packets)


@pytest.mark.parametrize("data_bytes", [8, 128])
def test_faults(data_bytes, run_dir):
    responder(data_bytes, run_dir, "responder_faults_tb")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_long_campaign(seed, run_dir):
    messages = int(os.environ.get("MESSAGES", "500000")) // 4
    responder(128, run_dir, "responder_campaign", seed=seed + 10, MESSAGES=messages)


@pytest.mark.long
def test_long_hostile(run_dir):
    packets = os.environ.get("PACKETS", "50000")
    responder(128, run_dir, "responder_hostile_tb", seed=7, PACKETS=packets)
