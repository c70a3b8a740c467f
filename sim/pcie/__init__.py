"""Golden models of PCI Express blocks."""
