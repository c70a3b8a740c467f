"""Drive and observe packet streams whose packets may be malformed."""

import random
from typing import Any

from sim.stream import Beat

from .packet_port import PacketSource, pack, unpack
from .stream_port import StreamSink

__all__ = ["BeatSink", "malformed", "send_beats"]


class BeatSink(StreamSink):
    """Receive packets as lists of beats, well-formed or not; ``last`` alone ends a packet."""

    def __init__(self, dut: Any, name: str, data_bytes: int):
        super().__init__(dut, name)
        self.data_bytes = data_bytes
        self._beats: list[Beat] = []

    def flush(self) -> None:
        """Forget a packet that has begun; only under reset."""
        super().flush()
        self._beats = []

    def accept(self, value: int) -> None:
        """Take one beat; with the last, put the packet's beats in ``received``."""
        self._beats.append(unpack(value, self.data_bytes))
        if self._beats[-1].last:
            self.received.put_nowait(self._beats)
            self._beats = []


def malformed(data_bytes: int) -> list[Beat]:
    """Packet of one to four beats whose ``keep`` is random in every beat, also none at all."""
    count = random.randint(1, 4)
    full = (1 << data_bytes) - 1
    return [
        Beat(
            data=random.getrandbits(8 * data_bytes),
            keep=random.choice([0, full, random.randint(0, full)]),
            last=number == count - 1,
            error=random.random() < 0.5,
        )
        for number in range(count)
    ]


def send_beats(source: PacketSource, beats: list[Beat]) -> None:
    """Queue ``beats`` as they are."""
    for beat in beats:
        source.send_value(pack(beat, source.data_bytes))
