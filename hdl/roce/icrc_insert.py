"""Puts the invariant CRC into RoCEv2 packets."""

import zlib
from dataclasses import dataclass, replace
from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import CRC32_ETHERNET, BeatLayout, Crc, CrcParameters, StrobeSignature, gf2
from ..bits.beat import StrobeInterface
from ..headers import BTH, IPV4, IPV6, UDP
from ..memory import DelayLine
from ..stream import PacketLayout, PacketSignature

__all__ = ["ETHERNET_WORDS", "VARIANTS", "IcrcInsert", "UnsealedLayout", "WordPlaces"]

#: Words of an Ethernet header with the two bytes in front of it that bring all others into step.
ETHERNET_WORDS = 4
#: (has_vlan, v6) of every frame there is, as ``Cat(has_vlan, v6)`` numbers them.
VARIANTS = ((0, 0), (1, 0), (0, 1), (1, 1))

# The register is preset through the message, so it starts from zero: what it holds after the eight
# bytes of ones that stand for the local route header, reflected. A message's first four bytes are
# XORed to the register as they are.
_CRC = CrcParameters(32, CRC32_ETHERNET.polynomial, 0, True, True, CRC32_ETHERNET.xor_out)
_PRESET = zlib.crc32(bytes([0xFF] * 8)) ^ CRC32_ETHERNET.xor_out
# Up to here flip-flops cost an FPGA less than a ring of distributed RAM, of which two bits take
# three LUTs.
_FLIP_FLOP_BYTES = 16


@dataclass(frozen=True)
class WordPlaces:
    """Numbers of the words in which headers begin, two bytes counted in front of the frame.

    Parameters
    ----------
    has_vlan, v6 : int
        Whether there is a tag; whether it is IPv6.
    """

    has_vlan: int
    v6: int

    @property
    def ip(self) -> int:
        """IPv4 or IPv6."""
        return ETHERNET_WORDS + self.has_vlan

    @property
    def udp(self) -> int:
        """UDP."""
        return self.ip + (IPV6 if self.v6 else IPV4).bytes // 4

    @property
    def bth(self) -> int:
        """Base transport header."""
        return self.udp + UDP.bytes // 4

    @property
    def end(self) -> int:
        """Behind the base transport header."""
        return self.bth + BTH.bytes // 4

    @property
    def nibbles_of_ones(self) -> list[int]:
        """Half bytes that count as ones, low half first, as they may change on the way.

        Specification: IBTA Architecture Specification volume 1, Annex A17.3.3.
        """
        # Traffic class and flow label behind the version, hop limit; or DSCP and ECN, time to live,
        # checksum.
        v6, v4 = [0, 2, 3, 4, 5, 6, 7, 14, 15], [2, 3, 16, 17, 20, 21, 22, 23]
        ip = v6 if self.v6 else v4
        udp = [12, 13, 14, 15]  # checksum
        bth = [8, 9]  # FECN, BECN and reserved bits
        return [
            8 * begin + nibble
            for begin, nibbles in ((self.ip, ip), (self.udp, udp), (self.bth, bth))
            for nibble in nibbles
        ]


