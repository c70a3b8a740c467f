"""Blocks for the programmable packet pipeline."""
