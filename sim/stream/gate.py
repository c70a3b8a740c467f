"""Golden model of hdl.stream.Gate."""

from .packet import Beat

__all__ = ["GateModel"]


class GateModel:
    """Decides, beat by beat, whether the gate lets it in."""

    def __init__(self):
        self.in_packet = False

    def is_open(self, enable: bool) -> bool:
        """Whether a beat may pass now."""
        return enable or self.in_packet

    def take(self, beat: Beat) -> None:
        """Let ``beat`` in."""
        self.in_packet = not beat.last
