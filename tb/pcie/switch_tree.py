"""Two switches, one below the other, for tests."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hdl.pcie import Switch
from hdl.pcie.port import TlpPortSignature

from .joined import join_ports

__all__ = ["SwitchTree"]


class SwitchTree(wiring.Component):
    """Two switches whose ports are joined without any link between.

    Parameters
    ----------
    ports : int
        Ports of each switch.
    segments : int
        Segments of a beat.

    Members
    -------
    ports : Out(TlpPortSignature(segments)).array(2 * ports - 2)
        Upstream port of the upper switch; its downstream ports but the first; the downstream
        ports of the lower switch, which is below that first one.
    between : Out(2)
        A beat goes up (bit 0) or down (bit 1) between the two.
    """

    ports: Any
    between: Signal

    def __init__(self, *, ports: int, segments: int):
        self.port_count = ports
        self.segment_count = segments
        signature = TlpPortSignature(segments)
        super().__init__({"ports": Out(signature).array(2 * ports - 2), "between": Out(2)})

    def elaborate(self, platform):
        """Join them."""
        m = Module()
        m.submodules.upper = upper = Switch(ports=self.port_count, segments=self.segment_count)
        m.submodules.lower = lower = Switch(ports=self.port_count, segments=self.segment_count)
        inner = [upper.ports[0], *upper.ports[2:], *lower.ports[1:]]
        for outside, inside in zip(self.ports, inner, strict=True):
            wiring.connect(m, wiring.flipped(outside), inside)

        above, below = upper.ports[1], lower.ports[0]
        join_ports(m, above, below, self.segment_count)
        m.d.comb += self.between.eq(Cat(below.tx.valid, above.tx.valid))
        return m
