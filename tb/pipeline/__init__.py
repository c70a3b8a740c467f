"""Testbenches for the programmable packet pipeline."""
