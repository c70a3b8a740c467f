"""Models of packets over a serial line."""

from .report import report
from .slip import Unslipped, slip, unslip
from .uart import uart_bits

__all__ = ["Unslipped", "report", "slip", "uart_bits", "unslip"]
