"""Incremental update of an Internet checksum."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .beat import StrobeInterface, StrobeSignature
from .checksum import folded_sum, folded_sum_latency

__all__ = ["ChecksumUpdate", "ChecksumUpdateLayout"]


class ChecksumUpdateLayout(data.StructLayout):
    """A checksum and the words that change under it.

    Parameters
    ----------
    word_count : int
        Words that change, 1 or more.

    Fields
    ------
    checksum : 16 bits
        Checksum over the words as they were.
    old, new : array of word_count times 16 bits
        Words before and after, in the order of bytes of the checksum; a word that does not change
        has the same value in both.

    Raises
    ------
    ValueError
        If ``word_count`` is less than 1.
    """

    def __init__(self, word_count: int):
        if word_count < 1:
            raise ValueError(f"word_count must be 1 or more, not {word_count!r}")
        words = data.ArrayLayout(16, word_count)
        super().__init__({"checksum": 16, "old": words, "new": words})


class ChecksumUpdate(wiring.Component):
    """Checksum after some of the words that it covers have changed.

    The result is HC' = ~(~HC + ~m + m'), summed over the changed words. It equals the checksum
    computed anew, but where all that the checksum covers is zero after the change: that is 0x0000
    here and 0xffff anew. Whether 0 means "no checksum", as in UDP, is the caller's matter.

    Latency is ``latency`` cycles: 3 and the binary digits of ``2 * word_count``. Throughput is one
    update per cycle. There is no backpressure.

    Specification: RFC 1624, section 3, equation 3.

    Parameters
    ----------
    word_count : int
        Words that change, 1 or more.

    Attributes
    ----------
    latency : int
        Cycles from input to result.

    Members
    -------
    i : In(StrobeSignature(ChecksumUpdateLayout(word_count)))
        Checksum and words.
    o : Out(StrobeSignature(16))
        New checksum, registered.

    Raises
    ------
    ValueError
        If ``word_count`` is less than 1.
    """

    i: StrobeInterface
    o: StrobeInterface

    def __init__(self, *, word_count: int):
        self.word_count = word_count
        super().__init__(
            {
                "i": In(StrobeSignature(ChecksumUpdateLayout(word_count))),
                "o": Out(StrobeSignature(16)),
            }
        )
        self.latency = folded_sum_latency(1 + 2 * word_count) + 1

    def elaborate(self, platform):
        m = Module()
        update = self.i.payload
        words = [~update.checksum]
        for number in range(self.word_count):
            words += [~update.old[number], update.new[number]]
        checksum = Signal(16, reset_less=True)
        valid = Signal(self.latency)
        m.d.sync += [
            checksum.eq(~folded_sum(m, words)),
            valid.eq(Cat(self.i.valid, valid)),
        ]
        m.d.comb += [self.o.payload.eq(checksum), self.o.valid.eq(valid[-1])]
        return m
