"""The programmable packet pipeline: parse graphs as tables, the parser, the ICRC check."""

from .described import DescribedLayout, DescriptorLayout
from .graph import GraphError, GraphTables, Role, StateEntry, TransitionEntry, compile_graph
from .icrc_check import IcrcCheck, IcrcVerdict
from .parser import DEFAULT_GRAPH, Parser
from .parser_bus import ParseError, Table, TableWriteLayout
from .parser_stage import ParserStage
from .programmable_parser import PARSER, ProgrammableParser, register_writes
from .window import Window

__all__ = [
    "DEFAULT_GRAPH",
    "PARSER",
    "DescribedLayout",
    "DescriptorLayout",
    "GraphError",
    "GraphTables",
    "IcrcCheck",
    "IcrcVerdict",
    "ParseError",
    "Parser",
    "ParserStage",
    "ProgrammableParser",
    "Role",
    "StateEntry",
    "Table",
    "TableWriteLayout",
    "TransitionEntry",
    "Window",
    "compile_graph",
    "register_writes",
]
