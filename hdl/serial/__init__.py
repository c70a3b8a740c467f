"""Packets over a serial line: UART, SLIP framing, and results as packets of bytes."""

from .report import Report
from .slip import SlipDecoder, SlipEncoder
from .uart import UartReceiver, UartTransmitter

__all__ = ["Report", "SlipDecoder", "SlipEncoder", "UartReceiver", "UartTransmitter"]
