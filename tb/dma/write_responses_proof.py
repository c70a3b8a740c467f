"""Proof that hdl.dma.WriteResponses gives no response before its TLPs have left."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.dma import MemoryResponseLayout, MemoryStatus, WriteResponses
from hdl.dma.write_parts import WriteDoneLayout
from tb.prove import Proof

__all__ = ["PROOFS"]

_WATCHED = 2


class _InTime(wiring.Component):
    """Requests of a client end, TLPs leave, at any time.

    What the first two ended with is remembered. When their responses come, as many TLPs
    have left as have to; each says what its request ended with, or that the link went down.
    """

    i: stream.Interface
    left: Signal
    link_up: Signal
    ready: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {
                "i": In(stream.Signature(WriteDoneLayout(1))),
                "left": In(1),
                "link_up": In(1),
                "ready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = WriteResponses(client_count=1, segment_count=1, response_count=4)
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        port = dut.o[0]
        m.d.comb += [
            dut.left.eq(self.left),
            dut.link_up.eq(self.link_up),
            port.ready.eq(self.ready),
        ]
        left = Signal(4)
        ended = Signal(4)
        given = Signal(4)
        was_down = Signal()
        m.d.sync += [left.eq(left + self.left), was_down.eq(was_down | ~self.link_up)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += ended.eq(ended + 1)
        with m.If(port.valid & port.ready):
            m.d.sync += given.eq(given + 1)

        last_number = Signal(4)
        for n in range(_WATCHED):
            number = Signal(4, name=f"number_{n}")
            response = Signal(MemoryResponseLayout(), name=f"response_{n}")
            came = Signal(name=f"came_{n}")
            m.d.comb += came.eq(port.valid & (given == n))
            with m.If(self.i.valid & self.i.ready & (ended == n)):
                m.d.sync += [
                    number.eq(self.i.p.number),
                    response.tag.eq(self.i.p.tag),
                    response.status.eq(self.i.p.status),
                ]
            lost = Signal(name=f"lost_{n}")
            m.d.comb += lost.eq(
                was_down
                & (response.status == MemoryStatus.OK)
                & (port.p.status == MemoryStatus.LINK_DOWN)
            )
            with m.If(~ResetSignal()):
                if self.cover:
                    m.d.comb += Cover(came & (number == n + 1), f"response {n}")
                    continue
                m.d.comb += [
                    Assert(~came | (given < ended), "a response to nothing"),
                    Assert(~came | (left >= number), "too early"),
                    Assert(~came | (port.p.tag == response.tag), "tag"),
                    Assert(~came | lost | (port.p.status == response.status), "status"),
                ]
        with m.If(self.i.valid):
            m.d.sync += last_number.eq(self.i.p.number)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~self.i.valid | (self.i.p.number >= last_number), "TLPs are counted up"),
                Assume(~self.i.valid | (self.i.p.number < 4), "few TLPs"),
                Assume(~self.i.valid | (self.i.p.client == 0), "one client"),
            ]
        return m


PROOFS = [
    Proof("dma.WriteResponses/none before its TLPs have left", _InTime, depth=10, mode="bmc"),
    Proof("dma.WriteResponses/responses", lambda: _InTime(cover=True), depth=10, mode="cover"),
]
