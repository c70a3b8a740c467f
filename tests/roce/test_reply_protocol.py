"""ReplyProtocol does what a reference does, task by task."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.reply_protocol import ReplyProtocol
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [8, 128])
def test_reply_protocol(data_bytes, run_dir):
    config = small(data_bytes)
    simulate(
        ReplyProtocol(config=config),
        name="reply_protocol",
        testbench="tb.roce.reply_protocol_tb",
        run_dir=run_dir,
        env={"ROUNDS": 1000, "CONFIG": json.dumps(asdict(config))},
    )
