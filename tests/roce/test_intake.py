# amaranth: UnusedElaboratable=no
"""Intake: behind the parser, against the model's reading of recorded, made up and broken frames."""

import json
from pathlib import Path

import pytest

from hdl.roce.intake import Intake, packet_beats
from hdl.stream import BeatQueue
from headrace.capture import read_frames
from tb.roce.parsed_intake import HEADER_COUNT, SLOTS, ParsedIntake
from tb.roce.sizes import small
from tb.simulate import simulate

CAPTURES = Path(__file__).parents[2] / "data" / "captures"


@pytest.mark.parametrize("data_bytes", [8, 64])
def test_intake(data_bytes, run_dir):
    frames = {frame.hex() for path in CAPTURES.glob("*.pcap") for frame in read_frames(path)}
    run_dir.mkdir(parents=True, exist_ok=True)
    recordings = run_dir / "recordings.json"
    recordings.write_text(json.dumps(sorted(frames)))
    simulate(
        ParsedIntake(config=small(data_bytes)),
        name="parsed_intake",
        testbench="tb.roce.intake_tb",
        run_dir=run_dir,
        env={
            "DATA_BYTES": data_bytes,
            "RECORDINGS": recordings,
            "QUEUE_BEATS": BeatQueue(
                data_bytes=data_bytes, depth=packet_beats(data_bytes) + 64
            ).capacity,
        },
    )


@pytest.mark.parametrize("data_bytes,beats", [(8, 527), (64, 66), (128, 33)])
def test_packet_beats(data_bytes, beats):
    # 14 + 2 * 4 + 40 + 8 + 12 + 28 + 4096 + 4 = 4210 bytes.
    assert packet_beats(data_bytes) == beats


@pytest.mark.parametrize("name", SLOTS)
def test_windows_that_are_too_small_are_refused(name):
    too_small = {**SLOTS, name: SLOTS[name] - 1}
    with pytest.raises(ValueError, match=f"slots must have {SLOTS[name]} bytes or more of"):
        Intake(config=small(8), header_count=HEADER_COUNT, slots=too_small)
    del too_small[name]
    with pytest.raises(ValueError, match=f"or more of '{name}', not 0"):
        Intake(config=small(8), header_count=HEADER_COUNT, slots=too_small)
