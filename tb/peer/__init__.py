"""Two engines instead of an engine and Linux."""

from .two_cards import TwoCards
from .verilated_card import VerilatedCard

__all__ = ["TwoCards", "VerilatedCard"]
