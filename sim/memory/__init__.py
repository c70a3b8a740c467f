"""Golden models for memories, tables and their codes."""
