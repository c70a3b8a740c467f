"""Two ports joined by a queue each way: what the test library itself is tested with."""

from typing import Any

from amaranth import *
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import Out

from hdl.pcie.port import DATA_CREDIT_BITS, HEADER_CREDIT_BITS, TlpPortSignature
from hdl.pcie.tlp import CLASS_COUNT, TlpBeatLayout, class_of, data_credits

__all__ = ["Wire"]


class Wire(wiring.Component):
    """What goes into one port comes out of the other, in order, when there are credits for it.

    Credits are given again as beats leave. Not a switch: it has no rules, and a class without
    credits stops all.

    Parameters
    ----------
    segment_count : int
        Segments of a beat.
    headers, data : int
        Credits that are advertised in each class.

    Members
    -------
    ports : Out(TlpPortSignature(segment_count)).array(2)
        The ports.
    """

    ports: list[Any]

    def __init__(self, *, segment_count: int, headers: int = 32, data: int = 512):
        self.segment_count = segment_count
        self.headers = headers
        self.data = data
        super().__init__({"ports": Out(TlpPortSignature(segment_count)).array(2)})

    def elaborate(self, platform):
        """Build the queues."""
        m = Module()
        for number in range(2):
            self._join(m, number, 1 - number)
        return m

    def _join(self, m: Module, source: int, target: int) -> None:
        """Queue from port ``source`` to port ``target``."""
        from_port, to_port = self.ports[source], self.ports[target]
        layout = TlpBeatLayout(self.segment_count)
        m.submodules[f"queue_{source}"] = queue = fifo.SyncFIFO(width=layout.size, depth=512)
        beat = Signal(layout, name=f"beat_{source}")
        m.d.comb += [
            queue.w_data.eq(from_port.rx),
            queue.w_en.eq(from_port.rx.valid.any()),
            beat.eq(queue.r_data),
            to_port.tx.payload.eq(beat),
        ]

        allowed = Signal(2 * CLASS_COUNT, name=f"allowed_{source}")
        leaves = Signal(name=f"leaves_{source}")
        m.d.comb += [
            to_port.tx.valid.eq(queue.r_rdy & allowed.all()),
            leaves.eq(to_port.tx.valid & to_port.tx.ready),
            queue.r_en.eq(leaves),
        ]
        for flow in range(CLASS_COUNT):
            begins = [
                lane_valid & segment.sop & (class_of(segment.header) == flow)
                for lane_valid, segment in zip(beat.valid, beat.segments, strict=True)
            ]
            amounts = {
                "headers": sum(begins, C(0)),
                "data": sum(
                    (
                        Mux(begin, data_credits(segment.header), 0)
                        for begin, segment in zip(begins, beat.segments, strict=True)
                    ),
                    C(0),
                ),
            }
            for part, (name, amount) in enumerate(amounts.items()):
                width = HEADER_CREDIT_BITS if name == "headers" else DATA_CREDIT_BITS
                spent = Signal(width, name=f"spent_{source}_{flow}_{name}")
                need = Signal(width, name=f"need_{source}_{flow}_{name}")
                room = Signal(width, name=f"room_{source}_{flow}_{name}")
                field = (8 if name == "headers" else 12) + 2 * to_port.tx_scale
                m.d.comb += [
                    need.eq(amount),
                    room.eq((to_port.tx_limits[flow][name] - spent) & ((1 << field) - 1)),
                    allowed[2 * flow + part].eq(
                        (need <= room) | to_port.tx_infinite[2 * flow + part]
                    ),
                    from_port.rx_credits[flow][name].eq(spent + getattr(self, name)),
                ]
                with m.If(leaves):
                    m.d.sync += spent.eq(spent + amount)
                with m.If(~to_port.link_up):
                    m.d.sync += spent.eq(0)
