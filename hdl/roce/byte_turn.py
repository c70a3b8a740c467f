"""Results of atomic operations, as hosts have numbers."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import PacketSignature, Queue
from .config import RoceConfig
from .layouts import WriteOrderKind, WriteOrderLayout

__all__ = ["ByteTurn"]

#: Orders that go ahead of their data: as many as the Writer takes.
_ORDERS = 16
_BYTES = 8


class ByteTurn(wiring.Component):
    """Turn the 8 bytes of those orders that are ``swapped``: on the wire the highest comes first.

    A packet of data leaves when its order has left.

    Latency of orders and data is 0. Throughput is an order, and a beat, per cycle.

    Specification: IBTA Architecture Specification volume 1, 9.3.5.4 (AtomicAckETH).

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    orders : In(stream.Signature(WriteOrderLayout(config)))
    data : In(PacketSignature(data_bytes))
        For each order of DATA, a packet.
    o_orders, o_data :
        They. All are combinational, but that ``o_data.valid`` waits for a register.
    """

    orders: stream.Interface
    data: stream.Interface
    o_orders: stream.Interface
    o_data: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        orders = stream.Signature(WriteOrderLayout(config))
        super().__init__(
            {
                "orders": In(orders),
                "data": In(PacketSignature(config.data_bytes)),
                "o_orders": Out(orders),
                "o_data": Out(PacketSignature(config.data_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.turns = turns = Queue(shape=unsigned(1), depth=_ORDERS, shallow=True)
        is_data = self.orders.p.kind == WriteOrderKind.DATA
        may = ~is_data | turns.i.ready
        beat = self.data.p
        m.d.comb += [
            self.o_orders.valid.eq(self.orders.valid & may),
            self.o_orders.payload.eq(self.orders.payload),
            self.orders.ready.eq(self.o_orders.ready & may),
            turns.i.valid.eq(self.orders.valid & self.o_orders.ready & is_data),
            turns.i.payload.eq(self.orders.p.swapped),
            self.o_data.valid.eq(self.data.valid & turns.o.valid),
            self.o_data.payload.eq(self.data.payload),
            self.data.ready.eq(self.o_data.ready & turns.o.valid),
            turns.o.ready.eq(self.data.valid & self.o_data.ready & beat.last),
        ]
        with m.If(turns.o.payload):
            m.d.comb += [
                self.o_data.p.data.word_select(n, 8).eq(beat.data.word_select(_BYTES - 1 - n, 8))
                for n in range(_BYTES)
            ]
        return m
