"""Checks the invariant CRC of RoCEv2 packets."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.bits import CRC32_ETHERNET, Crc, CrcParameters

from .parser_bus import BusLayout

__all__ = ["IcrcCheck", "IcrcVerdict"]

# A packet's UDP length field reaches this far at most; beats are numbered so far.
_REACH_BYTES = 1 << 17
# The register is preset through the message, so it starts from zero.
_CRC = CrcParameters(32, CRC32_ETHERNET.polynomial, 0, True, True, 0)
# What the register holds after any message that its own ICRC follows.
_RESIDUE = CRC32_ETHERNET.residue ^ CRC32_ETHERNET.xor_out


def _preset() -> int:
    """Register after the eight bytes of ones that stand for the local route header."""
    register = CRC32_ETHERNET.init
    for _ in range(64):
        # Reflected form: each bit of the message is a one.
        register = (register >> 1) ^ (0xEDB8_8320 if not register & 1 else 0)
    return register


class IcrcVerdict(data.StructLayout):
    """What became of the check.

    Fields
    ------
    present : 1 bit
        The packet has a BTH, so it should have an ICRC.
    good : 1 bit
        The ICRC is right; never set without ``present``.
    """

    def __init__(self):
        super().__init__({"present": 1, "good": 1})


class IcrcCheck(wiring.Component):
    """Check the ICRC of each packet with a BTH, IPv4 or IPv6, at any offset in the beats.

    The CRC begins at the innermost IP header, wherever in a beat that is: bytes before it are
    zeroed, and what the CRC register should hold there (the all-ones start value and eight bytes
    of ones, for the local route header that RoCEv2 lacks) is XORed to the header's first four bytes
    instead. It ends where the UDP length says, before what Ethernet padded. It runs over the
    ICRC as well, so what remains must be the CRC's residue: no comparison at an unknown place.

    Cycle by cycle: 0 places of the fields that count as ones; 1 whether they are in this beat; 2
    lanes, and the bytes of the UDP length; 3 masked message, end of packet; 4 whether the packet
    ends in this beat; 5 bytes kept; then the CRC's cycles, and the verdict.

    Latency is :attr:`latency` cycles. Throughput is 1 beat per cycle.

    Specification: IBTA Architecture Specification volume 1, Annex A17.3.3, and 7.8.1.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.
    slot_count : int
        Windows that the parser's bus carries; they are not looked at.

    Members
    -------
    i : In(BusLayout(data_bytes, 0, slot_count))
        Beats at the end of the parser's stages.
    o : Out(IcrcVerdict())
        Verdict on the packet whose last beat was at ``i`` ``latency`` cycles before; undefined at
        other times.
    """

    i: data.View
    o: data.View

    def __init__(self, *, data_bytes: int, slot_count: int):
        self.data_bytes = data_bytes
        self.slot_count = slot_count
        self.crc = Crc(algorithm=_CRC, data_bytes=data_bytes)
        #: Cycles from ``i`` to ``o``.
        self.latency = 6 + self.crc.latency + 1
        super().__init__({"i": In(BusLayout(data_bytes, 0, slot_count)), "o": Out(IcrcVerdict())})

    def elaborate(self, platform):
        m = Module()
        size = self.data_bytes
        lane_bits = (size - 1).bit_length()
        i = self.i

        def after(value, name, cycles, reset_less=True):
            """``value`` as it was so many cycles ago."""
            for cycle in range(cycles):
                held = Signal.like(value, name=f"{name}_{cycle + 1}", reset_less=reset_less)
                m.d.sync += held.eq(value)
                value = held
            return value

        def lanes(hit, lane):
            """One bit a lane: that one, if hit."""
            return Cat(hit & (lane == n if lane_bits else 1) for n in range(size))

        # 0: number of the beat; places of what counts as ones, relative to their headers.
        number_0 = Signal(range(_REACH_BYTES // size + 2))
        number = Signal.like(number_0, reset_less=True)
        m.d.comb += number_0.eq(
            Mux(i.first, 0, Mux(number == _REACH_BYTES // size, number, number + 1))
        )
        with m.If(i.valid):
            m.d.sync += number.eq(number_0)
        v4, v6 = i.ip.known & ~i.ip.v6, i.ip.known & i.ip.v6
        marks = [
            *((f"v4_{byte}", i.ip.offset, byte, v4) for byte in (1, 8, 10, 11)),
            *((f"v6_{byte}", i.ip.offset, byte, v6) for byte in (0, 1, 2, 3, 7)),
            *((f"udp_{byte}", i.udp.offset, byte, i.udp.known) for byte in (4, 5, 6, 7)),
            ("bth_4", i.bth.offset, 4, i.bth.known),
            *((f"ip_{byte}", i.ip.offset, byte, i.ip.known) for byte in range(4)),
        ]
        places, meant = {}, {}
        for name, header, byte, known in marks:
            places[name] = Signal(10, name=f"place_{name}", reset_less=True)
            meant[name] = Signal(name=f"meant_{name}", reset_less=True)
            m.d.sync += [places[name].eq(header + byte), meant[name].eq(i.valid & known)]
        index_1 = after(i.index, "index", 1)
        # An outer UDP header's length says nothing about an inner packet.
        inner_udp_1 = Signal(reset_less=True)
        m.d.sync += inner_udp_1.eq(i.udp.known & (i.udp.offset > i.ip.offset))

        # 1: which of them are in this beat.
        hits, at = {}, {}
        for name in places:
            hits[name] = Signal(name=f"hit_{name}", reset_less=True)
            at[name] = Signal(max(1, lane_bits), name=f"lane_{name}", reset_less=True)
            m.d.sync += [
                hits[name].eq(meant[name] & (places[name][lane_bits:] == index_1)),
                at[name].eq(places[name][:lane_bits]),
            ]
        inner_udp_2 = after(inner_udp_1, "inner_udp", 1)

        # 2: their lanes, and the bytes of the UDP length.
        data_2 = after(i.beat.data, "data", 2)
        begin_2 = hits["ip_0"]
        ones = Signal(size, reset_less=True)
        low_ones = Signal(size, reset_less=True)
        from_begin = Signal(size, reset_less=True)
        preset = [Signal(size, name=f"preset_{byte}", reset_less=True) for byte in range(4)]
        counted = [name for name in places if name[:2] in ("v4", "v6") and name != "v6_0"]
        counted += ["udp_6", "udp_7", "bth_4"]
        every = 0
        for name in counted:
            every |= lanes(hits[name], at[name])
        m.d.sync += [
            ones.eq(every),
            low_ones.eq(lanes(hits["v6_0"], at["v6_0"])),
            from_begin.eq(
                Cat(~begin_2 | (at["ip_0"] <= n if lane_bits else 1) for n in range(size))
            ),
            *(preset[byte].eq(lanes(hits[f"ip_{byte}"], at[f"ip_{byte}"])) for byte in range(4)),
        ]
        length = Signal(16)
        fresh, kept = Signal(16, reset_less=True), Signal(16, reset_less=True)
        got = Signal(2, reset_less=True)
        for half, name in enumerate(("udp_5", "udp_4")):
            chosen = data_2.word_select(at[name][:lane_bits], 8) if lane_bits else data_2
            m.d.sync += [
                fresh.word_select(half, 8).eq(chosen),
                got[half].eq(hits[name] & inner_udp_2),
                kept.eq(length),
            ]
            m.d.comb += length.word_select(half, 8).eq(
                Mux(got[half], fresh.word_select(half, 8), kept.word_select(half, 8))
            )

        # 3: the message; its end.
        data_3 = after(data_2, "data_2", 1)
        begin_3 = after(begin_2, "begin", 1)
        first_3 = after(i.first & i.valid, "first", 3)
        end_known = Signal(reset_less=True)
        with m.If(got[0]):
            m.d.sync += end_known.eq(1)
        with m.Elif(first_3 | begin_3):
            m.d.sync += end_known.eq(0)
        udp_3 = after(i.udp.offset, "udp_offset", 3)
        end = Signal(17, reset_less=True)
        m.d.sync += end.eq(udp_3 + length)
        message = Signal(8 * size, reset_less=True)
        start_value = _preset()
        for n in range(size):
            byte = data_3.word_select(n, 8) | ones[n].replicate(8) | low_ones[n].replicate(4)
            initial = 0
            for number_of_byte in range(4):
                constant = C(start_value >> 8 * number_of_byte & 0xFF, 8)
                initial ^= preset[number_of_byte][n].replicate(8) & constant
            m.d.sync += message.word_select(n, 8).eq(Mux(from_begin[n], byte ^ initial, 0))
        begin_4 = after(begin_3, "begin_3", 1)

        # 4: does the packet end in this beat?
        number_4 = after(number_0, "number", 4)
        count_4 = Signal(max(1, lane_bits), reset_less=True)
        keep_3 = after(i.beat.keep, "keep", 3)
        # Lane of the last kept byte, from a keep that is contiguous from lane 0.
        edges = keep_3 & ~Cat(keep_3[1:], C(0, 1))
        m.d.sync += count_4.eq(
            Cat(
                Cat(edges[n] for n in range(size) if n >> bit & 1).any() for bit in range(lane_bits)
            )
        )
        bth_4 = after(Cat(i.bth.known, i.bth.offset), "bth", 4)
        last_byte = Signal(17)
        m.d.comb += last_byte.eq(end - 1)
        ends_here = Signal(reset_less=True)
        fits = Signal(reset_less=True)
        end_lane = Signal(max(1, lane_bits), reset_less=True)
        m.d.sync += [
            ends_here.eq(end_known & (last_byte[lane_bits:] == number_4)),
            end_lane.eq(last_byte[:lane_bits]),
            fits.eq(
                bth_4[0]
                & (end >= bth_4[1:] + 16)
                & (last_byte[:lane_bits] <= count_4 if lane_bits else 1)
            ),
        ]
        begin_5 = after(begin_4, "begin_4", 1)

        # 5: what the CRC takes.
        message_5 = after(message, "message", 1)
        valid_5 = after(i.valid, "valid", 5, reset_less=False)
        first_5 = after(i.first, "first_beat", 5)
        last_5 = after(i.beat.last, "last", 5)
        running = Signal()
        run = Signal()
        m.d.comb += run.eq(valid_5 & (begin_5 | (running & ~first_5)))
        with m.If(valid_5):
            m.d.sync += running.eq(run & ~ends_here & ~last_5)
        m.submodules.crc = crc = self.crc
        crc_valid = Signal()
        crc_restart = Signal(reset_less=True)
        crc_beat: Any = Signal(crc.i.payload.shape(), reset_less=True)
        m.d.sync += [
            crc_valid.eq(run),
            crc_restart.eq(begin_5),
            crc_beat.data.eq(message_5),
            crc_beat.keep.eq(Cat(~ends_here | (end_lane >= n) for n in range(size))),
            crc_beat.last.eq(ends_here | last_5),
        ]
        m.d.comb += [
            crc.i.valid.eq(crc_valid),
            crc.i.payload.eq(crc_beat),
            crc.restart.eq(crc_restart),
        ]

        # The verdict stands from the packet's end as the CRC sees it to the last beat.
        delay = crc.latency
        ended = after(run & ends_here & fits, "ended", 1 + delay)
        began = after(first_5, "began", 1 + delay)
        valid = after(valid_5, "valid_5", 1 + delay, reset_less=False)
        found_0 = i.bth.known & (i.bth.offset < i.end)
        found = after(found_0, "found", 6 + delay)
        good = Signal(reset_less=True)
        kept_good = Signal(reset_less=True)
        m.d.comb += good.eq(Mux(ended, crc.o.payload == _RESIDUE, kept_good & ~began))
        with m.If(valid):
            m.d.sync += kept_good.eq(good)
        o: Any = Signal(self.o.shape(), reset_less=True)
        m.d.comb += self.o.eq(o)
        m.d.sync += [o.present.eq(found), o.good.eq(found & good)]
        return m
