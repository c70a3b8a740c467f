# amaranth: UnusedElaboratable=no
"""Sender: its cocotb testbench."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.sender import Sender
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [8, 128])
def test_sender(data_bytes, run_dir):
    config = small(data_bytes, send_slots=32)
    simulate(
        Sender(config=config),
        name=f"sender_{data_bytes}",
        testbench="tb.roce.sender_tb",
        run_dir=run_dir,
        env={"CONFIG": json.dumps(asdict(config))},
    )
