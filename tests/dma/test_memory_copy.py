# amaranth: UnusedElaboratable=no
"""MemoryCopy: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.dma import MemoryCopy
from tb.simulate import simulate


@pytest.mark.parametrize(("data_bytes", "depth"), [(8, 16), (128, 32)])
def test_memory_copy(data_bytes, depth, run_dir):
    simulate(
        MemoryCopy(data_bytes=data_bytes, depth=depth),
        name="memory_copy",
        testbench="tb.dma.memory_copy_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "DEPTH": depth},
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [({"data_bytes": 3}, "power of two"), ({"depth": 1}, "depth must be 2 or more, not 1")],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        MemoryCopy(**{"data_bytes": 8, **change})
