"""Two engines instead of an engine and Linux."""

from .two_cards import TwoCards

__all__ = ["TwoCards"]
