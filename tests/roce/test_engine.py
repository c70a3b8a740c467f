# amaranth: UnusedElaboratable=no
"""Engine: conversations with the golden model, and with itself, over wires with faults."""

import json
import os
from dataclasses import asdict

import pytest

from tb.roce.parsed_responder import ParsedEngine
from tb.roce.sizes import talking
from tb.simulate import build, run


def converse(data_bytes, run_dir, *, requests, seed=1):
    config = talking(data_bytes)
    run(
        build(ParsedEngine(config=config), name="roce_engine"),
        name="roce_engine",
        testbench="tb.roce.engine_tb",
        run_dir=run_dir,
        env={"ROCE_CONFIG": json.dumps(asdict(config)), "REQUESTS": requests},
        seed=seed,
    )


@pytest.mark.parametrize("data_bytes", [64, pytest.param(8, marks=pytest.mark.long)])
def test_conversation(data_bytes, run_dir):
    """Five conversations, 2,000 work requests."""
    converse(data_bytes, run_dir, requests=400)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_long_conversation(seed, run_dir):
    """200,000 work requests, of four seeds."""
    requests = int(os.environ.get("REQUESTS", "200000")) // 20
    converse(64, run_dir, requests=requests, seed=seed + 10)
