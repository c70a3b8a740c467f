"""Linux with Soft-RoCE in a virtual machine, as somebody for an engine to talk to."""

from .card import Card, Connection
from .guest import CARD, GUEST
from .image import Image, build_image
from .meeting import Meeting, Result, model_card
from .packages import MissingPackagesError, PeerError
from .scenarios import SCENARIOS, Scenario
from .tools import TOOLS, Tool

__all__ = [
    "CARD",
    "GUEST",
    "SCENARIOS",
    "TOOLS",
    "Card",
    "Connection",
    "Image",
    "Meeting",
    "MissingPackagesError",
    "PeerError",
    "Result",
    "Scenario",
    "Tool",
    "build_image",
    "model_card",
]
