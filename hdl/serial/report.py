"""Results as packets of bytes."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import PacketSignature

__all__ = ["Report"]


class Report(wiring.Component):
    """Send each payload as a packet of one-byte beats: its bits, lowest first, in whole bytes.

    The last byte is filled up with zeroes.

    Latency is 1 cycle. Throughput is 1 byte per cycle, also across packets.

    Specification: this docstring.

    Parameters
    ----------
    width : int
        Bits of the payload, 1 or more.

    Members
    -------
    i : In(stream.Signature(width))
        Payloads. ``i.ready`` depends combinationally on ``o.ready``.
    o : Out(PacketSignature(1))
        Packets of ``ceil(width / 8)`` bytes, registered, without ``error``.

    Raises
    ------
    ValueError
        If ``width`` is less than 1.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, width: int):
        if width < 1:
            raise ValueError(f"width must be 1 or more, not {width!r}")
        self.width = width
        #: Bytes of each packet.
        self.byte_count = -(-width // 8)
        super().__init__({"i": In(stream.Signature(width)), "o": Out(PacketSignature(1))})

    def elaborate(self, platform):
        m = Module()
        rest = Signal(8 * self.byte_count, reset_less=True)
        left = Signal(range(max(2, self.byte_count)))  # bytes after the one on `o`
        m.d.comb += [self.o.p.data.eq(rest[:8]), self.o.p.keep.eq(1), self.o.p.last.eq(left == 0)]
        with m.If(self.o.ready | ~self.o.valid):
            with m.If(self.o.valid & (left != 0)):
                m.d.sync += [rest.eq(rest >> 8), left.eq(left - 1)]
            with m.Else():
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    rest.eq(self.i.payload),
                    left.eq(self.byte_count - 1),
                    self.o.valid.eq(self.i.valid),
                ]
        return m
