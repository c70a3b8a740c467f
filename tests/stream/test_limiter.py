# amaranth: UnusedElaboratable=no
"""Limiter: parameter checks, its model, and its cocotb testbench at several sizes."""

from fractions import Fraction

import pytest

from hdl.stream import Limiter
from sim.stream import LimiterModel
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes, bucket_bytes", [(1, 20), (64, 256)])
def test_limiter(data_bytes, bucket_bytes, run_dir):
    simulate(
        Limiter(data_bytes=data_bytes, bucket_bytes=bucket_bytes, fraction_bits=16),
        name="limiter",
        testbench="tb.stream.limiter_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "BUCKET_BYTES": bucket_bytes, "FRACTION_BITS": 16},
    )


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="bucket_bytes must be 1 or more, not 0"):
        Limiter(data_bytes=8, bucket_bytes=0, fraction_bits=8)
    with pytest.raises(ValueError, match="fraction_bits must be 1 or more, not 0"):
        Limiter(data_bytes=8, bucket_bytes=9, fraction_bits=0)


def test_model_finds_the_worst_interval():
    model = LimiterModel(Fraction(1, 2), burst=3, data_bytes=2)
    beats = [(0, 2), (100, 2), (101, 2), (102, 2), (104, 2), (200, 2)]
    # Cycles 100 to 104 pass 8 bytes; 2.5 fell into the bucket, and 3 + 1 + 2 are allowed.
    assert model.excess(beats, longest=1) == Fraction(8) - Fraction(5, 2) - 6
