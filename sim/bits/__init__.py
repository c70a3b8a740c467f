"""Golden models for bit-level arithmetic: checksums, CRC, pickers, rotators."""

from .picker import PriorityPickerModel, RoundRobinPickerModel

__all__ = ["PriorityPickerModel", "RoundRobinPickerModel"]
