"""Actions of responder and requester, in the order of their packets."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker
from ..bits.picker import select_one_hot
from ..stream import Queue
from .config import RoceConfig
from .layouts import ActionKind, ActionLayout
from .reply_route import PacketOwner

__all__ = ["ActionMerge"]

#: Packets whose action has not come: those in the stages and queues of the responder (30), or in
#: those of the requester, and as many that wait for the other one.
_PACKETS = 64


class ActionMerge(wiring.Component):
    """Give one action for each packet, in order, and those without a packet in between.

    Actions of each of the two stay in their order. Those of nobody's packets are made here. Who
    has an action that may be next waits for the others' one at most.

    Latency is 1 cycle. Throughput is an action per cycle.

    Specification: this docstring.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    owners : In(stream.Signature(PacketOwner))
        Of each packet.
    i : In(stream.Signature(ActionLayout(config))).array(2)
        Of the responder, and of the requester. ``i[n].ready`` depends combinationally on
        ``o.ready`` and ``i[*].valid``.
    o : Out(stream.Signature(ActionLayout(config)))
        Registered.
    """

    owners: stream.Interface
    i: list[stream.Interface]
    o: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "owners": In(stream.Signature(PacketOwner)),
                "i": In(stream.Signature(ActionLayout(config))).array(2),
                "o": Out(stream.Signature(ActionLayout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.order = order = Queue(
            shape=PacketOwner, depth=_PACKETS, shallow=True, half_rate=self.config.is_narrow
        )
        m.submodules.picker = picker = RoundRobinPicker(request_count=3)
        wiring.connect(m, wiring.flipped(self.owners), order.i)
        action: Any = Signal(ActionLayout(self.config), reset_less=True)
        dropped: Any = Signal(ActionLayout(self.config))
        owner = order.o.payload
        takes = Signal()
        may = [
            port.valid & (~port.p.has_packet | (order.o.valid & (owner == number)))
            for number, port in enumerate(self.i)
        ]
        m.d.comb += [
            dropped.kind.eq(ActionKind.DROP),
            dropped.has_packet.eq(1),
            picker.requests.eq(Cat(*may, order.o.valid & (owner == PacketOwner.NOBODY))),
            takes.eq(self.o.ready | ~self.o.valid),
            picker.take.eq(takes),
            *(port.ready.eq(takes & picker.grant[n]) for n, port in enumerate(self.i)),
            order.o.ready.eq(
                takes
                & Cat(
                    picker.grant[2],
                    *(picker.grant[n] & port.p.has_packet for n, port in enumerate(self.i)),
                ).any()
            ),
            self.o.payload.eq(action),
        ]
        with m.If(takes):
            m.d.sync += [
                self.o.valid.eq(picker.granted),
                Value.cast(action).eq(
                    select_one_hot(picker.grant, [self.i[0].payload, self.i[1].payload, dropped])
                ),
            ]
        return m
