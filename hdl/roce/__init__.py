"""RoCEv2 engine: the passive side, which lets a peer write, read and change memory."""

from .config import RoceConfig
from .responder import Responder

__all__ = ["Responder", "RoceConfig"]
