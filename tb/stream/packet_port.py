"""Drive and observe packet streams from cocotb."""

from collections.abc import Callable
from functools import cache
from typing import Any

from cocotb.handle import LogicArrayObject, LogicObject

from hdl.stream import PacketLayout
from sim.stream import Beat, Packet, from_beats, to_beats

from .stream_port import StreamSink, StreamSource, never

__all__ = ["PacketSink", "PacketSource", "pack", "unpack"]


@cache
def _fields(data_bytes: int) -> list[tuple[str, int, int]]:
    """Name, offset and mask of each field; asking the layout every beat would take half the run."""
    return [
        (str(key), field.offset, (1 << field.width) - 1) for key, field in PacketLayout(data_bytes)
    ]


def pack(beat: Beat, data_bytes: int) -> int:
    """Value of ``payload`` that carries ``beat``."""
    return sum(int(getattr(beat, key)) << offset for key, offset, _ in _fields(data_bytes))


def unpack(value: int, data_bytes: int) -> Beat:
    """Beat that ``payload`` carries when it reads ``value``."""
    fields = {key: (value >> offset) & mask for key, offset, mask in _fields(data_bytes)}
    return Beat(fields["data"], fields["keep"], bool(fields["last"]), bool(fields["error"]))


class PacketSource(StreamSource):
    """Send queued packets; between beats, stay idle while ``pause()`` is true."""

    def __init__(
        self,
        dut: Any,
        name: str,
        data_bytes: int,
        *,
        pause: Callable[[], bool] = never,
        clk: LogicObject | None = None,
    ):
        super().__init__(dut, name, pause=pause, clk=clk)
        self.data_bytes = data_bytes

    def send(self, packet: Packet) -> None:
        """Queue ``packet``; it leaves as soon as the stream accepts it."""
        for beat in to_beats(packet, self.data_bytes):
            self.send_value(pack(beat, self.data_bytes))


class PacketSink(StreamSink):
    """Receive packets and check the stream rules; refuse beats while ``pause()`` is true.

    ``received`` holds packets or, with a ``tag``, pairs of the tag's value and the packet; a tag
    that changes within a packet fails the test.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        data_bytes: int,
        *,
        tag: LogicArrayObject | None = None,
        pause: Callable[[], bool] = never,
        clk: LogicObject | None = None,
    ):
        super().__init__(dut, name, pause=pause, clk=clk)
        self.data_bytes = data_bytes
        self.tag = tag
        self._beats: list[Beat] = []
        self._tags: set[int] = set()

    def flush(self) -> None:
        """Forget a packet that has begun; only under reset."""
        super().flush()
        self._beats = []
        self._tags = set()

    def accept(self, value: int) -> None:
        """Take one beat; with the last, put the packet in ``received``."""
        self._beats.append(unpack(value, self.data_bytes))
        if self.tag is not None:
            self._tags.add(int(self.tag.value))
        if self._beats[-1].last:
            packet = from_beats(self._beats, self.data_bytes)
            if self.tag is not None:
                assert len(self._tags) == 1, f"packet is a mix of tags {sorted(self._tags)}"
                self.received.put_nowait((self._tags.pop(), packet))
            else:
                self.received.put_nowait(packet)
            self._beats = []
            self._tags = set()
