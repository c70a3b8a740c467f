"""Blocks for memories, tables and their codes."""
