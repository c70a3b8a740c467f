"""Golden models for bit-level arithmetic: checksums, CRC, pickers, rotators."""
