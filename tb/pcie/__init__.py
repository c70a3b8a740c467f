"""Testbenches of PCI Express blocks."""
