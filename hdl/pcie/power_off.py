"""Acknowledgements of PME_Turn_Off, gathered."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PowerOff"]


class PowerOff(wiring.Component):
    """Gather PME_TO_Ack of the downstream ports into one for upstream.

    After ``begins``, an acknowledgement is due from every downstream port whose link is up: when
    each has come or its port's link gone down, one is offered. Those that come when none is due are
    ignored, and so is ``begins`` while one is. That PME_Turn_Off may still be on its way to a port
    does not matter: nobody acknowledges what has not come.

    Latency is 1 cycle from the last acknowledgement. Throughput is one of each port per cycle.

    Specification: PCI Express Base Specification, power management messages (2.2.8.2) and
    the PME_Turn_Off handshake (5.3.3.2.1).

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 or more.

    Members
    -------
    begins : In(1)
        Strobe: PME_Turn_Off goes to every downstream port.
    acknowledged : In(port_count)
        Bit n: a PME_TO_Ack came from port n; bit 0 is ignored.
    link_up : In(port_count)
        Bit n: the link of port n is up. While bit 0 is 0, nothing is due.
    pending : Out(1)
        One is to go up. Combinational from ``link_up`` and registers.
    taken : In(1)
        It goes.

    Raises
    ------
    ValueError
        If ``port_count`` is less than 2.
    """

    begins: Signal
    acknowledged: Signal
    link_up: Signal
    pending: Signal
    taken: Signal

    def __init__(self, *, port_count: int):
        if port_count < 2:
            raise ValueError(f"port_count must be 2 or more, not {port_count!r}")
        self.port_count = port_count
        super().__init__(
            {
                "begins": In(1),
                "acknowledged": In(port_count),
                "link_up": In(port_count),
                "pending": Out(1),
                "taken": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        is_due = Signal()
        missing = Signal(self.port_count)
        m.d.comb += self.pending.eq(is_due & self.link_up[0] & ~missing[1:].any())
        m.d.sync += missing.eq(missing & ~self.acknowledged & self.link_up)
        with m.If(~self.link_up[0] | self.taken):
            m.d.sync += is_due.eq(0)
        with m.Elif(self.begins & ~is_due):
            m.d.sync += [is_due.eq(1), missing.eq(self.link_up)]
        return m
