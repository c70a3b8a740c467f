# amaranth: UnusedElaboratable=no
"""Engine: conversations with the golden model, recordings of Soft-RoCE, losses, hostile peers."""

import json
from dataclasses import asdict

import pytest

from headrace.capture import read_frames
from tb.roce.parsed_responder import ParsedEngine
from tb.roce.recordings import NAMES, path_of
from tb.roce.sizes import small
from tb.simulate import simulate

_ALL = ("engine_tb", "engine_captures_tb", "engine_losses_tb", "engine_hostile_tb")


def run(data_bytes: int, run_dir, *testbenches: str, **env: object) -> None:
    """Run testbenches, one after the other, on one device: to make it takes longer than they do."""
    recordings = run_dir / "recordings"
    recordings.mkdir(parents=True, exist_ok=True)
    for name in NAMES if "engine_captures_tb" in testbenches else ():
        frames = [frame.hex() for frame in read_frames(path_of(name))]
        (recordings / f"{name}.json").write_text(json.dumps(frames))
    config = small(
        data_bytes,
        regions=128,
        receive_queues=32,
        receive_depth=128,
        receive_requests=1024,
        send_slots=16,
    )
    simulate(
        ParsedEngine(config=config),
        name=f"engine_{data_bytes}",
        testbench=",".join(f"tb.roce.{name}" for name in testbenches),
        run_dir=run_dir,
        env={
            "ROCE_CONFIG": json.dumps(asdict(config)),
            "RECORDINGS": recordings.resolve(),
            **env,
        },
    )


@pytest.mark.parametrize(("data_bytes", "testbenches"), [(8, _ALL[:1]), (64, _ALL)])
def test_engine(data_bytes, testbenches, run_dir):
    run(data_bytes, run_dir, *testbenches)


@pytest.mark.long
def test_engine_for_long(run_dir):
    run(64, run_dir, *_ALL[1:], LONG=1)
