# amaranth: UnusedElaboratable=no
"""Cam: parameter checks, and its cocotb testbench at two sizes."""

import pytest

from hdl.memory import Cam
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("key_bits", "entry_count", "latency"), [(9, 5, 2), (48, 67, 3)], ids=["9-5", "48-67"]
)
def test_cam(key_bits, entry_count, latency, run_dir):
    cam = Cam(key_bits=key_bits, entry_count=entry_count)
    assert cam.latency == latency
    simulate(
        cam,
        name="cam",
        testbench="tb.memory.cam_tb",
        run_dir=run_dir,
        env={"KEY_BITS": key_bits, "ENTRY_COUNT": entry_count, "LATENCY": latency},
    )


@pytest.mark.parametrize(("key_bits", "entry_count"), [(0, 4), (-1, 4), (4, 1), (4, 0)])
def test_refused_parameters(key_bits, entry_count):
    with pytest.raises(ValueError, match=r"must be"):
        Cam(key_bits=key_bits, entry_count=entry_count)
