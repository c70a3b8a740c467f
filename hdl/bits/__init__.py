"""Blocks for bit-level arithmetic: checksums, CRC, pickers, rotators."""

from . import gf2
from .beat import BeatLayout, StrobeInterface, StrobeSignature
from .checksum import InternetChecksum, folded_sum, folded_sum_latency
from .checksum_update import ChecksumUpdate, ChecksumUpdateLayout
from .crc import Crc, CrcPlan, CrcStep
from .crc_parameters import (
    CRC8_MAXIM,
    CRC8_SMBUS,
    CRC16_ARC,
    CRC16_IBM_3740,
    CRC16_T10_DIF,
    CRC16_X25,
    CRC16_XMODEM,
    CRC32_ETHERNET,
    CRC32C,
    CRC64_NVME,
    CRC64_XZ,
    CRC_CATALOGUE,
    CrcParameters,
)
from .picker import PriorityPicker, RoundRobinPicker, select_one_hot
from .rotate import Rotate

__all__ = [
    "CRC8_MAXIM",
    "CRC8_SMBUS",
    "CRC16_ARC",
    "CRC16_IBM_3740",
    "CRC16_T10_DIF",
    "CRC16_X25",
    "CRC16_XMODEM",
    "CRC32C",
    "CRC32_ETHERNET",
    "CRC64_NVME",
    "CRC64_XZ",
    "CRC_CATALOGUE",
    "BeatLayout",
    "ChecksumUpdate",
    "ChecksumUpdateLayout",
    "Crc",
    "CrcParameters",
    "CrcPlan",
    "CrcStep",
    "InternetChecksum",
    "PriorityPicker",
    "Rotate",
    "RoundRobinPicker",
    "StrobeInterface",
    "StrobeSignature",
    "folded_sum",
    "folded_sum_latency",
    "gf2",
    "select_one_hot",
]
