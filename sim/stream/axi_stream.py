"""Golden models of hdl.stream.FromAxiStream and ToAxiStream."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .packet import Beat

__all__ = ["AxiBeat", "FromAxiStreamModel", "to_axi_stream"]


@dataclass(frozen=True)
class AxiBeat:
    """One transfer of AXI4-Stream; ``data`` and ``keep`` are little-endian integers."""

    data: int
    keep: int
    last: bool
    user: bool = False


class FromAxiStreamModel:
    """What becomes of AXI4-Stream beats; ``malformed_count`` counts the packets at fault."""

    def __init__(self, data_bytes: int):
        self.data_bytes = data_bytes
        self.malformed_count = 0

    def packet(self, beats: list[AxiBeat]) -> list[Beat]:
        """Beats that the AXI4-Stream packet ``beats`` becomes; none if it has no bytes."""
        full = (1 << self.data_bytes) - 1
        if not any(beat.keep for beat in beats):
            self.malformed_count += 1
            return []
        kept = [beat for beat in beats if beat.keep or beat.last]
        contiguous = [(1 << count) - 1 for count in range(1, self.data_bytes + 1)]
        fits = [beat.keep in (contiguous if beat.last else [full]) for beat in kept]
        self.malformed_count += not all(fits)
        return [
            Beat(
                data=beat.data,
                keep=beat.keep if fit else full,
                last=beat.last,
                error=beat.last and (beat.user or not all(fits)),
            )
            for beat, fit in zip(kept, fits, strict=True)
        ]

    def receive(self, beats: Iterable[AxiBeat]) -> Iterator[Beat]:
        """Beats that AXI4-Stream ``beats``, whole packets of them, become."""
        pending: list[AxiBeat] = []
        for beat in beats:
            pending.append(beat)
            if beat.last:
                yield from self.packet(pending)
                pending = []


def to_axi_stream(beats: Iterable[Beat]) -> Iterator[AxiBeat]:
    """Transfers that ``beats`` become."""
    for beat in beats:
        yield AxiBeat(beat.data, beat.keep, beat.last, beat.last and beat.error)
