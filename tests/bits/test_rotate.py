# amaranth: UnusedElaboratable=no
"""Rotate: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.bits import Rotate
from sim.bits import rotate_lanes
from tb.simulate import simulate


@pytest.mark.parametrize(
    "lane_count, lane_bits, tag_bits, stages, direction",
    [
        (1, 8, 1, 1, "left"),
        (8, 9, 3, 1, "left"),
        (8, 1, 0, 3, "right"),
        (128, 8, 5, 2, "right"),
    ],
)
def test_rotate(lane_count, lane_bits, tag_bits, stages, direction, run_dir):
    parameters = {
        "lane_count": lane_count,
        "lane_bits": lane_bits,
        "tag_bits": tag_bits,
        "stages": stages,
        "direction": direction,
    }
    simulate(
        Rotate(**parameters),
        name="rotate",
        testbench="tb.bits.rotate_tb",
        run_dir=run_dir,
        env={key.upper(): value for key, value in parameters.items()},
    )


@pytest.mark.parametrize(
    "wrong, rule",
    [
        ({"lane_count": 3}, "lane_count must be a power of two, not 3"),
        ({"lane_count": 0}, "lane_count must be a power of two, not 0"),
        ({"lane_bits": 0}, "lane_bits must be 1 or more, not 0"),
        ({"tag_bits": -1}, "tag_bits must be 0 or more, not -1"),
        ({"stages": 0}, "stages must be 1 or more, not 0"),
        ({"direction": "up"}, "not 'up'"),
    ],
)
def test_refused_parameters(wrong, rule):
    right = {"lane_count": 8, "lane_bits": 8, "tag_bits": 0, "stages": 1, "direction": "left"}
    with pytest.raises(ValueError, match=rule):
        Rotate(**{**right, **wrong})


def test_model_on_integers():
    """A rotation of one-bit lanes is that of an integer: C's (x << n) | (x >> (8 - n))."""
    for value in range(256):
        bits = [value >> n & 1 for n in range(8)]
        for amount in range(8):
            left = rotate_lanes(bits, amount, "left")
            rotated = (value << amount | value >> (8 - amount)) & 0xFF
            assert sum(bit << n for n, bit in enumerate(left)) == rotated
            assert rotate_lanes(left, amount, "right") == bits
