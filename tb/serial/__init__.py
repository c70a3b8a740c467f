"""Testbenches of packets over a serial line."""
