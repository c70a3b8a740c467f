"""Token-bucket rate limiter of a packet stream."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .gate import Gate
from .packet import PacketSignature

__all__ = ["Limiter"]


class Limiter(wiring.Component):
    """Let packets begin only while a bucket of byte tokens is not overdrawn.

    Every cycle ``rate`` tokens fall into the bucket, which holds ``burst`` at most and none after
    reset; every beat takes as many as it has bytes. A packet begins while the bucket is not
    negative and may overdraw it. So in any T cycles at most ``rate`` x T + ``burst`` bytes, one
    packet and one beat pass. A stream that always waits passes at exactly ``rate`` in the long
    run, since what is overdrawn is paid back, if ``burst`` is at least the tokens of 3 cycles: with
    less, tokens are lost between a packet's beginning and its first beat's count.

    Latency is 1 cycle. Throughput is 1 beat per cycle, also across packet boundaries, when ``rate``
    is ``data_bytes``.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.
    bucket_bytes : int
        Largest ``burst`` and longest packet, 1 or more. What a packet has in excess is free.
    fraction_bits : int
        Bits of ``rate`` after the binary point, 1 or more.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Input. ``i.ready`` depends combinationally on ``o.ready``.
    o : Out(PacketSignature(data_bytes))
        Output, registered.
    rate : In(range((data_bytes << fraction_bits) + 1))
        Tokens per cycle, in units of 2 ** -``fraction_bits`` bytes. It may change at any time; 0
        stops the stream as soon as the bucket is negative. More than ``data_bytes`` is undefined.
    burst : In(range(bucket_bytes + 1))
        Bytes that the bucket holds. More than ``bucket_bytes`` is undefined.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    i: stream.Interface
    o: stream.Interface
    rate: Signal
    burst: Signal

    def __init__(self, *, data_bytes: int, bucket_bytes: int, fraction_bits: int):
        if bucket_bytes < 1:
            raise ValueError(f"bucket_bytes must be 1 or more, not {bucket_bytes!r}")
        if fraction_bits < 1:
            raise ValueError(f"fraction_bits must be 1 or more, not {fraction_bits!r}")
        self.data_bytes = data_bytes
        self.bucket_bytes = bucket_bytes
        self.fraction_bits = fraction_bits
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "o": Out(PacketSignature(data_bytes)),
                "rate": In(range((data_bytes << fraction_bits) + 1)),
                "burst": In(range(bucket_bytes + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Below zero there is room for a packet and for the beat that is not yet counted.
        bits = (self.bucket_bytes + 2 * self.data_bytes).bit_length() + self.fraction_bits + 1
        lowest = -(1 << (bits - 1))
        bucket = Signal(signed(bits))

        m.submodules.gate = gate = Gate(data_bytes=self.data_bytes)
        wiring.connect(m, wiring.flipped(self.i), gate.i)
        wiring.connect(m, gate.o, wiring.flipped(self.o))
        m.d.comb += gate.enable.eq(bucket >= 0)

        # `keep` is contiguous from byte 0: its upper end is the number of bytes.
        keep = self.i.p.keep
        ends = keep & ~(keep >> 1)
        count = Signal(range(self.data_bytes + 1))
        counted = Signal.like(count)
        for bit in range(len(count)):
            sizes = [n for n in range(1, self.data_bytes + 1) if n >> bit & 1]
            m.d.comb += count[bit].eq(Cat(ends[n - 1] for n in sizes).any())
        m.d.sync += counted.eq(Mux(self.i.valid & self.i.ready, count, 0))

        filled = Signal(signed(bits + 2))
        highest = self.burst << self.fraction_bits
        m.d.comb += filled.eq(bucket + self.rate - (counted << self.fraction_bits))
        with m.If(filled > highest):
            m.d.sync += bucket.eq(highest)
        with m.Elif(filled < lowest):
            m.d.sync += bucket.eq(lowest)
        with m.Else():
            m.d.sync += bucket.eq(filled)

        return m
