"""Transaction layer of an endpoint at a PCI Express port."""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..pcie.port import TlpPortSignature
from ..pcie.tlp import TlpBeatLayout, TlpHeaderLayout
from .endpoint_receive import EndpointReceive
from .endpoint_transmit import EndpointTransmit

__all__ = ["Endpoint"]

#: Header and data credits, by class. Completions: 64 of up to 128 bytes.
DEFAULT_CREDITS = ((32, 256), (32, 32), (64, 512))


class Endpoint(wiring.Component):
    """Send and receive whole TLPs at a port, with flow control and the order they need.

    Both ways have latency, throughput and behaviour of their halves: :class:`EndpointReceive` and
    :class:`EndpointTransmit`, which share nothing but ``link_up``.

    Specification: those of the halves.

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.
    max_payload_bytes : int
        Longest payload, received or sent: a power of two from 128 to 4096.
    credits : sequence of 3 pairs
        Header and data credits that are advertised, by class: of data at least what the longest
        payload takes, or the partner can never send it.
    read_rows, quantum_rows : int
        See :class:`EndpointTransmit`.

    Members
    -------
    port : Out(TlpPortSignature(segment_count))
        The port, as a switch has it; ``hot_reset`` and ``link_disable`` are 0.
    completions, requests : Out(stream.Signature(TlpBeatLayout(segment_count)))
        What came. Registered.
    writes, answers : In(stream.Signature(TlpBeatLayout(segment_count)))
        Posted TLPs and completions to send.
    reads : In(stream.Signature(TlpHeaderLayout()))
        Requests without data to send.
    malformed, overflow, nullified : Out(range(segment_count + 2))
        How many TLPs that were received ended badly in this cycle. Registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    port: Any
    completions: stream.Interface
    requests: stream.Interface
    writes: stream.Interface
    answers: stream.Interface
    reads: stream.Interface
    malformed: Signal
    overflow: Signal
    nullified: Signal

    def __init__(
        self,
        *,
        segment_count: int,
        max_payload_bytes: int,
        credits: Sequence[Sequence[int]] = DEFAULT_CREDITS,
        read_rows: int = 16,
        quantum_rows: int = 32,
    ):
        self.receive = EndpointReceive(
            segment_count=segment_count, credits=credits, max_payload_bytes=max_payload_bytes
        )
        self.transmit = EndpointTransmit(
            segment_count=segment_count,
            max_payload_bytes=max_payload_bytes,
            read_rows=read_rows,
            quantum_rows=quantum_rows,
        )
        for _, units in self.receive.credits.advertised[::2]:
            if units < max_payload_bytes // 16:
                raise ValueError(f"credits must cover {max_payload_bytes} bytes, not {units!r}")
        beats = stream.Signature(TlpBeatLayout(segment_count))
        count = range(segment_count + 2)
        super().__init__(
            {
                "port": Out(TlpPortSignature(segment_count)),
                "completions": Out(beats),
                "requests": Out(beats),
                "writes": In(beats),
                "answers": In(beats),
                "reads": In(stream.Signature(TlpHeaderLayout())),
                "malformed": Out(count),
                "overflow": Out(count),
                "nullified": Out(count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.receive = receive = self.receive
        m.submodules.transmit = transmit = self.transmit
        port = self.port
        m.d.comb += [
            receive.rx.eq(port.rx),
            receive.link_up.eq(port.link_up),
            port.rx_credits.eq(receive.allocated),
            port.rx_drained.eq(receive.drained),
            self.malformed.eq(receive.malformed),
            self.overflow.eq(receive.overflow),
            self.nullified.eq(receive.nullified),
            transmit.limits.eq(port.tx_limits),
            transmit.infinite.eq(port.tx_infinite),
            transmit.scale.eq(port.tx_scale),
            transmit.link_up.eq(port.link_up),
        ]
        wiring.connect(m, receive.completions, wiring.flipped(self.completions))
        wiring.connect(m, receive.requests, wiring.flipped(self.requests))
        for name in ("writes", "answers", "reads"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(transmit, name))
        wiring.connect(m, transmit.o, wiring.flipped(port.tx))
        return m
