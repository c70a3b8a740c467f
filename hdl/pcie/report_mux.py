"""Errors and interrupts of the ports' own functions, as TLPs."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker, select_one_hot
from .message_parts import MessageCode, MessageLayout, function_number, message_header
from .parts import ReportLayout
from .route import BridgeLayout
from .tlp import TlpType

__all__ = ["ReportMux"]


class ReportMux(wiring.Component):
    """Merge the reports of the ports' functions and put them in TLPs for the root complex.

    Errors become ERR_COR, ERR_NONFATAL or ERR_FATAL messages, interrupts memory writes of one DW,
    with a header of 4 DW where the address needs it; the requester is the function. The
    functions take turns. While the upstream port's link is down, reports are taken and dropped.

    Latency is 1 cycle. Throughput is 1 report per cycle.

    Specification: PCI Express Base Specification, error signaling messages (2.2.8.3) and message
    signaled interrupts (6.1.4).

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 or more.

    Members
    -------
    i : In(stream.Signature(ReportLayout())).array(port_count)
        Reports of each port's function. ``ready`` depends combinationally on every ``valid`` and
        on ``o.ready``.
    bridges : In(BridgeLayout(port_count)).array(port_count)
        Of which ``bus`` and ``device`` count.
    up : In(1)
        The upstream port's link is up.
    o : Out(stream.Signature(MessageLayout()))
        TLPs; taken back when ``up`` falls. The payload is combinational from registers.
    """

    i: list[Any]
    bridges: list[Any]
    up: Signal
    o: stream.Interface

    def __init__(self, *, port_count: int):
        self.port_count = port_count
        self._picker = RoundRobinPicker(request_count=port_count)
        super().__init__(
            {
                "i": In(stream.Signature(ReportLayout())).array(port_count),
                "bridges": In(BridgeLayout(port_count)).array(port_count),
                "up": In(1),
                "o": Out(stream.Signature(MessageLayout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.picker = picker = self._picker

        report: Any = Signal(ReportLayout(), reset_less=True)
        port = Signal(self.port_count, reset_less=True)
        held = Signal()
        free = Signal()
        m.d.comb += [
            free.eq(~held | self.o.ready | ~self.up),
            picker.requests.eq(Cat(reports.valid for reports in self.i)),
            picker.take.eq(free),
            Cat(reports.ready for reports in self.i).eq(Mux(free, picker.grant, 0)),
            self.o.valid.eq(held & self.up),
        ]
        with m.If(free):
            m.d.sync += [
                held.eq(picker.granted & self.up),
                port.eq(picker.grant),
                Value.cast(report).eq(
                    select_one_hot(picker.grant, [reports.payload for reports in self.i])
                ),
            ]

        requester = Signal(16)
        header = self.o.p.header
        memory = header.specific.memory
        m.d.comb += [
            requester.eq(select_one_hot(port, [function_number(b) for b in self.bridges])),
            self.o.p.data.eq(report.data),
        ]
        with m.If(report.kind == 3):
            m.d.comb += [
                header.has_data.eq(1),
                header.four_dwords.eq(report.address[32:].any()),
                header.type.eq(TlpType.MEMORY),
                header.length.eq(1),
                header.requester.eq(requester),
                memory.first_be.eq(0xF),
                memory.address.eq(Cat(C(0, 2), report.address[2:])),
            ]
        with m.Else():
            code = Mux(
                report.kind[1],
                MessageCode.ERR_FATAL,
                Mux(report.kind[0], MessageCode.ERR_NONFATAL, MessageCode.ERR_COR),
            )
            message_header(m, header, type=TlpType.MESSAGE_TO_ROOT, code=code, requester=requester)
        return m
