"""Virtual interrupt wires: INTA to INTD of the downstream ports, collapsed into the upstream's."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker
from .message_parts import MessageCode

__all__ = ["InterruptWires", "WireChangeLayout"]

_WIRE_COUNT = 4


class WireChangeLayout(data.StructLayout):
    """Assert or Deassert message that came in.

    Fields
    ------
    valid : 1 bit
        Strobe.
    code : 8 bits
        Message code; others than 0x20 to 0x27 mean nothing.
    """

    def __init__(self):
        super().__init__({"valid": 1, "code": 8})


class InterruptWires(wiring.Component):
    """Collapse the interrupt wires of the downstream ports into four upstream.

    Pin p of downstream port k drives upstream wire (k - 1 + p) mod 4, k - 1 being the port's
    device number; a wire is asserted while any pin drives it. Where the wire differs from what was
    last told upstream, a message is offered. So what changes faster than messages leave
    coalesces, and the last message tells the truth. The wires take turns.

    A port whose link is down drives nothing. While the upstream port's is, nothing is offered, and
    afterwards what is asserted is told anew.

    Latency is 2 cycles from a change to the offer. Throughput is a change of each port and 1
    message per cycle.

    Specification: PCI Express Base Specification, INTx interrupt signaling (2.2.8.1).

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 or more.

    Members
    -------
    i : In(WireChangeLayout()).array(port_count)
        What came from each port; that of port 0 is ignored.
    link_up : In(port_count)
        Bit n: the link of port n is up.
    pending : Out(1)
        There is something to tell; may be taken back. Combinational from registers, as ``code``.
    code : Out(8)
        Message code to send.
    taken : In(1)
        It is sent.

    Attributes
    ----------
    driven, told : list of Signal, Signal
        State: pins that each port asserts; wires that were told to be asserted.

    Raises
    ------
    ValueError
        If ``port_count`` is less than 2.
    """

    i: list
    link_up: Signal
    pending: Signal
    code: Signal
    taken: Signal

    def __init__(self, *, port_count: int):
        if port_count < 2:
            raise ValueError(f"port_count must be 2 or more, not {port_count!r}")
        self.port_count = port_count
        super().__init__(
            {
                "i": In(WireChangeLayout()).array(port_count),
                "link_up": In(port_count),
                "pending": Out(1),
                "code": Out(8),
                "taken": In(1),
            }
        )
        self.driven = [Signal(_WIRE_COUNT, name=f"driven_{number}") for number in range(port_count)]
        self.told = Signal(_WIRE_COUNT)
        self.wires = Signal(_WIRE_COUNT)

    def elaborate(self, platform):
        m = Module()
        m.submodules.picker = picker = RoundRobinPicker(request_count=_WIRE_COUNT)

        upstream = Signal(_WIRE_COUNT)
        for number in range(1, self.port_count):
            change = self.i[number]
            driven = self.driven[number]
            is_deassert = change.code[2]
            pin = Signal(_WIRE_COUNT, name=f"pin_{number}")
            m.d.comb += pin.eq(1 << change.code[:2])
            with m.If(~self.link_up[number]):
                m.d.sync += driven.eq(0)
            with m.Elif(change.valid & (change.code[3:] == MessageCode.ASSERT_INTA >> 3)):
                m.d.sync += driven.eq(Mux(is_deassert, driven & ~pin, driven | pin))
        for wire in range(_WIRE_COUNT):
            drivers = [
                self.driven[number][(wire - (number - 1)) % _WIRE_COUNT]
                for number in range(1, self.port_count)
            ]
            m.d.comb += upstream[wire].eq(Cat(drivers).any())
        m.d.sync += self.wires.eq(upstream)

        m.d.comb += [
            picker.requests.eq(Mux(self.link_up[0], self.wires ^ self.told, 0)),
            picker.take.eq(self.taken),
            self.pending.eq(picker.granted),
            self.code.eq(
                Mux(
                    (picker.grant & self.wires).any(),
                    MessageCode.ASSERT_INTA,
                    MessageCode.DEASSERT_INTA,
                )
                | picker.index
            ),
        ]
        with m.If(~self.link_up[0]):
            m.d.sync += self.told.eq(0)
        with m.Elif(self.taken):
            m.d.sync += self.told.eq(self.told ^ picker.grant)
        return m
