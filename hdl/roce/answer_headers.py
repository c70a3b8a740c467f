"""Headers of answers, beat by beat."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..headers import AETH, BTH, IPV4, IPV6, UDP, Opcode
from .answer_layouts import AnswerKind, AnswerLayout
from .answer_templates import (
    HEADER_WORDS,
    AddressLayout,
    AnswerTemplates,
    IdentityLayout,
)
from .config import RoceConfig
from .icrc_insert import VARIANTS, WordPlaces
from .layouts import PAYLOAD_BITS

__all__ = ["AnswerHeaders", "HeaderBeatLayout"]

#: Words of the longest answer, and the number of the one that the ICRC is in: 4096 bytes.
_LAST_WORD = HEADER_WORDS + (1 << PAYLOAD_BITS - 1) // 4
# UDP, BTH and ICRC, 24 bytes: bit 2 is clear, so that an AETH of four can be put in its place, and
# three more bytes round up.
_FIXED_BYTES = UDP.bytes + BTH.bytes + 4
# Words behind AETH or BTH that come as if they were data: the result of an atomic operation, and
# what a CNP reserves.
_ATOMIC_BYTES, _RESERVED_BYTES = 8, 16


class HeaderBeatLayout(data.StructLayout):
    """A beat of an answer's headers, two bytes in front (see :class:`UnsealedLayout`).

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.

    Fields
    ------
    data : 8 * data_bytes bits
        Headers; 0 behind them.
    last : 1 bit
        The headers end in this beat, or with it.
    shift : range(data_bytes // 4)
        With ``last``: words of this beat that are not of the headers.
    place : range(1046)
        Word that the ICRC is in, counted from the first beat.
    has_vlan, v6 : 1 bit each
    has_data : 1 bit
        Data follow.
    tail : range(data_bytes)
        Bytes in the last beat of data, 0 if it is full.
    has_original, original : 1, 64 bits
        Eight bytes follow, the low byte last.
    """

    def __init__(self, data_bytes: int):
        super().__init__(
            {
                "data": 8 * data_bytes,
                "last": 1,
                "shift": range(data_bytes // 4),
                "place": range(_LAST_WORD + 1),
                "has_vlan": 1,
                "v6": 1,
                "has_data": 1,
                "tail": range(data_bytes),
                "has_original": 1,
                "original": 64,
            }
        )


class AnswerHeaders(wiring.Component):
    """Make the headers of each answer.

    What is the same in all answers of a queue pair comes from :class:`AnswerTemplates`, already
    where it belongs; lengths, IPv4's checksum, opcode, padding, PSN and AETH are put into
    the gaps. Answers have no flow label, identification and UDP checksum (0), and may not be
    fragmented.

    Latency is 2 cycles, 3 above 8 bytes a beat. Throughput is 1 beat per cycle, also from one
    answer to the next.

    Specification: IBTA Architecture Specification volume 1, 9.2, 9.3 and Annex A17; RFC 791, 3.1;
    RFC 8200, section 3; RFC 768.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    i : In(stream.Signature(AnswerLayout(config)))
        Answers; one that waits may be exchanged for another. ``i.ready`` depends combinationally
        on ``o.ready``.
    addresses, identity
        See :class:`AnswerTemplates`.
    o : Out(stream.Signature(HeaderBeatLayout(data_bytes)))
        Headers; combinational, from registers.
    """

    i: stream.Interface
    addresses: stream.Interface
    identity: data.View
    o: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        # Of 8 bytes a beat, the template is registered once, since a block RAM is slow; the sum in
        # its first beat becomes the checksum before the third beat comes. Above, both may be in one
        # beat, which waits for the sum with the length and for the folded sum.
        self.wait_cycles = 1 if config.data_bytes == 8 else 2
        write = data.StructLayout(
            {"queue_pair": config.bits("queue_pairs"), "row": AddressLayout()}
        )
        super().__init__(
            {
                "i": In(stream.Signature(AnswerLayout(config))),
                "addresses": In(stream.Signature(write)),
                "identity": In(IdentityLayout()),
                "o": Out(stream.Signature(HeaderBeatLayout(config.data_bytes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        beat_words = config.data_bytes // 4
        m.submodules.templates = templates = AnswerTemplates(config=config)
        wiring.connect(m, wiring.flipped(self.addresses), templates.addresses)
        m.d.comb += templates.identity.eq(self.identity)

        moves = Signal()
        about_layout = data.StructLayout(
            {
                "queue_pair": config.bits("queue_pairs"),
                "opcode": 8,
                "psn": 24,
                "syndrome": 8,
                "msn": 24,
                "has_aeth": 1,
                "is_cnp": 1,
                "has_original": 1,
                "original": 64,
                "has_data": 1,
                "tail": range(config.data_bytes),
                "pad": 2,
                # From the UDP header on, with the ICRC.
                "udp_words": range(_LAST_WORD + 1),
            }
        )

        # 0: the next answer, or the next beat of this one.
        answer: Any = self.i.p
        continues = Signal()
        valid = Signal()
        number = Signal(range(max(2, templates.rows)), reset_less=True)
        about: Any = Signal(about_layout, reset_less=True)
        following = Signal.like(number)
        m.d.comb += [
            self.i.ready.eq(moves & ~continues),
            following.eq(Mux(continues, number + 1, 0)),
            templates.read_en.eq(moves & (continues | self.i.valid)),
            templates.read_address.eq(
                Cat(
                    following[: templates.row_bits],
                    Mux(continues, about.queue_pair, answer.queue_pair),
                )
            ),
        ]
        is_read = answer.kind == AnswerKind.READ_RESPONSE
        is_atomic = answer.kind == AnswerKind.ATOMIC_ACKNOWLEDGE
        is_cnp = answer.kind == AnswerKind.CONGESTION_NOTIFICATION
        has_aeth = Signal()
        size = Signal(PAYLOAD_BITS)
        opcode = Signal(8)
        m.d.comb += [
            has_aeth.eq(~is_cnp & (~is_read | answer.first | answer.last)),
            size.eq(
                answer.payload_bytes
                | Mux(is_atomic, _ATOMIC_BYTES, 0)
                | Mux(is_cnp, _RESERVED_BYTES, 0)
            ),
        ]
        with m.Switch(Cat(answer.last, answer.first, answer.kind)):
            for kind, first, last, code in (
                (AnswerKind.ACKNOWLEDGE, "-", "-", Opcode.RC_ACKNOWLEDGE),
                (AnswerKind.READ_RESPONSE, 1, 0, Opcode.RC_RDMA_READ_RESPONSE_FIRST),
                (AnswerKind.READ_RESPONSE, 0, 0, Opcode.RC_RDMA_READ_RESPONSE_MIDDLE),
                (AnswerKind.READ_RESPONSE, 0, 1, Opcode.RC_RDMA_READ_RESPONSE_LAST),
                (AnswerKind.READ_RESPONSE, 1, 1, Opcode.RC_RDMA_READ_RESPONSE_ONLY),
                (AnswerKind.ATOMIC_ACKNOWLEDGE, "-", "-", Opcode.RC_ATOMIC_ACKNOWLEDGE),
                (AnswerKind.CONGESTION_NOTIFICATION, "-", "-", Opcode.CNP),
            ):
                with m.Case(f"{kind:02b}{first}{last}"):
                    m.d.comb += opcode.eq(code)
        with m.If(moves):
            m.d.sync += [valid.eq(continues | self.i.valid), number.eq(following)]
            with m.If(~continues):
                m.d.sync += [
                    about.queue_pair.eq(answer.queue_pair),
                    about.opcode.eq(opcode),
                    about.psn.eq(answer.psn),
                    about.syndrome.eq(answer.syndrome),
                    about.msn.eq(answer.msn),
                    about.has_aeth.eq(has_aeth),
                    about.is_cnp.eq(is_cnp),
                    about.has_original.eq(is_atomic),
                    about.original.eq(answer.original),
                    about.has_data.eq(answer.payload_bytes != 0),
                    about.tail.eq(size),
                    about.pad.eq(-size),
                    about.udp_words.eq((size + (_FIXED_BYTES + 3 | has_aeth << 2))[2:]),
                ]

        # 1: the template. Above 32 bytes a beat, the headers may end in the first one.
        variant = Cat(templates.has_vlan, templates.v6)
        known = variant
        if beat_words < min(WordPlaces(*flags).end for flags in VARIANTS):
            known = Signal(2, name="variant", reset_less=True)
            with m.If(moves):
                m.d.sync += known.eq(variant)
        ends = Signal()
        ends_at = [
            (WordPlaces(*flags).end + aeth - 1) // beat_words
            for aeth in (0, 1)
            for flags in VARIANTS
        ]
        m.d.comb += continues.eq(valid & ~ends)
        with m.Switch(Cat(known, about.has_aeth)):
            for n, last in enumerate(ends_at):
                with m.Case(n):
                    m.d.comb += ends.eq(number == last)

        stage = data.StructLayout(
            {
                "row": 32 * templates.words,
                "number": number.shape(),
                "variant": 2,
                "ends": 1,
                "about": about_layout,
            }
        )
        now: Any = Signal(stage)
        m.d.comb += [
            now.row.eq(templates.row),
            now.number.eq(number),
            now.variant.eq(variant),
            now.ends.eq(ends),
            now.about.eq(about),
        ]
        stages = [now]
        for cycle in range(self.wait_cycles):
            later = Signal(stage, name=f"stage_{cycle}", reset_less=True)
            later_valid = Signal(name=f"valid_{cycle}")
            with m.If(moves):
                m.d.sync += [later.eq(stages[-1]), later_valid.eq(valid)]
            stages.append(later)
            valid = later_valid
        now = stages[-1]

        # The sum so far of the answer whose first beat it is, with the length; folded.
        summed = Signal(17, reset_less=True)
        folded = Signal(16, reset_less=True)
        source = stages[self.wait_cycles % 2]
        partial = Cat(source.row[8:16], source.row[:8])
        with m.If(moves):
            m.d.sync += folded.eq(summed[:16] + summed[16])
            with m.If(source.number == 0):
                m.d.sync += summed.eq(partial + (source.about.udp_words << 2))

        # The last: what fills the template's gaps.
        o: Any = self.o.p
        m.d.comb += [
            moves.eq(self.o.ready | ~valid),
            self.o.valid.eq(valid),
            o.data.eq(now.row | self._gaps(m, now, folded)),
            o.last.eq(now.ends),
            o.has_vlan.eq(now.variant[0]),
            o.v6.eq(now.variant[1]),
            o.has_data.eq(now.about.has_data),
            o.tail.eq(now.about.tail),
            o.has_original.eq(now.about.has_original),
            o.original.eq(now.about.original),
        ]
        # Words before the UDP header, less the ICRC's own.
        before = Signal(range(HEADER_WORDS))
        m.d.comb += o.place.eq(now.about.udp_words + before)
        with m.Switch(now.variant):
            for n, flags in enumerate(VARIANTS):
                with m.Case(n):
                    places = WordPlaces(*flags)
                    m.d.comb += [
                        before.eq(places.udp - 1),
                        o.shift.eq(-(places.end + now.about.has_aeth)),
                    ]
        return m

    def _gaps(self, m: Module, now: Any, folded: Value) -> Value:
        """Value of a beat's words that answers differ in, 0 elsewhere."""
        beat_words = self.config.data_bytes // 4
        about = now.about
        ip_bytes = Signal(16)
        udp_bytes = Signal(16)
        m.d.comb += [
            ip_bytes.eq((about.udp_words + IPV4.bytes // 4) << 2),
            udp_bytes.eq(about.udp_words << 2),
        ]
        v4 = IPV4.pack({"total_length": ip_bytes, "header_checksum": ~folded})
        v6 = IPV6.pack({"payload_length": udp_bytes})
        udp = UDP.pack({"length": udp_bytes})
        bth = BTH.pack(
            {
                "opcode": about.opcode,
                "pad_count": about.pad,
                "becn": about.is_cnp,
                "psn": about.psn & ~about.is_cnp.replicate(24),
            }
        )
        aeth = AETH.pack({"syndrome": about.syndrome, "msn": about.msn})
        # Words of headers, and which of the frames they are in.
        gaps = [
            (v4, 0, "ip", (0,)),
            (v4, 2, "ip", (0,)),
            (v6, 1, "ip", (1,)),
            (udp, 1, "udp", (0, 1)),
            *((bth, word, "bth", (0, 1)) for word in range(3)),
            (aeth & about.has_aeth.replicate(32), 0, "end", (0, 1)),
        ]
        lanes = [C(0, 32)] * beat_words
        for header, word, name, versions in gaps:
            value = header.word_select(word, 32)
            for lane in range(beat_words):
                hits = [
                    (now.variant == variant) & (now.number == place // beat_words)
                    for variant, flags in enumerate(VARIANTS)
                    if flags[1] in versions
                    and (place := getattr(WordPlaces(*flags), name) + word) % beat_words == lane
                ]
                if hits:
                    lanes[lane] |= value & Cat(*hits).any().replicate(32)
        return Cat(*lanes)
