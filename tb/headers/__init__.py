"""Testbenches for wire formats as tables."""
