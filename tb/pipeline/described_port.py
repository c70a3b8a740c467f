"""Observe described packet streams from cocotb."""

from collections.abc import Iterator, Mapping
from typing import Any

from amaranth.lib import data

from hdl.pipeline import DescribedLayout, ParseError
from sim.pipeline import Parsed
from sim.stream import Beat, from_beats
from tb.stream import StreamSink

__all__ = ["DescribedSink"]


_BEAT = ("data", "keep", "last", "error")


def _flatten(shape: Any, path: tuple[str | int, ...], start: int = 0) -> Iterator[Any]:
    """Offset and mask of each field of a layout and its parts, by path."""
    for key, field in shape:
        here, offset = (*path, key), start + field.offset
        yield here, (offset, (1 << field.width) - 1)
        if isinstance(field.shape, data.Layout):
            yield from _flatten(field.shape, here, offset)


class DescribedSink(StreamSink):
    """Receive packets with their descriptors, as pairs of ``Parsed`` and ``Packet``.

    A descriptor that changes within a packet fails the test. ``banks`` has the bank that
    parsed each packet.

    Parameters
    ----------
    names : sequence of str
        State names by number.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        data_bytes: int,
        *,
        header_count: int,
        slots: Mapping[str, int],
        names: tuple[str, ...],
        **options: Any,
    ):
        super().__init__(dut, name, **options)
        self.data_bytes = data_bytes
        self.layout = DescribedLayout(data_bytes, header_count, slots)
        self.header_count = header_count
        self.slots = dict(slots)
        self.names = names
        self._places = dict(_flatten(self.layout, ()))
        self._beat_fields = [(name, self._places["beat", name]) for name in _BEAT]
        descriptor = self.layout["descriptor"]
        self._descriptor = (descriptor.offset, (1 << descriptor.width) - 1)
        self.banks: list[int] = []
        self._beats: list[Beat] = []
        self._descriptors: set[int] = set()

    def flush(self) -> None:
        """Forget a packet that has begun; only under reset."""
        super().flush()
        self._beats = []
        self._descriptors = set()

    def accept(self, value: int) -> None:
        """Take one beat; with the last, put the pair in ``received``."""
        fields = {name: (value >> offset) & mask for name, (offset, mask) in self._beat_fields}
        beat = Beat(fields["data"], fields["keep"], bool(fields["last"]), bool(fields["error"]))
        offset, mask = self._descriptor
        self._descriptors.add((value >> offset) & mask)
        self._beats.append(beat)
        if beat.last:
            assert len(self._descriptors) == 1, "descriptor changed within a packet"
            offset, mask = self._places["descriptor", "bank"]
            self.banks.append((value >> offset) & mask)
            packet = from_beats(self._beats, self.data_bytes)
            self.received.put_nowait((self.parsed(value), packet))
            self._beats, self._descriptors = [], set()

    def parsed(self, value: int) -> Parsed:
        """Read the descriptor and the verdict from the payload of a last beat."""

        def field(*path: str | int) -> int:
            offset, mask = self._places[path]
            return (value >> offset) & mask

        error = ParseError(field("descriptor", "error")).name.lower()
        headers = []
        for number in range(self.header_count):
            state = field("descriptor", "headers", number, "state")
            if not state:
                break
            headers.append((self.names[state], field("descriptor", "headers", number, "offset")))
        return Parsed(
            headers=tuple(headers),
            error=None if error == "none" else error,
            header_bytes=field("descriptor", "header_bytes"),
            windows={
                name: field("descriptor", "slots", name, "window").to_bytes(size, "little")
                for name, size in self.slots.items()
                if field("descriptor", "slots", name, "valid")
            },
            icrc_good=bool(field("icrc", "good")) if field("icrc", "present") else None,
        )
