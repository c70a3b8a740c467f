"""Observe described packet streams from cocotb."""

from collections.abc import Mapping
from typing import Any

from hdl.pipeline import DescribedLayout, ParseError
from sim.pipeline import Parsed
from sim.stream import Beat, Packet, from_beats
from tb.stream import StreamSink

__all__ = ["DescribedSink"]


class DescribedSink(StreamSink):
    """Receive packets with their descriptors, as pairs of ``Parsed`` and ``Packet``.

    Beats beyond the packet's end are ignored; a descriptor that changes within a packet
    fails the test.

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
        self.slots = dict(slots)
        self.names = names
        beat = self.layout["beat"]
        self._fields = [
            (str(key), beat.offset + field.offset, (1 << field.width) - 1)
            for key, field in beat.shape
        ]
        self._descriptor = (self.layout["descriptor"].offset, self.layout["descriptor"].width)
        self._beats: list[Beat] = []
        self._descriptors: set[int] = set()

    def flush(self) -> None:
        """Forget a packet that has begun; only under reset."""
        super().flush()
        self._beats = []
        self._descriptors = set()

    def accept(self, value: int) -> None:
        """Take one beat; with the last, put the pair in ``received``."""
        fields = {key: (value >> offset) & mask for key, offset, mask in self._fields}
        beat = Beat(fields["data"], fields["keep"], bool(fields["last"]), bool(fields["error"]))
        offset, width = self._descriptor
        self._descriptors.add((value >> offset) & ((1 << width) - 1))
        self._beats.append(beat)
        if beat.last:
            assert len(self._descriptors) == 1, "descriptor changed within a packet"
            packet = from_beats(self._beats, self.data_bytes)
            self.received.put_nowait((self.parsed(value), packet))
            self._beats, self._descriptors = [], set()

    def parsed(self, value: int) -> Parsed:
        """What the descriptor and the verdict in the last beat's payload say."""
        fields = self.layout.from_bits(value)
        descriptor = fields["descriptor"]
        error = ParseError(descriptor["error"]).name.lower()
        headers = [(int(h["state"]), int(h["offset"])) for h in descriptor["headers"]]
        count = next((n for n, (state, _) in enumerate(headers) if not state), len(headers))
        return Parsed(
            headers=tuple((self.names[state], place) for state, place in headers[:count]),
            error=None if error == "none" else error,
            header_bytes=int(descriptor["header_bytes"]),
            windows={
                name: int(descriptor["slots"][name]["window"]).to_bytes(size, "little")
                for name, size in self.slots.items()
                if descriptor["slots"][name]["valid"]
            },
            icrc_good=bool(fields["icrc"]["good"]) if fields["icrc"]["present"] else None,
        )
