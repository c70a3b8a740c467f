"""Golden models of hdl.register."""

from .event_counter import EventCounterModel
from .register_file import EXAMPLE_COUNTERS, EXAMPLE_FIELDS, EXAMPLE_WINDOW, RegisterFileModel

__all__ = [
    "EXAMPLE_COUNTERS",
    "EXAMPLE_FIELDS",
    "EXAMPLE_WINDOW",
    "EventCounterModel",
    "RegisterFileModel",
]
