# amaranth: UnusedElaboratable=no
"""Dma below the PCIe switch, beside another endpoint."""

from tb.dma.switched_dma import SwitchedDma
from tb.simulate import simulate


def test_switched_dma(run_dir):
    simulate(
        SwitchedDma(segment_count=1, client_count=2),
        name="switched_dma",
        testbench="tb.dma.switched_dma_tb",
        run_dir=run_dir,
        env={"SEGMENTS": 1, "CLIENTS": 2},
    )
