"""Internet checksum of packets, one beat a cycle."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import BeatLayout, StrobeInterface, StrobeSignature

__all__ = ["InternetChecksum", "folded_sum", "folded_sum_latency"]


def folded_sum_latency(word_count: int) -> int:
    """Cycles that :func:`folded_sum` takes for ``word_count`` words."""
    levels = (word_count - 1).bit_length()
    return levels + 2 if levels else 0


def folded_sum(m: Module, words: Sequence[Value]) -> Value:
    """One's complement sum of 16-bit ``words``: an adder per register, as many as it takes.

    It is 0 only where every word is; otherwise a sum of zero is 0xffff.
    """
    values = list(words)
    level = 0
    while len(values) > 1:
        sums = []
        for number, (a, b) in enumerate(zip(values[::2], values[1::2], strict=False)):
            total = Signal(len(a) + 1, name=f"sum_{level}_{number}", reset_less=True)
            m.d.sync += total.eq(a + b)
            sums.append(total)
        if len(values) % 2:
            odd = Signal(len(sums[0]), name=f"sum_{level}_odd", reset_less=True)
            m.d.sync += odd.eq(values[-1])
            sums.append(odd)
        values = sums
        level += 1
    if not level:
        return values[0]

    # What lies above 16 bits is added below. That may carry once more; what is left is then less
    # than what was added, so the second carry goes no further than those bits.
    above = len(values[0]) - 16
    once = Signal(17, name="folded_once", reset_less=True)
    twice = Signal(16, name="folded_twice", reset_less=True)
    m.d.sync += [
        once.eq(values[0][:16] + values[0][16:]),
        twice.eq(Cat((once[:above] + once[16])[:above], once[above:16])),
    ]
    return twice


class InternetChecksum(wiring.Component):
    """Internet checksum of each packet.

    Words are big-endian, as on the wire; a packet of odd length counts as if a byte of zero
    followed. The result is the complement of the sum, which is what a header carries. Over bytes
    that include a right checksum it is 0. It is 0xffff only over bytes that are all zero.

    Beats enter in any cycles, packets back to back or with gaps anywhere. The result of a packet
    leaves a fixed number of cycles after its last beat. There is no backpressure: who taps a
    stream gives a beat in the cycle of its transfer, and keeps the result where it may have to
    wait. A packet that reset cuts short leaves no trace.

    Latency is ``latency`` cycles from the last beat to its result: 4 up to two bytes per beat, else
    6 and the binary digits of ``data_bytes / 2 - 1``. Throughput is 1 beat per cycle, also across
    packet boundaries and for packets of one beat.

    Specification: RFC 1071, sections 1 and 2; RFC 791, section 3.1. The result of a packet whose
    ``keep`` breaks the rules of :class:`BeatLayout` is undefined; that of the next packet is not.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat, 1 or an even number.

    Attributes
    ----------
    latency : int
        Cycles from last beat to result.
    total : Signal
        Sum so far and the carry that is still to be added to it; what proofs compare.

    Members
    -------
    i : In(StrobeSignature(BeatLayout(data_bytes)))
        Beats.
    o : Out(StrobeSignature(16))
        Checksum of each packet, registered; its high byte is the first on the wire.

    Raises
    ------
    ValueError
        If ``data_bytes`` is less than 1, or odd and not 1.
    """

    i: StrobeInterface
    o: StrobeInterface

    def __init__(self, *, data_bytes: int):
        if data_bytes < 1 or (data_bytes % 2 and data_bytes != 1):
            raise ValueError(f"data_bytes must be 1 or even, not {data_bytes!r}")
        self.data_bytes = data_bytes
        super().__init__(
            {
                "i": In(StrobeSignature(BeatLayout(data_bytes))),
                "o": Out(StrobeSignature(16)),
            }
        )
        self.total = Signal(17)
        self.beat_latency = 1 + folded_sum_latency((data_bytes + 1) // 2)
        self.latency = self.beat_latency + 3

    def elaborate(self, platform):
        m = Module()
        beat = self.i.payload

        # The sum does not care for the order of a word's bytes as long as it is the same in all,
        # so words are little-endian here and the result is turned at the end. The mask is a reset
        # of each byte's register.
        if self.data_bytes == 1:
            second = Signal()
            with m.If(self.i.valid):
                m.d.sync += second.eq(~second & ~beat.last)
            lanes = [(beat.keep & ~second, beat.data), (beat.keep & second, beat.data)]
        else:
            lanes = [(beat.keep[n], beat.data.word_select(n, 8)) for n in range(self.data_bytes)]
        word_count = len(lanes) // 2
        kept = Signal(16 * word_count, reset_less=True)
        for number, (keep, byte) in enumerate(lanes):
            m.d.sync += kept.word_select(number, 8).eq(Mux(keep, byte, 0))
        added = folded_sum(m, [kept.word_select(n, 16) for n in range(word_count)])

        valid = Signal(self.beat_latency)
        last = Signal(self.beat_latency, reset_less=True)
        m.d.sync += [valid.eq(Cat(self.i.valid, valid)), last.eq(Cat(beat.last, last))]

        # The carry out of one beat's addition goes into the next.
        total = self.total
        grown = Signal(17)
        m.d.comb += grown.eq((Cat(C(1, 1), total[:16]) + Cat(total[16], added))[1:])
        with m.If(valid[-1]):
            m.d.sync += total.eq(Mux(last[-1], 0, grown))

        # After the last beat a carry is left. It does not carry again: beside a carry the sum is at
        # most 0xfffe, since 0xffff + 0xffff, and 0xfffe + 0xffff + 1, are no more than 0x1fffe.
        closed = Signal(17, reset_less=True)
        folded = Signal(16, reset_less=True)
        checksum = Signal(16, reset_less=True)
        done = Signal(3)
        m.d.sync += [
            closed.eq(grown),
            folded.eq((closed[:16] + closed[16])[:16]),
            checksum.eq(~Cat(folded[8:], folded[:8])),
            done.eq(Cat(valid[-1] & last[-1], done)),
        ]
        m.d.comb += [self.o.payload.eq(checksum), self.o.valid.eq(done[-1])]
        return m
