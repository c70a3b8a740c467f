"""Messages that end at the switch or begin there."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker, select_one_hot
from .answer_room import AnswerRoom
from .completer import AnswerLayout
from .interrupt_wires import InterruptWires
from .message_parts import MessageCode, MessageLayout, function_number, message_header
from .parts import ReportLayout
from .power_off import PowerOff
from .report_mux import ReportMux
from .route import BridgeLayout, check_ports
from .tlp import TlpHeaderLayout, TlpType

__all__ = ["MessageUnit"]


class MessageUnit(wiring.Component):
    """Take the messages that end at the switch, and make those that begin there.

    What becomes of each: :class:`InterruptWires`, :class:`PowerOff`, :class:`ReportMux`. Other
    messages, such as Set_Slot_Power_Limit, are taken without effect. All that is made goes up;
    what waits takes turns while there is room in the upstream port's queue.

    Latency is 4 cycles for a change of an interrupt wire, 2 for a report. Throughput is 1 message
    in per port and cycle, and 1 out per cycle.

    Specification: PCI Express Base Specification, messages (2.2.8).

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 to 8.
    row_count : int
        Posted TLPs that the queue of the upstream port holds.

    Members
    -------
    i : In(stream.Signature(TlpHeaderLayout())).array(port_count)
        Messages of each port, taken at once.
    turn_off : In(1)
        Strobe: PME_Turn_Off goes to the downstream ports.
    reports : In(stream.Signature(ReportLayout())).array(port_count)
        Reports of the ports' functions.
    bridges : In(BridgeLayout(port_count)).array(port_count)
        Of which ``bus`` and ``device`` count.
    link_up : In(port_count)
        Bit n: the link of port n is up. Nothing survives that bit 0 is 0.
    left : In(1)
        A posted TLP has left the queue of the upstream port.
    o : Out(stream.Signature(AnswerLayout(port_count)))
        TLPs, for which there is room. Registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: list[Any]
    turn_off: Signal
    reports: list[Any]
    bridges: list[Any]
    link_up: Signal
    left: Signal
    o: stream.Interface

    def __init__(self, *, port_count: int, row_count: int):
        check_ports(port_count)
        self.port_count = port_count
        self._room = AnswerRoom(port_count=1, row_count=row_count)
        super().__init__(
            {
                "i": In(stream.Signature(TlpHeaderLayout())).array(port_count),
                "turn_off": In(1),
                "reports": In(stream.Signature(ReportLayout())).array(port_count),
                "bridges": In(BridgeLayout(port_count)).array(port_count),
                "link_up": In(port_count),
                "left": In(1),
                "o": Out(stream.Signature(AnswerLayout(port_count))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.wires = wires = InterruptWires(port_count=self.port_count)
        m.submodules.power_off = power_off = PowerOff(port_count=self.port_count)
        m.submodules.report_mux = reports = ReportMux(port_count=self.port_count)

        m.d.comb += self.i[0].ready.eq(1)
        for number in range(self.port_count):
            wiring.connect(m, wiring.flipped(self.reports[number]), reports.i[number])
            m.d.comb += reports.bridges[number].eq(self.bridges[number])
        for number in range(1, self.port_count):
            message = self.i[number]
            header = message.p
            code = header.specific.message.code
            m.d.comb += message.ready.eq(1)
            m.d.sync += [
                wires.i[number].valid.eq(message.valid & (header.type == TlpType.MESSAGE_LOCAL)),
                wires.i[number].code.eq(code),
                power_off.acknowledged[number].eq(
                    message.valid
                    & (header.type == TlpType.MESSAGE_GATHER)
                    & (code == MessageCode.PME_TO_ACK)
                ),
            ]
        m.d.comb += [
            wires.link_up.eq(self.link_up),
            power_off.link_up.eq(self.link_up),
            power_off.begins.eq(self.turn_off),
            reports.up.eq(self.link_up[0]),
        ]

        own_number = function_number(self.bridges[0])
        interrupt: Any = Signal(MessageLayout())
        acknowledge: Any = Signal(MessageLayout())
        message_header(
            m,
            interrupt.header,
            type=TlpType.MESSAGE_LOCAL,
            code=wires.code,
            requester=own_number,
        )
        message_header(
            m,
            acknowledge.header,
            type=TlpType.MESSAGE_GATHER,
            code=MessageCode.PME_TO_ACK,
            requester=own_number,
        )

        m.submodules.room = room = self._room
        m.submodules.picker = picker = RoundRobinPicker(request_count=3)
        free = Signal()
        take = Signal(3)
        waiting = Cat(wires.pending, power_off.pending, reports.o.valid)
        m.d.comb += [
            picker.requests.eq(Mux(room.has_room, waiting, 0)),
            picker.take.eq(free),
            take.eq(Mux(free, picker.grant, 0)),
            Cat(wires.taken, power_off.taken, reports.o.ready).eq(take),
            room.left.eq(self.left),
            room.take.eq(take.any()),
        ]

        message: Any = Signal(AnswerLayout(self.port_count), reset_less=True)
        chosen: Any = Signal(MessageLayout())
        m.d.comb += [
            free.eq(~self.o.valid | self.o.ready),
            self.o.payload.eq(message),
            Value.cast(chosen).eq(
                select_one_hot(picker.grant, [interrupt, acknowledge, reports.o.payload])
            ),
        ]
        with m.If(free):
            m.d.sync += [
                self.o.valid.eq(picker.granted),
                message.port.eq(1),
                message.header.eq(chosen.header),
                message.data.eq(chosen.data),
            ]
        return m
