"""What of a queue pair's context a turn looks at."""

from amaranth.lib import data

from .config import RoceConfig
from .work_layouts import SendContextLayout

__all__ = ["TURN_FIELDS", "TurnContextLayout"]

#: Fields of SendContextLayout.
TURN_FIELDS = (
    "state",
    "service",
    "number",
    "mtu_shift",
    "q_key",
    "domain",
    "psn",
    "reads",
    "window",
    "has_credits",
    "interval",
    "ring_shift",
)


class TurnContextLayout(data.StructLayout):
    """Fields of :class:`SendContextLayout` that :data:`TURN_FIELDS` names."""

    def __init__(self, config: RoceConfig):
        whole = SendContextLayout(config)
        super().__init__({name: whole[name].shape for name in TURN_FIELDS})
