"""Testbenches for register tables and their bus."""
