"""Golden models of hdl.pipeline."""

from .graph import Graph, State
from .icrc import icrc, icrc_good
from .parser import DEPTH_BYTES, Parsed, ParserModel

__all__ = ["DEPTH_BYTES", "Graph", "Parsed", "ParserModel", "State", "icrc", "icrc_good"]
