"""Timers tells nothing before its time, and loses nothing."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.timers import Timers
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize("queue_pairs", [2, 16])
def test_timers(queue_pairs, run_dir):
    config = small(128, queue_pairs=queue_pairs)
    simulate(
        Timers(config=config),
        name="timers",
        testbench="tb.roce.timers_tb",
        run_dir=run_dir,
        env={"STEPS": 4000, "CONFIG": json.dumps(asdict(config))},
    )
