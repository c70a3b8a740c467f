"""hdl.roce.Intake behind the parser that feeds it."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.pipeline import Parser
from hdl.roce.config import RoceConfig
from hdl.roce.intake import Intake
from hdl.roce.layouts import RequestLayout
from hdl.stream import PacketSignature

__all__ = ["HEADER_COUNT", "SLOTS", "ParsedIntake"]

#: Headers of a packet with two tags, IPv4 or IPv6, UDP, BTH and two extended headers.
HEADER_COUNT = 8
#: The least that the block asks for.
SLOTS = {"network": 40, "transport": 8, "rdma": 40}


class ParsedIntake(wiring.Component):
    """Frames in, requests and packets out.

    Parameters
    ----------
    config : RoceConfig
        Sizes.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Frames without FCS.
    requests, packets :
        Those of ``Intake``.
    last_taken : Out(1)
        Pulse: the block took a packet's last beat.
    """

    i: stream.Interface
    requests: stream.Interface
    packets: stream.Interface
    last_taken: Signal

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "i": In(PacketSignature(config.data_bytes)),
                "requests": Out(stream.Signature(RequestLayout())),
                "packets": Out(PacketSignature(config.data_bytes)),
                "last_taken": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the two."""
        m = Module()
        m.submodules.parser = parser = Parser(
            data_bytes=self.config.data_bytes, header_count=HEADER_COUNT, slots=SLOTS
        )
        m.submodules.intake = intake = Intake(
            config=self.config, header_count=HEADER_COUNT, slots=SLOTS
        )
        wiring.connect(m, wiring.flipped(self.i), parser.i)
        wiring.connect(m, parser.o, intake.i)
        wiring.connect(m, intake.requests, wiring.flipped(self.requests))
        wiring.connect(m, intake.packets, wiring.flipped(self.packets))
        m.d.comb += self.last_taken.eq(parser.o.valid & parser.o.ready & parser.o.p.beat.last)
        return m
