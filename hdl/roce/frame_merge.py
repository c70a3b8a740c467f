"""Frames of two who send into one stream."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from ..stream import PacketSignature, Queue
from .config import RoceConfig
from .merge import Merge
from .send_layouts import FrameLayout

__all__ = ["FrameMerge"]

# Frames that have left and whose data have not: as many as FrameBuilder takes before it needs the
# first one's data, and what the queue's own latency adds.
_FRAMES = 8


class FrameMerge(wiring.Component):
    """Let two who send frames take turns.

    Whoever has a frame is served, the other one first after that; data of the frames with bytes
    follow in the frames' order. Who has taken its turn and lets its data wait holds up the other,
    so a frame is to be offered when its first beat of data is there.

    Latency is 1 cycle for frames, none for data, of which the first come out 2 cycles behind their
    frame. Throughput is 1 frame and 1 beat of data per cycle, from packet to packet, too.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    i : In(stream.Signature(FrameLayout(config))).array(2)
        Frames; one that waits may be exchanged for another, or taken back. ``i[n].ready`` depends
        combinationally on ``o.ready`` and every ``i[*].valid``.
    data : In(PacketSignature(data_bytes)).array(2)
        For each of ``i`` with bytes, a packet. ``data[n].ready`` depends combinationally on
        ``o_data.ready``.
    o : Out(stream.Signature(FrameLayout(config)))
        Frames, registered.
    o_data : Out(PacketSignature(data_bytes))
        For each of ``o`` with bytes, a packet; ``o_data`` depends combinationally on ``data``.
    """

    i: list[stream.Interface]
    data: list[stream.Interface]
    o: stream.Interface
    o_data: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(FrameLayout(config))).array(2),
                "data": In(PacketSignature(config.data_bytes)).array(2),
                "o": Out(stream.Signature(FrameLayout(config))),
                "o_data": Out(PacketSignature(config.data_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = StructLayout({"frame": FrameLayout(self.config), "source": 1})
        m.submodules.merge = merge = Merge(shape=shape, input_count=2)
        m.submodules.order = order = Queue(shape=1, depth=_FRAMES, shallow=True)
        for number, (port, inner) in enumerate(zip(self.i, merge.i, strict=True)):
            m.d.comb += [
                inner.valid.eq(port.valid),
                Value.cast(inner.payload).eq(Cat(port.payload, C(number, 1))),
                port.ready.eq(inner.ready),
            ]

        # A frame leaves when whose data are next can be noted.
        merged: Any = merge.o.p
        m.d.comb += [
            self.o.valid.eq(merge.o.valid & order.i.ready),
            self.o.payload.eq(merged.frame),
            merge.o.ready.eq(self.o.ready & order.i.ready),
            order.i.valid.eq(merge.o.valid & self.o.ready & (merged.frame.payload_bytes != 0)),
            order.i.payload.eq(merged.source),
        ]

        given: Any = self.o_data
        m.d.comb += [
            given.payload.eq(Mux(order.o.payload, self.data[1].payload, self.data[0].payload)),
            given.valid.eq(
                order.o.valid & Mux(order.o.payload, self.data[1].valid, self.data[0].valid)
            ),
            self.data[0].ready.eq(given.ready & order.o.valid & ~order.o.payload),
            self.data[1].ready.eq(given.ready & order.o.valid & order.o.payload),
            order.o.ready.eq(given.valid & given.ready & given.p.last),
        ]
        return m
