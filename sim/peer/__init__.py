"""Linux with Soft-RoCE in a virtual machine, as somebody for an engine to talk to."""

from .card import Card, Connection
from .image import Image, build_image
from .meeting import ENGINE, Meeting, model_card
from .packages import MissingPackagesError, PeerError
from .scenarios import SCENARIOS, Scenario

__all__ = [
    "ENGINE",
    "SCENARIOS",
    "Card",
    "Connection",
    "Image",
    "Meeting",
    "MissingPackagesError",
    "PeerError",
    "Scenario",
    "build_image",
    "model_card",
]
