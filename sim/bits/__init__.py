"""Golden models for bit-level arithmetic: checksums, CRC, pickers, rotators."""

from .checksum import internet_checksum
from .checksum_update import update_checksum
from .crc import CRC_ALGORITHMS, CrcAlgorithm
from .picker import PriorityPickerModel, RoundRobinPickerModel
from .rotate import rotate_lanes

__all__ = [
    "CRC_ALGORITHMS",
    "CrcAlgorithm",
    "PriorityPickerModel",
    "RoundRobinPickerModel",
    "internet_checksum",
    "rotate_lanes",
    "update_checksum",
]
