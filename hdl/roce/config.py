"""Sizes of the RoCEv2 engine."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields

__all__ = ["RoceConfig"]

_LIMITS = {
    "data_bytes": (8, 128),
    "queue_pairs": (2, 1 << 16),
    "regions": (2, 1 << 16),
    "pages": (4, 1 << 20),
    "receive_queues": (2, 1 << 16),
    "receive_depth": (2, 1 << 15),
    "receive_requests": (2, 1 << 20),
    "scatter_entries": (1, 16),
    "completion_queues": (2, 1 << 16),
    "resources": (2, 64),
    "send_slots": (8, 256),
    "send_requests": (2, 1 << 12),
}


@dataclass(frozen=True)
class RoceConfig:
    """Parameters of the engine; each is a power of two.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat, 8 to 128.
    queue_pairs : int
        Contexts: queue pair numbers differ in their low bits.
    regions : int
        Rows of the key table: regions and windows.
    pages : int
        Rows of the translation table.
    receive_queues : int
        Queues of receive requests, shared ones included.
    receive_depth : int
        Receive requests that wait in one queue.
    receive_requests : int
        Scatter lists.
    scatter_entries : int
        Entries of a scatter list, 1 to 16.
    completion_queues : int
        Completion queues.
    resources : int
        READs and atomic operations of a queue pair that may wait or be asked for again; as many
        may be under way of those that it asks for.
    send_slots : int
        Slots of a work queue that are on chip.
    send_requests : int
        Work requests of a queue pair that have begun and not ended.

    Raises
    ------
    ValueError
        If a parameter is no power of two or is out of range.
    """

    data_bytes: int
    queue_pairs: int
    regions: int
    pages: int
    receive_queues: int
    receive_depth: int
    receive_requests: int
    scatter_entries: int
    completion_queues: int
    resources: int
    send_slots: int = 8
    send_requests: int = 32

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = _LIMITS[field.name]
            if not low <= value <= high or value & (value - 1):
                raise ValueError(
                    f"{field.name} must be a power of two from {low} to {high}, not {value!r}"
                )

    @classmethod
    def of(cls, config: "RoceConfig | Mapping[str, int]") -> "RoceConfig":
        """Make a configuration of its fields, as a command line or a file of budgets has them.

        Raises
        ------
        ValueError
            If a field is missing, unknown, or out of range.
        """
        if isinstance(config, RoceConfig):
            return config
        names = {field.name for field in fields(cls)}
        needed = [field.name for field in fields(cls) if field.default is MISSING]
        if not isinstance(config, Mapping) or not {*needed} <= {*config} <= names:
            raise ValueError(f"config must have {', '.join(needed)}")
        return cls(**config)

    @property
    def is_narrow(self) -> bool:
        """Whether the shortest request, of 58 bytes, takes 8 beats.

        Then more registers stand on the ways than a packet every 2 cycles allows, and what waits
        may wait in fewer places: an FPGA's clock is what counts.
        """
        return self.data_bytes == 8

    def bits(self, name: str) -> int:
        """Bits that number the ``name`` of this configuration, 1 at least: ``bits("pages")``."""
        return max(1, (getattr(self, name) - 1).bit_length())
