"""Simulators of whole switches: turning one into Verilog takes long, so once in each process."""

from functools import cache
from pathlib import Path

from hdl.pcie import Switch
from tb.simulate import build

from .switch_tree import SwitchTree

__all__ = ["switch_simulator", "tree_simulator"]


@cache
def switch_simulator(ports: int, segments: int) -> Path:
    """Build a switch with default parameters, for :func:`tb.simulate.run` by the name switch."""
    return build(Switch(ports=ports, segments=segments), name="switch")


@cache
def tree_simulator(ports: int, segments: int) -> Path:
    """Build two such switches, one below the other; its name is switch_tree."""
    return build(SwitchTree(ports=ports, segments=segments), name="switch_tree")
