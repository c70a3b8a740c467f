"""Testbenches of hdl.roce."""
