"""Models of what lies between cards."""

from .link import Faults, Link

__all__ = ["Faults", "Link"]
