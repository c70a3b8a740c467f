"""Protocol equals the golden model, packet by packet."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.protocol import Protocol
from tb.roce.sizes import small
from tb.simulate import simulate

SIZES = {"receive_depth": 8, "receive_requests": 256, "completion_queues": 4, "resources": 8}


@pytest.mark.parametrize("data_bytes", [8, 128])
def test_protocol(data_bytes, run_dir):
    config = small(data_bytes, **SIZES)
    simulate(
        Protocol(config=config),
        name="protocol",
        testbench="tb.roce.protocol_tb",
        run_dir=run_dir,
        env={"PACKETS": 8000, "CONFIG": json.dumps(asdict(config))},
    )
