"""Headers of frames, beat by beat."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..headers import BTH, IPV4, IPV6, UDP
from .config import RoceConfig
from .frame_templates import HEADER_WORDS, AddressWriteLayout, FrameTemplates, IdentityLayout
from .icrc_insert import VARIANTS, WordPlaces
from .layouts import PAYLOAD_BITS
from .send_layouts import FrameLayout

__all__ = ["FrameHeaders", "HeaderBeatLayout"]

# Number of the word that the ICRC of the longest frame is in: behind 4096 bytes.
_LAST_WORD = HEADER_WORDS + (1 << PAYLOAD_BITS - 1) // 4
_FIXED_WORDS = (UDP.bytes + BTH.bytes + 4) // 4


class HeaderBeatLayout(data.StructLayout):
    """A beat of a frame's headers, two bytes in front (see :class:`UnsealedLayout`).

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
    place : range(1052)
        Word that the ICRC is in, counted from the first beat.
    has_vlan, v6 : 1 bit each
    has_data : 1 bit
        Data follow.
    tail : range(data_bytes)
        Bytes in the last beat of data, 0 if it is full.
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
            }
        )


class FrameHeaders(wiring.Component):
    """Make the headers of each frame.

    What is the same in all frames for a row of addresses comes from :class:`FrameTemplates`,
    already where it belongs; lengths, IPv4's checksum, the BTH's other fields and what follows it
    are put into the gaps. Frames have no flow label, identification and UDP checksum (0), and may
    not be fragmented.

    Latency is 2 cycles, 3 above 8 bytes a beat. Throughput is 1 beat per cycle, also from one
    frame to the next.

    Specification: IBTA Architecture Specification volume 1, 9.2, 9.3 and Annex A17; RFC 791, 3.1;
    RFC 8200, section 3; RFC 768.

    Parameters
    ----------
    config : RoceConfig
    rows : int
        Rows of addresses.

    Members
    -------
    i : In(stream.Signature(FrameLayout(config)))
        Frames; one that waits may be exchanged for another, or taken back. Words from
        ``word_count`` on must be 0. ``i.ready`` depends combinationally on ``o.ready``.
    addresses, identity
        See :class:`FrameTemplates`.
    o : Out(stream.Signature(HeaderBeatLayout(data_bytes)))
        Headers; combinational, from registers.
    """

    i: stream.Interface
    addresses: stream.Interface
    identity: data.View
    o: stream.Interface

    def __init__(self, *, config: RoceConfig, rows: int):
        self.config = config
        self.rows = rows
        # Of 8 bytes a beat, the template is registered once, since a block RAM is slow; the sum in
        # its first beat becomes the checksum before the third beat comes. Above, both may be in one
        # beat, which waits for the sum with the length and for the folded sum.
        self.wait_cycles = 1 if config.data_bytes == 8 else 2
        super().__init__(
            {
                "i": In(stream.Signature(FrameLayout(config))),
                "addresses": In(stream.Signature(AddressWriteLayout(rows))),
                "identity": In(IdentityLayout()),
                "o": Out(stream.Signature(HeaderBeatLayout(config.data_bytes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        beat_words = config.data_bytes // 4
        m.submodules.templates = templates = FrameTemplates(config=config, rows=self.rows)
        wiring.connect(m, wiring.flipped(self.addresses), templates.addresses)
        m.d.comb += templates.identity.eq(self.identity)

        moves = Signal()
        about_layout = data.StructLayout(
            {
                "frame": FrameLayout(config),
                "has_data": 1,
                # From the UDP header on, with the ICRC.
                "udp_words": range(_LAST_WORD + 1),
            }
        )

        # 0: the next frame, or the next beat of this one.
        frame: Any = self.i.p
        continues = Signal()
        valid = Signal()
        number = Signal(range(max(2, templates.beats)), reset_less=True)
        about: Any = Signal(about_layout, reset_less=True)
        following = Signal.like(number)
        row_bits = (self.rows - 1).bit_length()
        m.d.comb += [
            self.i.ready.eq(moves & ~continues),
            following.eq(Mux(continues, number + 1, 0)),
            templates.read_en.eq(moves & (continues | self.i.valid)),
            templates.read_address.eq(
                Cat(
                    following[: templates.beat_bits],
                    Mux(continues, about.frame.row, frame.row)[:row_bits],
                )
            ),
        ]
        # Three more bytes round up; below them are whole words.
        fixed = Cat(C(3, 2), (frame.word_count + _FIXED_WORDS)[:4])
        with m.If(moves):
            m.d.sync += [valid.eq(continues | self.i.valid), number.eq(following)]
            with m.If(~continues):
                m.d.sync += [
                    about.frame.eq(frame),
                    about.has_data.eq(frame.payload_bytes != 0),
                    about.udp_words.eq((frame.payload_bytes + fixed)[2:]),
                ]

        # 1: the template. Which beat is the last one of the headers is known in time without a way
        # from the memory to here, unless that may be the first, above 32 bytes a beat.
        variant = Cat(templates.has_vlan, templates.v6)
        known = variant
        least = (min(WordPlaces(*flags).end for flags in VARIANTS) - 1) // beat_words
        if least > 0:
            known = Signal(2, name="variant", reset_less=True)
            with m.If(moves):
                m.d.sync += known.eq(variant)
        last = Signal(number.shape())
        with m.Switch(Cat(known, about.frame.word_count)):
            for count in range(8):
                for n, flags in enumerate(VARIANTS):
                    with m.Case(count << 2 | n):
                        m.d.comb += last.eq((WordPlaces(*flags).end + count - 1) // beat_words)
        if least > 1:
            found = last
            last = Signal(number.shape(), name="known_last", init=-1, reset_less=True)
            with m.If(moves):
                m.d.sync += last.eq(found)
        ends = Signal()
        m.d.comb += [ends.eq(number == last), continues.eq(valid & ~ends)]

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
        # Each stage moves when it may: a frame that comes while one of a beat waits catches up.
        stages = [now]
        valids = [valid]
        steps = []
        for cycle in range(self.wait_cycles):
            later = Signal(stage, name=f"stage_{cycle}", reset_less=True)
            later_valid = Signal(name=f"valid_{cycle}")
            step = Signal(name=f"step_{cycle}")
            with m.If(step):
                m.d.sync += [later.eq(stages[-1]), later_valid.eq(valids[-1])]
            stages.append(later)
            valids.append(later_valid)
            steps.append(step)
        now = stages[-1]
        for step, later_valid, after in zip(
            steps, valids[1:], [*steps[1:], self.o.ready], strict=True
        ):
            m.d.comb += step.eq(after | ~later_valid)

        # The sum so far of the answer whose first beat it is, with the length; folded.
        summed = Signal(17, reset_less=True)
        folded = Signal(16, reset_less=True)
        source = stages[self.wait_cycles % 2]
        partial = Cat(source.row[8:16], source.row[:8])
        with m.If(steps[-1]):
            m.d.sync += folded.eq(summed[:16] + summed[16])
        with m.If(steps[0] & (source.number == 0)):
            m.d.sync += summed.eq(partial + (source.about.udp_words << 2))

        # The last: what fills the template's gaps.
        o: Any = self.o.p
        m.d.comb += [
            moves.eq(steps[0] | ~valid),
            self.o.valid.eq(valids[-1]),
            o.data.eq(self._kept(now) | self._gaps(m, now, folded)),
            o.last.eq(now.ends),
            o.has_vlan.eq(now.variant[0]),
            o.v6.eq(now.variant[1]),
            o.has_data.eq(now.about.has_data),
            o.tail.eq(now.about.frame.payload_bytes),
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
                        o.shift.eq(-(places.end + now.about.frame.word_count)),
                    ]
        return m

    def _kept(self, now: Any) -> Value:
        """Template of a beat, without the queue pair if the frame has another one."""
        lanes = [now.row[n : n + 32] for n in range(0, len(now.row), 32)]
        for n, lane in enumerate(lanes):
            is_other = self._is_here(now, "bth", 1, n) & now.about.frame.has_peer
            # All but the byte before the number.
            lanes[n] = Cat(lane[:8], lane[8:] & ~is_other.replicate(24))
        return Cat(*lanes)

    def _gaps(self, m: Module, now: Any, folded: Value) -> Value:
        """Value of a beat's words that frames differ in, 0 elsewhere."""
        about = now.about
        frame = about.frame
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
                "opcode": frame.opcode,
                "solicited_event": frame.solicited,
                "mig_req": frame.migrated,
                "pad_count": -frame.payload_bytes[:2],
                "becn": frame.becn,
                "dest_qp": frame.peer & frame.has_peer.replicate(24),
                "ack_req": frame.ack_request,
                "psn": frame.psn,
            }
        )
        # Words of headers, and which of the frames they are in.
        gaps = [
            (v4.word_select(0, 32), "ip", 0, (0,)),
            (v4.word_select(2, 32), "ip", 2, (0,)),
            (v6.word_select(1, 32), "ip", 1, (1,)),
            (udp.word_select(1, 32), "udp", 1, (0, 1)),
            *((bth.word_select(word, 32), "bth", word, (0, 1)) for word in range(3)),
            *((frame.words[word], "end", word, (0, 1)) for word in range(7)),
        ]
        lanes = [C(0, 32)] * (self.config.data_bytes // 4)
        for value, header, word, versions in gaps:
            for lane in range(len(lanes)):
                is_here = self._is_here(now, header, word, lane, versions)
                lanes[lane] |= value & is_here.replicate(32)
        return Cat(*lanes)

    def _is_here(
        self, now: Any, header: str, word: int, lane: int, versions: tuple[int, ...] = (0, 1)
    ) -> Value:
        """Whether a word of a header is in ``lane`` of this beat."""
        beat_words = self.config.data_bytes // 4
        hits = [
            (now.variant == variant) & (now.number == place // beat_words)
            for variant, flags in enumerate(VARIANTS)
            if flags[1] in versions
            and (place := getattr(WordPlaces(*flags), header) + word) % beat_words == lane
        ]
        return Cat(*hits).any() if hits else C(0)
