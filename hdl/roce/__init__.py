"""RoCEv2 engine: what lets a peer write, read and change memory, and asks peers for that."""

from .config import RoceConfig
from .engine import Engine
from .responder import Responder

__all__ = ["Engine", "Responder", "RoceConfig"]
