"""Protocol equals the golden model, packet by packet."""

import pytest

from hdl.roce.config import RoceConfig
from hdl.roce.protocol import Protocol
from tb.simulate import simulate

SIZES = {
    "queue_pairs": 16,
    "regions": 16,
    "pages": 64,
    "receive_queues": 16,
    "receive_depth": 8,
    "receive_requests": 256,
    "scatter_entries": 4,
    "completion_queues": 4,
    "resources": 8,
}


@pytest.mark.parametrize("data_bytes", [8, 128])
def test_protocol(data_bytes, run_dir):
    simulate(
        Protocol(config=RoceConfig(data_bytes=data_bytes, **SIZES)),
        name="protocol",
        testbench="tb.roce.protocol_tb",
        run_dir=run_dir,
        env={"PACKETS": 8000, "DATA_BYTES": data_bytes},
    )
