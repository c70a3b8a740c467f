"""Designs for boards: each has a serial line and nothing of a board."""

from .loopback import Loopback
from .parser import ParserDesign

__all__ = ["DESIGNS", "Loopback", "ParserDesign"]

#: Designs by the names of the command line.
DESIGNS = {"loopback": Loopback, "parser": ParserDesign}
