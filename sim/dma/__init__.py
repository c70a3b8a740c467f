"""Golden models of the DMA engines."""

from .completions import CompletionsModel, EndedRead, ReadEnd
from .endpoint import EndpointError, EndpointModel

__all__ = [
    "CompletionsModel",
    "EndedRead",
    "EndpointError",
    "EndpointModel",
    "ReadEnd",
]
