"""Blocks for what crosses from one clock to another."""
