"""Receive side of a port: from the link to the queues."""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .parts import CreditAmountsLayout, ErrorEventsLayout, RoutedBeatLayout
from .port import CreditCountsLayout
from .receive_credits import RETURNED_BITS, ReceiveCredits
from .refusals import Refusals
from .route import BridgeLayout
from .router import Router
from .shared_credits import SharedCredits
from .tlp import TlpBeatLayout, TlpClass
from .tlp_buffer import TlpBuffer
from .tlp_check import TlpCheck

__all__ = ["Ingress"]


class Ingress(wiring.Component):
    """Check, hold and route what a port receives, and keep the credits of its sender.

    What comes out is whole and well formed and knows where it goes. Nothing stops it: each TLP has
    credits, so that there is room for it in whichever queue it goes to. Those credits come back
    from where it leaves: from the queues (``freed``), or here, if it is malformed or goes nowhere.

    Latency is 7 cycles from the last beat of a TLP to ``o``. Throughput is 1 beat per cycle.

    Specification: PCI Express Base Specification, 2.3.1 (handling of received TLPs), 2.6.1 (flow
    control).

    Parameters
    ----------
    port : int
        Number of the port.
    port_count : int
        Ports of the switch, 2 to 8.
    segment_count : int
        Segments a beat: 1, 2 or 4.
    credits : sequence of 3 pairs
        Header and data credits that the port advertises, by class.
    max_payload_bytes : int
        Longest payload, a power of two from 128 to 4096.

    Members
    -------
    rx : In(TlpBeatLayout(segment_count))
        From the link.
    link_up : In(1)
        While 0, ``rx`` is ignored and the counts of credits restart.
    held : In(1)
        The link is being reset or disabled: ``rx`` is ignored though the link is still up.
    allocated : Out(CreditCountsLayout())
        Credits that the sender has been given. Registered.
    drained : Out(1)
        All that was received has left the switch. Registered.
    bridges : In(BridgeLayout(port_count)).array(port_count)
        Configuration of every port.
    o : Out(RoutedBeatLayout(port_count, segment_count))
        Beats with their routes. Registered.
    freed : In(CreditAmountsLayout(3, 11)).array(port_count)
        Credits that come back from each queue that this port fills: of the other ports in their
        order, then of the switch's own unit.
    shared_left : In(range(segment_count + 1)).array(port_count - 1)
        Upstream port only: broadcasts that have left each downstream port.
    events : Out(ErrorEventsLayout())
        What was wrong. Registered.
    malformed, overflow, nullified : Out(range(segment_count + 2))
        How many TLPs ended in the check in this cycle. Registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    rx: Any
    link_up: Signal
    held: Signal
    allocated: Any
    drained: Signal
    bridges: list[Any]
    o: Any
    freed: list[Any]
    shared_left: list[Signal]
    events: Any
    malformed: Signal
    overflow: Signal
    nullified: Signal

    def __init__(
        self,
        *,
        port: int,
        port_count: int,
        segment_count: int,
        credits: Sequence[Sequence[int]],
        max_payload_bytes: int,
    ):
        self._router = Router(port_count=port_count, segment_count=segment_count, port=port)
        self._check = TlpCheck(segment_count=segment_count, max_payload_bytes=max_payload_bytes)
        self._buffer = TlpBuffer(segment_count=segment_count, max_payload_bytes=max_payload_bytes)
        self._refusals = Refusals(port_count=port_count, segment_count=segment_count)
        # Only what comes from above is broadcast.
        self._shared = None
        if port == 0:
            self._shared = SharedCredits(
                column_count=port_count - 1,
                segment_count=segment_count,
                headers=credits[TlpClass.POSTED.value][0],
            )
        self._credits = ReceiveCredits(
            advertised=credits, source_count=port_count + 2 + (port == 0)
        )
        super().__init__(
            {
                "rx": In(TlpBeatLayout(segment_count)),
                "link_up": In(1),
                "held": In(1),
                "allocated": Out(CreditCountsLayout()),
                "drained": Out(1),
                "bridges": In(BridgeLayout(port_count)).array(port_count),
                "o": Out(RoutedBeatLayout(port_count, segment_count)),
                "freed": In(CreditAmountsLayout(*RETURNED_BITS)).array(port_count),
                "shared_left": In(range(segment_count + 1)).array(port_count - 1),
                "events": Out(ErrorEventsLayout()),
                "malformed": Out(range(segment_count + 2)),
                "overflow": Out(range(segment_count + 2)),
                "nullified": Out(range(segment_count + 2)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.check = check = self._check
        m.submodules.buffer = buffer = self._buffer
        m.submodules.router = router = self._router
        m.submodules.refusals = refusals = self._refusals
        m.submodules.credits = credits = self._credits

        m.d.comb += [
            check.i.eq(self.rx),
            check.flush.eq(~self.link_up | self.held),
            buffer.i.eq(check.o),
            router.i.eq(buffer.o),
            *(inner.eq(outer) for inner, outer in zip(router.bridges, self.bridges, strict=True)),
            self.o.eq(router.o),
            refusals.i.eq(router.o),
            self.malformed.eq(check.malformed),
            self.overflow.eq(check.overflow),
            self.nullified.eq(check.nullified),
        ]

        m.d.comb += [
            check.room.eq(credits.room),
            check.returning.eq(credits.returning),
            credits.room_left.eq(check.room_left),
            credits.link_up.eq(self.link_up),
            self.allocated.eq(credits.allocated),
            self.drained.eq(credits.drained),
            *(
                inner.eq(outer)
                for inner, outer in zip(
                    credits.returned, [*self.freed, check.dropped, refusals.dropped], strict=False
                )
            ),
        ]
        if self._shared is not None:
            m.submodules.shared = shared = self._shared
            m.d.comb += [
                *(
                    inner.eq(outer)
                    for inner, outer in zip(shared.left, self.shared_left, strict=True)
                ),
                credits.returned[-1][TlpClass.POSTED.value].headers.eq(shared.freed),
            ]

        # What the check finds goes before what the router refuses: of one cycle one header is kept.
        m.d.sync += [
            self.events.eq(refusals.events),
            self.events.malformed.eq(refusals.events.malformed | check.malformed.any()),
            self.events.overflow.eq(check.overflow.any()),
        ]
        with m.If(check.malformed.any() | check.overflow.any()):
            m.d.sync += self.events.header.eq(check.bad_header)

        return m
