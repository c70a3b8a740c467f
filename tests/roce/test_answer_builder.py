# amaranth: UnusedElaboratable=no
"""AnswerBuilder and IcrcInsert: parameter checks, and their cocotb testbench at several sizes."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.icrc_insert import IcrcInsert
from tb.roce.built_answers import AnswerBuilder
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [8, 64, 128])
def test_answer_builder(data_bytes, run_dir):
    config = small(data_bytes, queue_pairs=4)
    builder = AnswerBuilder(config=config)
    simulate(
        builder,
        name="answer_builder",
        testbench="tb.roce.answer_builder_tb",
        run_dir=run_dir,
        env={
            "DATA_BYTES": data_bytes,
            "LATENCY": builder.latency,
            "CONFIG": json.dumps(asdict(config)),
        },
    )


@pytest.mark.parametrize("data_bytes", [4, 24])
def test_refused_parameters(data_bytes):
    rule = f"data_bytes must be a power of two and 8 or more, not {data_bytes}"
    with pytest.raises(ValueError, match=rule):
        IcrcInsert(data_bytes=data_bytes)
