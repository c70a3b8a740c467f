"""Testbenches of hdl.stream and the stream drivers that others reuse."""

from .packet_port import PacketSink, PacketSource
from .stream_port import StreamSink, StreamSource, chance, reset, start

__all__ = ["PacketSink", "PacketSource", "StreamSink", "StreamSource", "chance", "reset", "start"]
