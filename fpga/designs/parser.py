"""The parser behind a serial line: packets in, descriptors out."""

from typing import Any, ClassVar

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from hdl.pipeline import Parser
from hdl.serial import Report, SlipDecoder, SlipEncoder, UartReceiver, UartTransmitter
from hdl.stream import PacketQueue, Upsizer

__all__ = ["ParserDesign"]


class ParserDesign(wiring.Component):
    """Answer each packet that comes over the serial line with the parser's descriptor of it.

    Packets, from the Ethernet header on and without FCS, and answers are SLIP frames. An answer
    has the bits of ``DescriptorLayout`` and above them those of ``IcrcVerdict``, the lowest first,
    in whole bytes. A frame that breaks SLIP's rules, or does not fit into what is free of 4 KiB, is
    dropped whole: answers are longer than the shortest packets, so a host that sends such ones
    back to back waits for the answers.

    Latency is that of the line and of :class:`Parser`. Throughput is the line's.

    Specification: docs/flows.md.

    Parameters
    ----------
    clocks_per_bit : int
        Cycles per bit of the serial line, 4 or more.

    Members
    -------
    rx : In(1)
        From the host, asynchronous.
    tx : Out(1)
        To the host.
    """

    #: What is parsed, and what an answer tells of it.
    PARAMETERS: ClassVar[dict[str, Any]] = {
        "data_bytes": 8,
        "header_count": 6,
        "slots": {"network": 20, "transport": 8, "rdma": 12},
    }

    rx: Signal
    tx: Signal

    def __init__(self, *, clocks_per_bit: int):
        self.clocks_per_bit = clocks_per_bit
        self.parser = Parser(**self.PARAMETERS)
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform):
        """Wire the blocks in a row."""
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(clocks_per_bit=self.clocks_per_bit)
        m.submodules.decoder = decoder = SlipDecoder()
        m.submodules.queue = queue = PacketQueue(data_bytes=1, depth=4094)
        m.submodules.upsizer = upsizer = Upsizer(i_bytes=1, o_bytes=8)
        m.submodules.parser = parser = self.parser
        answer = Cat(parser.o.p.descriptor, parser.o.p.icrc)
        m.submodules.report = report = Report(width=len(answer))
        m.submodules.encoder = encoder = SlipEncoder()
        m.submodules.transmitter = transmitter = UartTransmitter(clocks_per_bit=self.clocks_per_bit)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        connect(m, receiver.o, decoder.i)
        connect(m, decoder.o, queue.i)
        connect(m, queue.o, upsizer.i)
        connect(m, upsizer.o, parser.i)
        # The verdict on the ICRC is there with a packet's last beat; the bytes are not wanted. The
        # register keeps the slow serial side's `ready` out of the parser's paths.
        held, holds = Signal(len(answer), reset_less=True), Signal()
        with m.If(~holds):
            m.d.sync += [held.eq(answer), holds.eq(parser.o.valid & parser.o.p.beat.last)]
        with m.Elif(report.i.ready):
            m.d.sync += holds.eq(0)
        m.d.comb += [
            parser.o.ready.eq(~holds),
            report.i.payload.eq(held),
            report.i.valid.eq(holds),
        ]
        connect(m, report.o, encoder.i)
        connect(m, encoder.o, transmitter.i)
        return m
