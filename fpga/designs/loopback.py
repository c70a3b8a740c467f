"""Packets that come back as they went."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from hdl.serial import SlipDecoder, SlipEncoder, UartReceiver, UartTransmitter
from hdl.stream import Downsizer, PacketQueue, Upsizer

__all__ = ["Loopback"]


class Loopback(wiring.Component):
    """Send each packet that comes over the serial line back, through a queue of 8-byte beats.

    Packets are SLIP frames. A frame that breaks SLIP's rules, or does not fit into what is free of
    the queue's 8 KiB, is dropped whole.

    Latency is that of the line: a packet leaves once it has come. Throughput is the line's.

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

    rx: Signal
    tx: Signal

    def __init__(self, *, clocks_per_bit: int):
        self.clocks_per_bit = clocks_per_bit
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform):
        """Wire the blocks in a row."""
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(clocks_per_bit=self.clocks_per_bit)
        m.submodules.decoder = decoder = SlipDecoder()
        m.submodules.upsizer = upsizer = Upsizer(i_bytes=1, o_bytes=8)
        m.submodules.queue = queue = PacketQueue(data_bytes=8, depth=1022)
        m.submodules.downsizer = downsizer = Downsizer(i_bytes=8, o_bytes=1)
        m.submodules.encoder = encoder = SlipEncoder()
        m.submodules.transmitter = transmitter = UartTransmitter(clocks_per_bit=self.clocks_per_bit)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        connect(m, receiver.o, decoder.i)
        connect(m, decoder.o, upsizer.i)
        connect(m, upsizer.o, queue.i)
        connect(m, queue.o, downsizer.i)
        connect(m, downsizer.o, encoder.i)
        connect(m, encoder.o, transmitter.i)
        return m
