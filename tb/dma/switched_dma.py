"""A switch with the engine at a port of it, for tests."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out

from hdl.dma import Dma
from hdl.pcie import Switch
from hdl.pcie.port import TlpPortSignature

from ..pcie.joined import join_ports

__all__ = ["SwitchedDma"]

_INPUTS = ("max_payload", "max_request", "requester", "timeout")
_STREAMS = ("reads", "writes", "requests", "answers")


class SwitchedDma(wiring.Component):
    """A switch of three ports, the engine at the second one.

    Parameters
    ----------
    segment_count : int
        Segments of a beat.
    client_count : int
        Clients of the engine.

    Members
    -------
    ports : Out(TlpPortSignature(segment_count)).array(2)
        The switch's upstream port, and its second downstream port.
    reads, writes, requests, answers, max_payload, max_request, requester, timeout
        Those of the engine.
    """

    ports: Any
    reads: Any
    writes: Any
    requests: stream.Interface
    answers: stream.Interface

    def __init__(self, *, segment_count: int, client_count: int):
        self.segment_count = segment_count
        self.switch = Switch(ports=3, segments=segment_count)
        self.dma = Dma(data_bytes=32 * segment_count, client_count=client_count)
        members = self.dma.signature.members
        super().__init__(
            {
                "ports": Out(TlpPortSignature(segment_count)).array(2),
                **{name: members[name] for name in (*_STREAMS, *_INPUTS)},
            }
        )

    def elaborate(self, platform):
        """Join them."""
        m = Module()
        m.submodules.switch = switch = self.switch
        m.submodules.dma = dma = self.dma
        wiring.connect(m, wiring.flipped(self.ports[0]), switch.ports[0])
        wiring.connect(m, wiring.flipped(self.ports[1]), switch.ports[2])
        join_ports(m, switch.ports[1], dma.port, self.segment_count)
        clients = zip((*self.reads, *self.writes), (*dma.reads, *dma.writes), strict=True)
        for outer, inner in (
            *clients,
            (self.requests, dma.requests),
            (self.answers, dma.answers),
        ):
            wiring.connect(m, wiring.flipped(outer), inner)
        for name in _INPUTS:
            m.d.comb += getattr(dma, name).eq(getattr(self, name))
        return m
