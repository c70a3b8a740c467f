"""Testbenches for bit-level arithmetic: checksums, CRC, pickers, rotators."""
