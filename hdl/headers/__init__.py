"""Blocks for wire formats as tables."""
