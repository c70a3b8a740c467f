# amaranth: UnusedElaboratable=no
"""DmaCounters: its cocotb testbench."""

from hdl.dma import DmaCounters
from tb.simulate import simulate


def test_dma_counters(run_dir):
    simulate(
        DmaCounters(), name="dma_counters", testbench="tb.dma.dma_counters_tb", run_dir=run_dir
    )
