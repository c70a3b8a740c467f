# amaranth: UnusedElaboratable=no
"""Engine: conversations with the golden model over wires with faults."""

import json
from dataclasses import asdict

import pytest

from tb.roce.parsed_responder import ParsedEngine
from tb.roce.sizes import talking
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [8, 64])
def test_conversation(data_bytes, run_dir):
    config = talking(data_bytes)
    simulate(
        ParsedEngine(config=config),
        name="roce_engine",
        testbench="tb.roce.engine_tb",
        run_dir=run_dir,
        env={"ROCE_CONFIG": json.dumps(asdict(config))},
    )
