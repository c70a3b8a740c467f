# amaranth: UnusedElaboratable=no
"""AnswerBuilder and IcrcInsert: parameter checks, and their cocotb testbench at several sizes."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.answer_builder import AnswerBuilder
from hdl.roce.config import RoceConfig
from hdl.roce.icrc_insert import IcrcInsert
from tb.simulate import simulate


def config(data_bytes: int) -> RoceConfig:
    return RoceConfig(
        data_bytes=data_bytes,
        queue_pairs=4,
        regions=4,
        pages=16,
        receive_queues=2,
        receive_depth=4,
        receive_requests=8,
        scatter_entries=2,
        completion_queues=2,
        resources=2,
    )


@pytest.mark.parametrize("data_bytes", [8, 64, 128])
def test_answer_builder(data_bytes, run_dir):
    builder = AnswerBuilder(config=config(data_bytes))
    simulate(
        builder,
        name="answer_builder",
        testbench="tb.roce.answer_builder_tb",
        run_dir=run_dir,
        env={
            "DATA_BYTES": data_bytes,
            "LATENCY": builder.latency,
            "CONFIG": json.dumps(asdict(config(data_bytes))),
        },
    )


@pytest.mark.parametrize("data_bytes", [4, 24])
def test_refused_parameters(data_bytes):
    rule = f"data_bytes must be a power of two and 8 or more, not {data_bytes}"
    with pytest.raises(ValueError, match=rule):
        IcrcInsert(data_bytes=data_bytes)
