# amaranth: UnusedElaboratable=no
"""Engine: conversations with the golden model, recordings of Soft-RoCE, losses, hostile peers."""

import json
import os
from dataclasses import asdict

import pytest

from headrace.capture import read_frames
from tb.roce.parsed_responder import ParsedEngine
from tb.roce.recordings import NAMES, path_of
from tb.roce.sizes import talking
from tb.simulate import build, run

_ALL = ("engine_tb", "engine_captures_tb", "engine_losses_tb", "engine_hostile_tb")
_ALL += ("engine_errors_tb",)


def engine(data_bytes, run_dir, *testbenches, seed=1, **env):
    """Run testbenches, one after the other, on one device: to make it takes longer than they do."""
    recordings = run_dir / "recordings"
    recordings.mkdir(parents=True, exist_ok=True)
    for name in NAMES if "engine_captures_tb" in testbenches else ():
        frames = [frame.hex() for frame in read_frames(path_of(name))]
        (recordings / f"{name}.json").write_text(json.dumps(frames))
    config = talking(data_bytes)
    run(
        build(ParsedEngine(config=config), name="engine"),
        name="engine",
        testbench=",".join(f"tb.roce.{name}" for name in testbenches),
        run_dir=run_dir,
        env={
            "ROCE_CONFIG": json.dumps(asdict(config)),
            "RECORDINGS": recordings.resolve(),
            **env,
        },
        seed=seed,
    )


def test_engine(run_dir):
    """Conversations of 2,000 work requests, and everything else, at 64 bytes a beat."""
    engine(64, run_dir, *_ALL, REQUESTS=400)


@pytest.mark.long
def test_narrow_engine(run_dir):
    engine(8, run_dir, "engine_tb", REQUESTS=400)


@pytest.mark.long
def test_engine_for_long(run_dir):
    engine(64, run_dir, *_ALL[1:], LONG=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_long_conversations(seed, run_dir):
    """200,000 work requests, of four seeds."""
    requests = int(os.environ.get("REQUESTS", "200000")) // 20
    engine(64, run_dir, "engine_tb", REQUESTS=requests, seed=seed + 10)
