"""Registers as tables, and what is made of them: hardware, C header, SystemRDL, documentation."""

from .axi_lite import (
    AxiLiteResponse,
    AxiLiteSignature,
    AxiLiteSlave,
    ReadResponseLayout,
    WriteRequestLayout,
)
from .event_counter import EventCounter
from .example import EXAMPLE
from .generate import c_header, markdown, systemrdl
from .ports import RegisterPorts, WindowSignature, connect_register, either
from .register_file import RegisterFile
from .table import Access, Counter, Field, Register, RegisterTable, Window

__all__ = [
    "EXAMPLE",
    "Access",
    "AxiLiteResponse",
    "AxiLiteSignature",
    "AxiLiteSlave",
    "Counter",
    "EventCounter",
    "Field",
    "ReadResponseLayout",
    "Register",
    "RegisterFile",
    "RegisterPorts",
    "RegisterTable",
    "Window",
    "WindowSignature",
    "WriteRequestLayout",
    "c_header",
    "connect_register",
    "either",
    "markdown",
    "systemrdl",
]
