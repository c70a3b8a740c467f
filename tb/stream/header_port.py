"""Drive and observe streams of headers, and the lengths that tests of headers go through."""

import random
from typing import Any

from hdl.stream import HeaderLayout
from sim.stream import Packet

from .stream_port import StreamSink, StreamSource, never

__all__ = ["HeaderSink", "HeaderSource", "beat_count", "length_pairs", "random_packet"]


class HeaderSource(StreamSource):
    """Send queued headers; between them, stay idle while ``pause()`` is true."""

    def __init__(self, dut: Any, name: str, max_header_bytes: int, *, pause=never):
        super().__init__(dut, name, pause=pause)
        self.max_header_bytes = max_header_bytes
        self.length_offset = HeaderLayout(max_header_bytes)["length"].offset

    def send(self, header: bytes, *, length: int | None = None) -> None:
        """Queue ``header``, with random bytes after it; ``length`` may claim more than it has."""
        filled = header + random.randbytes(self.max_header_bytes - len(header))
        length = len(header) if length is None else length
        self.send_value(int.from_bytes(filled, "little") | length << self.length_offset)


class HeaderSink(StreamSink):
    """Receive headers as bytes; refuse them while ``pause()`` is true."""

    def __init__(self, dut: Any, name: str, max_header_bytes: int, *, pause=never):
        super().__init__(dut, name, pause=pause)
        self.length_offset = HeaderLayout(max_header_bytes)["length"].offset

    def accept(self, value: int) -> None:
        """Take one header."""
        length = value >> self.length_offset
        kept = value & ((1 << 8 * length) - 1) & ((1 << self.length_offset) - 1)
        self.received.put_nowait(kept.to_bytes(length, "little"))


def beat_count(size: int, data_bytes: int) -> int:
    """Beats of ``size`` bytes."""
    return -(-size // data_bytes)


def random_packet(size: int) -> Packet:
    """Packet of ``size`` bytes, one in ten damaged."""
    return Packet(random.randbytes(size), error=random.random() < 0.1)


def length_pairs(first: range, second: range, *, at_most: int = 2500) -> list[tuple[int, int]]:
    """Pairs of a number of ``first`` and one of ``second``, in random order.

    Every pair there is, and where there are few enough, every pair after every pair; or, where
    there are more than ``at_most``, each number of either with random partners.
    """
    pairs = [(a, b) for a in first for b in second]
    random.shuffle(pairs)
    if len(pairs) ** 2 <= at_most:
        return [pair for before in pairs for after in pairs for pair in (before, after)]
    if len(pairs) <= at_most:
        return pairs
    pairs = [(a, random.choice(second)) for a in first for _ in range(3)]
    pairs += [(random.choice(first), b) for b in second for _ in range(2)]
    random.shuffle(pairs)
    return pairs
