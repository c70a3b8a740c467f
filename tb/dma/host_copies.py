"""Copies between a host behind PCI Express and card memory behind AXI4, for tests."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.dma import AxiDma, CopyLayout, Dma, MemoryCopy, MemoryResponseLayout

__all__ = ["HostCopies"]

_INPUTS = ("max_payload", "max_request", "requester", "timeout")


class HostCopies(wiring.Component):
    """Both engines and four copiers: 0 and 1 to the card, 2 and 3 to the host.

    Parameters
    ----------
    data_bytes : int
        Bytes of a beat.
    tag_count, slot_bytes, max_payload_bytes : int
        As of :class:`Dma`.

    Members
    -------
    i, o : In(stream.Signature(CopyLayout())), Out(stream.Signature(MemoryResponseLayout())), 4 each
        Descriptors, and how they ended.
    port, requests, answers, max_payload, max_request, requester, timeout
        Those of :class:`Dma`.
    axi : Out(Axi4Signature)
        That of :class:`AxiDma`.
    """

    i: Any
    o: Any
    requests: stream.Interface
    answers: stream.Interface
    port: Any
    axi: Any
    timeout: Signal

    def __init__(self, *, data_bytes: int, tag_count: int, slot_bytes: int, max_payload_bytes: int):
        self.data_bytes = data_bytes
        self.host = Dma(
            data_bytes=data_bytes,
            client_count=2,
            tag_count=tag_count,
            slot_bytes=slot_bytes,
            max_payload_bytes=max_payload_bytes,
        )
        self.card = AxiDma(
            client_count=2, data_bytes=data_bytes, burst_bytes=1024, buffer_rows=4096 // data_bytes
        )
        of_host = self.host.signature.members
        super().__init__(
            {
                "i": In(stream.Signature(CopyLayout())).array(4),
                "o": Out(stream.Signature(MemoryResponseLayout())).array(4),
                **{name: of_host[name] for name in ("port", "requests", "answers", *_INPUTS)},
                "axi": self.card.signature.members["axi"],
            }
        )

    def elaborate(self, platform):
        """Join them."""
        m = Module()
        m.submodules.host = host = self.host
        m.submodules.card = card = self.card
        for number in range(4):
            m.submodules[f"copy_{number}"] = copy = MemoryCopy(data_bytes=self.data_bytes)
            source, target = (host, card) if number < 2 else (card, host)
            wiring.connect(m, wiring.flipped(self.i[number]), copy.i)
            wiring.connect(m, copy.read, source.reads[number % 2])
            wiring.connect(m, copy.write, target.writes[number % 2])
            wiring.connect(m, copy.o, wiring.flipped(self.o[number]))
        for outer, inner in (
            (self.port, host.port),
            (self.requests, host.requests),
            (self.answers, host.answers),
            (self.axi, card.axi),
        ):
            wiring.connect(m, wiring.flipped(outer), inner)
        for name in _INPUTS:
            m.d.comb += getattr(host, name).eq(getattr(self, name))
        m.d.comb += card.timeout.eq(self.timeout)
        return m
