"""Golden models for bit-level arithmetic: checksums, CRC, pickers, rotators."""

from .crc import CRC_ALGORITHMS, CrcAlgorithm
from .picker import PriorityPickerModel, RoundRobinPickerModel
from .rotate import rotate_lanes

__all__ = [
    "CRC_ALGORITHMS",
    "CrcAlgorithm",
    "PriorityPickerModel",
    "RoundRobinPickerModel",
    "rotate_lanes",
]
