"""Parsed packets to requests and beats."""

from collections.abc import Mapping

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.headers import ATOMIC_ETH, BTH, ETHERNET, ICRC, IPV6, UDP, VLAN_TAG
from hdl.pipeline import DescribedLayout
from hdl.stream import BeatQueue, PacketSignature

from .config import RoceConfig
from .layouts import RequestLayout
from .request_fields import RequestFields, check_windows

__all__ = ["Intake", "packet_beats"]

# Service tag and customer tag (IEEE 802.1Q).
_TAGS = 2
# Largest payload (path MTU of 4096) behind the longest headers; of packets with an extended header
# as long as that none has a payload, which leaves some room for Ethernet padding.
_PACKET_BYTES = (
    ETHERNET.bytes
    + _TAGS * VLAN_TAG.bytes
    + IPV6.bytes
    + UDP.bytes
    + BTH.bytes
    + ATOMIC_ETH.bytes
    + 4096
    + ICRC.bytes
)
# Beats that come while what is behind looks at a request, before it takes its packet's first beat.
_BEATS_BEHIND = 64


def packet_beats(data_bytes: int) -> int:
    """Beats of the largest packet that is kept whole."""
    return -(-_PACKET_BYTES // data_bytes)


class Intake(wiring.Component):
    """Make a request of each packet, and keep the packets for who is to use them.

    For each packet of ``i`` there is one request, also if it is not good, and one packet on
    ``packets``, in the same order. A request leaves when its packet's last beat has come, and with
    it the verdict on its ICRC; the packet's beats may leave before.

    A packet of more than ``packet_beats(data_bytes)`` beats is cut there: it is not good, the last
    beat kept has ``last`` and ``error``, and the others are swallowed. A packet that comes with
    ``error`` is not good either.

    Beats wait in a queue of ``packet_beats(data_bytes) + 64`` beats at least. So the packet at its
    front always becomes whole and has its request, and there are 64 beats for the time until that
    request is understood. When the queue is full, or the request before has not been taken, ``i``
    waits; nothing is lost.

    Latency is 1 cycle from a packet's last beat to its request, and 3 cycles from a beat to
    ``packets``. Throughput is 1 beat per cycle, but 1 packet in 2 cycles at most, in 3 with narrow
    beats.

    Specification: :class:`RequestFields`, :class:`RequestLayout`.

    Parameters
    ----------
    config : RoceConfig
        ``data_bytes`` of it.
    header_count : int
        Headers that the parser may list.
    slots : mapping of str to int
        The parser's windows: ``network`` of 40 bytes or more, ``transport`` of 8, ``rdma`` of 40.

    Members
    -------
    i : In(stream.Signature(DescribedLayout(data_bytes, header_count, slots)))
        Packets with their descriptors. ``i.ready`` depends combinationally on ``i.p.beat.last``,
        on nothing else.
    requests : Out(stream.Signature(RequestLayout()))
        Requests, registered.
    packets : Out(PacketSignature(data_bytes))
        Packets as they came, registered.

    Raises
    ------
    ValueError
        If a window is missing or too small.
    """

    i: stream.Interface
    requests: stream.Interface
    packets: stream.Interface

    def __init__(self, *, config: RoceConfig, header_count: int, slots: Mapping[str, int]):
        self.config = config
        check_windows(slots)
        self.header_count = header_count
        self.slots = dict(slots)
        described = DescribedLayout(config.data_bytes, header_count, slots)
        super().__init__(
            {
                "i": In(stream.Signature(described)),
                "requests": Out(stream.Signature(RequestLayout())),
                "packets": Out(PacketSignature(config.data_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        size = self.config.data_bytes
        limit = packet_beats(size)
        m.submodules.fields = fields = RequestFields(
            header_count=self.header_count,
            slots=self.slots,
            load_cycles=2 if self.config.is_narrow else 1,
        )
        m.submodules.beats = beats = BeatQueue(data_bytes=size, depth=limit + _BEATS_BEHIND)
        wiring.connect(m, beats.o, wiring.flipped(self.packets))
        beat = self.i.p.beat

        # The descriptor is the same in all beats of a packet: it is loaded with the first, or in
        # the first cycle of the only one; with narrow beats in the first two.
        loaded = Signal()
        begun = Signal()
        swallowing = Signal()
        accepted = Signal()
        takes = Signal()
        m.d.comb += [
            self.i.ready.eq(
                (beats.i.ready | swallowing) & (~beat.last | (loaded & ~self.requests.valid))
            ),
            accepted.eq(self.i.valid & self.i.ready),
            fields.descriptor.eq(self.i.p.descriptor),
            fields.load.eq(self.i.valid),
            takes.eq(accepted & beat.last),
            # Until a request is valid its fields may be anything: many registers, enabled by one.
            fields.take.eq(~self.requests.valid),
            fields.intact.eq(self.i.p.icrc.good & ~beat.error & ~swallowing),
            self.requests.payload.eq(fields.o),
        ]
        with m.If(self.i.valid):
            m.d.sync += begun.eq(~takes)
            m.d.sync += loaded.eq(~takes & (begun if self.config.is_narrow else 1))
        with m.If(takes):
            m.d.sync += self.requests.valid.eq(1)
        with m.Elif(self.requests.ready):
            m.d.sync += self.requests.valid.eq(0)

        # Beats of the packet so far; `at_limit` is set for the last one that is kept.
        count = Signal(range(limit))
        at_limit = Signal()
        with m.If(accepted):
            with m.If(beat.last):
                m.d.sync += [count.eq(0), at_limit.eq(0), swallowing.eq(0)]
            with m.Else():
                m.d.sync += [
                    count.eq(count + 1),
                    at_limit.eq(count == limit - 2),
                    swallowing.eq(swallowing | at_limit),
                ]
        m.d.comb += [
            beats.i.valid.eq(accepted & ~swallowing),
            beats.i.payload.eq(beat),
            beats.i.p.last.eq(beat.last | at_limit),
            beats.i.p.error.eq(beat.error | at_limit & ~beat.last),
        ]
        return m
