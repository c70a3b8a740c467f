"""Golden models of the DMA engines."""

from .completions import CompletionsModel, EndedRead, ReadEnd

__all__ = [
    "CompletionsModel",
    "EndedRead",
    "ReadEnd",
]
