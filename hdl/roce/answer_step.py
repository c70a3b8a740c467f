"""What happens to a queue pair's answers, and what is told of it."""

from amaranth.lib import data, enum

from .config import RoceConfig
from .layouts import EventLayout

__all__ = ["Step", "StepLayout", "TextLayout", "in_flight_limit"]


def in_flight_limit(config: RoceConfig) -> int:
    """Packets of READ responses that may be on their way between ``reads`` and ``sent``.

    A packet of 256 bytes, the smallest path MTU, leaves every 256 / data_bytes cycles: so these
    cover 512 cycles of memory, 780 ns at 654 MHz, and longer packets more.
    """
    return 2 * config.data_bytes - 1


class Step(enum.Enum, shape=3):
    """What happens to a queue pair in a cycle."""

    #: After reset: there is nothing to answer.
    CLEAR = 0
    EVENT = 1
    #: Send an answer without data, if there is one.
    PROMPT = 2
    #: Start the packet or the atomic operation that was fetched, if it is still wanted.
    SERVE = 3
    SENT = 4
    ATOMIC_DONE = 5
    DROP = 6


class StepLayout(data.StructLayout):
    """A step; ``event`` is that of EVENT, and for all steps names the queue pair."""

    def __init__(self, config: RoceConfig):
        super().__init__({"step": Step, "event": EventLayout(config)})


class TextLayout(data.StructLayout):
    """What an acknowledgement says."""

    def __init__(self):
        super().__init__({"psn": 24, "msn": 24, "syndrome": 8})
