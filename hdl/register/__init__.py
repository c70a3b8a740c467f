"""Blocks for register tables and their bus."""
