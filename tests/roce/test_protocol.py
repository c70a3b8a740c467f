"""Protocol equals the golden model, packet by packet."""

from hdl.roce.config import RoceConfig
from hdl.roce.protocol import Protocol
from tb.simulate import simulate

CONFIG = RoceConfig(
    data_bytes=8,
    queue_pairs=16,
    regions=16,
    pages=64,
    receive_queues=16,
    receive_depth=8,
    receive_requests=256,
    scatter_entries=4,
    completion_queues=4,
    resources=8,
)


def test_protocol(run_dir):
    simulate(
        Protocol(config=CONFIG),
        name="protocol",
        testbench="tb.roce.protocol_tb",
        run_dir=run_dir,
        env={"PACKETS": 8000},
    )
