"""Messages from the root for all downstream ports."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .message_parts import MessageCode, MessageLayout
from .tlp import TlpType

__all__ = ["MessageBroadcast"]


class MessageBroadcast(wiring.Component):
    """Keep a broadcast message until every downstream port with a link has sent it.

    The ports are independent of each other; a port whose link goes down has no more to send. The
    next broadcast waits until none has. Other messages are taken and ignored.

    Latency is 1 cycle. Throughput is a broadcast every ``port_count`` cycles if one port sends in a
    cycle, and 1 other message per cycle.

    Specification: PCI Express Base Specification, message routing (2.2.8): broadcast from the root.

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 or more.

    Members
    -------
    i : In(stream.Signature(MessageLayout()))
        Messages of the upstream port. ``ready`` depends combinationally on the payload.
    link_up : In(port_count)
        Bit n: port n can send. While bit 0 is 0, nothing is kept.
    pending : Out(port_count)
        Bit n: port n is to send ``message``; bit 0 is 0. Registered.
    message : Out(MessageLayout())
        The message as it came, its digest in ``data``. Registered.
    sent : In(port_count)
        Bit n: port n sends it now.
    power_off : Out(1)
        Strobe: the message taken now is PME_Turn_Off. Combinational.

    Raises
    ------
    ValueError
        If ``port_count`` is less than 2.
    """

    i: stream.Interface
    link_up: Signal
    pending: Signal
    message: Any
    sent: Signal
    power_off: Signal

    def __init__(self, *, port_count: int):
        if port_count < 2:
            raise ValueError(f"port_count must be 2 or more, not {port_count!r}")
        self.port_count = port_count
        super().__init__(
            {
                "i": In(stream.Signature(MessageLayout())),
                "link_up": In(port_count),
                "pending": Out(port_count),
                "message": Out(MessageLayout()),
                "sent": In(port_count),
                "power_off": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        kept = Signal(MessageLayout(), reset_less=True)
        downstream = Signal(self.port_count)
        is_broadcast = Signal()
        begins = Signal()
        m.d.comb += [
            self.message.eq(kept),
            downstream.eq(Mux(self.link_up[0], self.link_up & ~1, 0)),
            is_broadcast.eq(self.i.p.header.type == TlpType.MESSAGE_BROADCAST),
            self.i.ready.eq(~(is_broadcast & self.pending.any())),
            begins.eq(self.i.valid & self.i.ready & is_broadcast),
            self.power_off.eq(
                begins & (self.i.p.header.specific.message.code == MessageCode.PME_TURN_OFF)
            ),
        ]
        m.d.sync += self.pending.eq(self.pending & ~self.sent & downstream)
        with m.If(begins):
            m.d.sync += [self.pending.eq(downstream), kept.eq(self.i.payload)]
        return m
