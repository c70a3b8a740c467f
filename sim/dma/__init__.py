"""Golden models of the DMA engines."""
