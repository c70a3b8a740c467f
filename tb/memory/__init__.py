"""Testbenches for memories, tables and their codes."""