class UnsealedLayout(data.StructLayout):
    """A beat of a frame that lacks its ICRC.

    Two bytes that are not sent stand in front of a frame, so that its IP header and all that
    follows are whole words of four bytes at multiples of four.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat, 8 or more; a power of two.

    Fields
    ------
    data : 8 * data_bytes bits
        Bytes, 0 from the word on that the ICRC is put in.
    last : 1 bit
        Final beat of the frame.
    last_word : range(data_bytes // 4)
        With ``last``: word that the ICRC is put in, behind all others.
    error : 1 bit
        With ``last``: the frame is damaged.
    has_vlan, v6 : 1 bit each
        Of this frame: whether it has a tag, and whether it is IPv6; the same in all its beats.
    """

    def __init__(self, data_bytes: int):
        if data_bytes < 8 or data_bytes & (data_bytes - 1):
            raise ValueError(f"data_bytes must be a power of two and 8 or more, not {data_bytes!r}")
        self.data_bytes = data_bytes
        super().__init__(
            {
                "data": 8 * data_bytes,
                "last": 1,
                "last_word": range(data_bytes // 4),
                "error": 1,
                "has_vlan": 1,
                "v6": 1,
            }
        )


class _WordCrc(Crc):
    """CRC of messages that end with a word of zeros, which does not count.

    The last beat's number of bytes is known but for whole words, so of the steps that go back
    from a full beat those of a byte and of two need no choice, and go back before the zeros.
    """

    def __init__(self, *, data_bytes: int):
        super().__init__(algorithm=_CRC, data_bytes=data_bytes)
        steps = [step for step in self.plan.steps if step.bit is not None and step.bit >= 2]
        # Forth to the fourth byte of a word (3), back before that word (4).
        back = _CRC.advance(3 - 4)
        *steps, last = steps
        last = replace(last, clear=gf2.multiply(back, last.clear), set=gf2.multiply(back, last.set))
        self.plan = replace(self.plan, steps=(*steps, last))
        self.latency = 2 + len(self.plan.message) + len(self.plan.steps)


class _PairCrc(wiring.Component):
    """What :class:`_WordCrc` is, for beats of two words, in about half its area.

    A last beat has one word that counts, or none; one is passed to the register as if it were the
    second of a beat whose first one is already in. So nothing has to go back. The loop
    has all of the XOR network in it, which is deep, but no deeper than a slow FPGA's clock allows.
    A message's first beat is ignored: it is before the IP header.
    """

    i: StrobeInterface
    o: StrobeInterface

    def __init__(self):
        self.latency = 2
        super().__init__(
            {"i": In(StrobeSignature(BeatLayout(8))), "o": Out(StrobeSignature(_CRC.width))}
        )

    def elaborate(self, platform):
        m = Module()
        in_message = Signal()
        valid = Signal()
        done = Signal()
        begins = Signal(reset_less=True)
        last = Signal(reset_less=True)
        is_one = Signal(reset_less=True)
        words = Signal(64, reset_less=True)
        m.d.sync += [
            valid.eq(self.i.valid),
            begins.eq(~in_message),
            last.eq(self.i.payload.last),
            is_one.eq(self.i.payload.keep[4]),
            words.eq(self.i.payload.data),
            done.eq(valid & last),
        ]
        with m.If(self.i.valid):
            m.d.sync += in_message.eq(~self.i.payload.last)

        # The polynomial of a message has its first bit on top, and a byte's bit 0 is its first.
        # What the register would take eight bytes forward, and four, is registered instead of it:
        # an XOR network that begins at registers is half of one that begins at multiplexers.
        eight = Signal(32, reset_less=True)
        four = Signal(32, reset_less=True)
        register = Signal(32)
        first = Signal(32)
        m.d.comb += [
            register.eq(gf2.parities(_CRC.advance(8), eight) ^ gf2.parities(_CRC.advance(4), four)),
            first.eq(register ^ words[:32][::-1]),
        ]
        with m.If(valid & begins):
            m.d.sync += [eight.eq(0), four.eq(0)]
        with m.Elif(valid & (~last | is_one)):
            m.d.sync += [
                eight.eq(Mux(last, 0, first)),
                four.eq(Mux(last, first, words[32:][::-1])),
            ]
        m.d.comb += [self.o.payload.eq(_CRC.finish(register)), self.o.valid.eq(done)]
        return m


class IcrcInsert(wiring.Component):
    """Put the ICRC at the end of each RoCEv2 frame, IPv4 or IPv6, with one tag or none.

    The CRC runs over the frame from its IP header on. What may change on the way counts as ones;
    before that, eight bytes of ones stand for the local route header that RoCEv2 lacks. A frame
    with ``error`` leaves with it, and with an inverted ICRC: nobody will take it for a good one.

    All of it is one pipeline that stands still while ``o`` is refused: a beat waits as long as its
    CRC takes, and needs no queue.

    Latency is :attr:`latency` cycles, if the next beat of a frame follows at once: the last two
    bytes of what leaves are the first of the next beat. Throughput is 1 beat per cycle, also across
    packets; a frame leaves in as many beats as it came in.

    Specification: IBTA Architecture Specification volume 1, Annex A17.3.3, and 7.8.1.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat, 8 or more.

    Attributes
    ----------
    latency : int
        Cycles from a beat to the output: 4 at 8 bytes a beat, 11 at 128.

    Members
    -------
    i : In(stream.Signature(UnsealedLayout(data_bytes)))
        Frames. ``i.ready`` is ``o.ready``, or that nothing is on ``o``.
    o : Out(PacketSignature(data_bytes))
        Frames with their ICRC, without the two bytes in front, registered.

    Raises
    ------
    ValueError
        If ``data_bytes`` is not a power of two or is less than 8.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, data_bytes: int):
        layout = UnsealedLayout(data_bytes)
        self.data_bytes = data_bytes
        self.crc = _PairCrc() if data_bytes == 8 else _WordCrc(data_bytes=data_bytes)
        self.latency = self.crc.latency + 2
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(PacketSignature(data_bytes))})

    def elaborate(self, platform):
        m = Module()
        words = self.data_bytes // 4
        moves = Signal()
        m.d.comb += [moves.eq(self.o.ready | ~self.o.valid), self.i.ready.eq(moves)]

        # Which bytes of this beat count, and as what. Behind the headers' beats all count.
        header_beats = -(-max(WordPlaces(*variant).end for variant in VARIANTS) // words)
        number = Signal(range(header_beats + 1))
        with m.If(moves & self.i.valid):
            with m.If(self.i.p.last):
                m.d.sync += number.eq(0)
            with m.Elif(number != header_beats):
                m.d.sync += number.eq(number + 1)
        ones = Signal(2 * self.data_bytes)
        counts = Signal(words, init=(1 << words) - 1)
        begins = Signal(words)
        with m.Switch(Cat(self.i.p.has_vlan, self.i.p.v6, number)):
            for beat in range(header_beats):
                for variant, flags in enumerate(VARIANTS):
                    with m.Case(variant | beat << 2):
                        places = WordPlaces(*flags)
                        first = beat * words
                        ip = places.ip - first
                        m.d.comb += [
                            ones.eq(
                                sum(
                                    1 << n
                                    for n in _within(places.nibbles_of_ones, 8 * first, 8 * words)
                                )
                            ),
                            counts.eq(sum(1 << n for n in range(max(0, ip), words))),
                            begins.eq(sum(1 << n for n in _within([places.ip], first, words))),
                        ]
        m.submodules.crc = EnableInserter(moves)(self.crc)
        m.d.comb += [
            self.crc.i.valid.eq(self.i.valid),
            self.crc.i.payload.last.eq(self.i.p.last),
        ]
        for word in range(words):
            value = self.i.p.data.word_select(word, 32)
            masked = Cat(
                value.word_select(nibble, 4) | ones[8 * word + nibble].replicate(4)
                for nibble in range(8)
            )
            m.d.comb += [
                self.crc.i.payload.data.word_select(word, 32).eq(
                    (masked & counts[word].replicate(32))
                    ^ (C(_PRESET, 32) & begins[word].replicate(32))
                ),
                self.crc.i.payload.keep.word_select(word, 4).eq(
                    (~self.i.p.last | (self.i.p.last_word >= word)).replicate(4)
                ),
            ]

        # Beats wait for the CRC, then for the next beat's first two bytes.
        beside = data.StructLayout(
            {"data": 8 * self.data_bytes, "last": 1, "last_word": range(words), "error": 1}
        )
        waiting = Signal(beside)
        m.d.comb += [
            waiting.data.eq(self.i.p.data),
            waiting.last.eq(self.i.p.last),
            waiting.last_word.eq(self.i.p.last_word),
            waiting.error.eq(self.i.p.error),
        ]
        waited = Signal(beside)
        m.d.comb += waited.eq(self._delayed(m, waiting, moves))
        valid = Signal(self.crc.latency)
        with m.If(moves):
            m.d.sync += valid.eq(Cat(self.i.valid, valid))

        sealed = Signal(beside)
        icrc = Signal(32)
        last_word = Signal(words)
        m.d.comb += [
            icrc.eq(self.crc.o.payload ^ waited.error.replicate(32)),
            sealed.eq(waited),
            last_word.eq(waited.last << waited.last_word),
            sealed.data.eq(
                waited.data | Cat(icrc & last_word[n].replicate(32) for n in range(words))
            ),
        ]
        held = Signal(beside, reset_less=True)
        held_valid = Signal()
        leaves = Signal()
        m.d.comb += leaves.eq(held_valid & (held.last | valid[-1]))
        beat = Signal(PacketLayout(self.data_bytes), reset_less=True)
        m.d.comb += self.o.payload.eq(beat)
        with m.If(moves):
            m.d.sync += [
                self.o.valid.eq(leaves),
                held_valid.eq(valid[-1] | (held_valid & ~leaves)),
                beat.data.eq(Cat(held.data[16:], sealed.data[:16])),
                beat.last.eq(held.last),
                beat.error.eq(held.last & held.error),
                # The last word's first half, and the bytes before it.
                beat.keep.eq(
                    Cat(
                        ~held.last | (held.last_word >= (n + 2) // 4)
                        for n in range(self.data_bytes)
                    )
                ),
            ]
            with m.If(valid[-1]):
                m.d.sync += held.eq(sealed)
        return m

    def _delayed(self, m: Module, value: Any, moves: Value) -> Any:
        """``value`` of so many moves ago as the CRC takes."""
        cycles = self.crc.latency
        # A delay line of three cycles is of flip-flops.
        longest = 3 if self.data_bytes <= _FLIP_FLOP_BYTES else cycles
        parts = [longest] * (cycles // longest) + [cycles % longest] * (cycles % longest > 0)

        for number, length in enumerate(parts):
            line = DelayLine(shape=value.shape(), cycles=length)
            m.submodules[f"delay_{number}"] = EnableInserter(moves)(line)
            m.d.comb += line.i.eq(value)
            value = line.o
        return value


def _within(places: list[int], first: int, count: int) -> list[int]:
    """Those of ``places`` among ``count`` from ``first`` on, counted from there."""
    return [place - first for place in places if first <= place < first + count]
