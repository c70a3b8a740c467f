"""Headers of frames that go to one place, as far as they are the same in all of them."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..headers import (
    BTH,
    ETHERNET,
    IPV4,
    IPV6,
    UDP,
    EtherType,
    IpProtocol,
    UdpPort,
)
from ..memory import SimpleDualPortRam
from .config import RoceConfig
from .icrc_insert import VARIANTS, WordPlaces

__all__ = [
    "HEADER_WORDS",
    "AddressLayout",
    "AddressWriteLayout",
    "FrameTemplates",
    "IdentityLayout",
]

# Words of the longest template, to the end of the BTH: an even number, since of a pair of words
# each has one of the two flags beside it.
_TEMPLATE_WORDS = max(WordPlaces(*variant).end for variant in VARIANTS)
#: Words of the longest headers: 7 behind the BTH.
HEADER_WORDS = _TEMPLATE_WORDS + 7


class AddressLayout(data.StructLayout):
    """Where the packets of a queue pair, or some datagrams, go.

    Fields
    ------
    destination_mac : 48 bits
        First byte on the wire in the high bits, as in all fields.
    has_vlan, vlan : 1, 16 bits
        Whether frames have a tag, and its priority, DEI and VLAN identifier.
    v6 : 1 bit
        IPv6, or IPv4.
    destination_ip : 128 bits
        Peer; of IPv4 the low 32 bits.
    traffic_class : 8 bits
        DSCP, and ECN in the low bits.
    hop_limit : 8 bits
        Hop limit, or time to live.
    udp_source : 16 bits
        UDP source port, of which the network makes a path.
    queue_pair : 24 bits
        Number of the peer's queue pair.
    p_key : 16 bits
    """

    def __init__(self):
        super().__init__(
            {
                "destination_mac": 48,
                "has_vlan": 1,
                "vlan": 16,
                "v6": 1,
                "destination_ip": 128,
                "traffic_class": 8,
                "hop_limit": 8,
                "udp_source": 16,
                "queue_pair": 24,
                "p_key": 16,
            }
        )


class AddressWriteLayout(data.StructLayout):
    """What is written to a row of addresses: ``row`` to ``index``, of ``rows``."""

    def __init__(self, rows: int):
        super().__init__({"index": range(rows), "row": AddressLayout()})


class IdentityLayout(data.StructLayout):
    """Own addresses: ``mac``, ``ipv4`` and ``ipv6``."""

    def __init__(self):
        super().__init__({"mac": 48, "ipv4": 32, "ipv6": 128})


def _halves(value: Value) -> list[Value]:
    return [value[n : n + 16] for n in range(0, len(value), 16)]


def _turned(value: Value) -> Value:
    return Cat(value[8:16], value[:8])


class FrameTemplates(wiring.Component):
    """Hold the headers of frames for each row of addresses, lengths and sequence numbers left 0.

    A template is the first words of a frame with two bytes in front (see
    :class:`UnsealedLayout`), cut into beats. The two bytes in front are the sum of the IPv4
    header's words and of its own length, not complemented: with the UDP length it makes the
    checksum. A cycle makes two bytes, so that a row of addresses passes a narrow multiplexer and an
    adder of 16 bits. Behind the BTH are zeros, as far as the longest headers' beats reach.

    A write takes :attr:`write_cycles` cycles. Frames that are built meanwhile have a mix of old and
    new addresses; so a driver writes before it lets a queue pair work.

    Latency of a read is 1 cycle. Throughput is 1 read per cycle.

    Specification: IEEE 802.3, IEEE 802.1Q, RFC 791, RFC 8200, RFC 768, and IBTA Architecture
    Specification volume 1, 9.2 and Annex A17.

    Parameters
    ----------
    config : RoceConfig
    rows : int
        Rows of addresses, a power of two.

    Attributes
    ----------
    words, beats : int
        Words of a beat that are here; beats that each row has.
    write_cycles : int
        Cycles of a write, the one in which it is accepted included.

    Members
    -------
    addresses : In(stream.Signature(AddressWriteLayout(rows)))
        What to write. ``addresses.ready`` depends on registers only.
    identity : In(IdentityLayout())
        Own addresses, taken while a row is written.
    read_en, read_address : In(1), In(range(beats * rows))
        What to read: the beat's number in the low bits, the row of addresses above it.
    row : Out(32 * words)
        What the last read found.
    has_vlan, v6 : Out(1)
        Of that row's frames.
    """

    addresses: stream.Interface
    identity: data.View
    read_en: Signal
    read_address: Signal
    row: Signal
    has_vlan: Signal
    v6: Signal

    def __init__(self, *, config: RoceConfig, rows: int):
        self.config = config
        beat_words = config.data_bytes // 4
        # Where all headers are in one beat, what is behind the BTH is not here.
        self.words = min(beat_words, _TEMPLATE_WORDS)
        self.beats = 1 << (-(-HEADER_WORDS // beat_words) - 1).bit_length()
        self.beat_bits = self.beats.bit_length() - 1
        self.total_words = self.words * self.beats
        self.write_cycles = 2 * self.total_words + 1
        self.depth = self.beats * rows
        super().__init__(
            {
                "addresses": In(stream.Signature(AddressWriteLayout(rows))),
                "identity": In(IdentityLayout()),
                "read_en": In(1),
                "read_address": In(range(self.depth)),
                "row": Out(32 * self.words),
                "has_vlan": Out(1),
                "v6": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Beside each word stands whether its frame is IPv6 (even words) or has a tag (odd ones).
        m.submodules.memory = memory = SimpleDualPortRam(
            shape=33 * self.words,
            depth=self.depth,
            lane_count=self.words,
            latency=1,
            bypass=False,
            block=True,
        )
        row: Any = self.addresses.p.row
        lanes = [memory.read_data.word_select(n, 33) for n in range(self.words)]
        m.d.comb += [
            memory.read_en.eq(self.read_en),
            memory.read_address.eq(self.read_address),
            self.row.eq(Cat(lane[:32] for lane in lanes)),
            self.v6.eq(lanes[0][32]),
            self.has_vlan.eq(lanes[1][32]),
        ]

        # The halves of words, in the order in which they are made: the first one of all, where the
        # sum goes, and its neighbour last, since the sum is known last.
        program, starts = self._program(row)
        last_place = 2 * self.total_words - 1
        # One bit for each step: no multiplexer is cheaper than one that is told so.
        step = Signal(len(program), init=1)
        place = Signal(range(last_place + 1), init=2)
        half = Signal(16, reset_less=True)
        half_counts = Signal()
        half_place = Signal.like(place, reset_less=True)
        half_valid = Signal()
        total = Signal(17, reset_less=True)

        following = Signal.like(step)
        m.d.comb += following.eq(step.rotate_left(1))
        ends = Signal()
        m.d.comb += ends.eq(place == last_place)
        behind_ethernet = (step[starts["tag"] - 1] & ~row.has_vlan) | step[starts["ipv4"] - 1]
        m.d.comb += [
            following[starts["tag"]].eq(step[starts["tag"] - 1] & row.has_vlan),
            following[starts["ipv4"]].eq(behind_ethernet & ~row.v6),
            following[starts["ipv6"]].eq(behind_ethernet & row.v6),
            following[starts["peer"]].eq(step[starts["ipv6"] - 1] | step[starts["peer"] - 1]),
            following[starts["zeros"]].eq(
                (step[starts["zeros"] - 1] | step[starts["zeros"]]) & ~ends
            ),
            following[starts["sum"]].eq(ends),
        ]

        m.d.sync += half_valid.eq(0)
        with m.If(self.addresses.valid & ~self.addresses.ready):
            m.d.sync += [
                half_valid.eq(1),
                half_place.eq(place),
                place.eq(Mux(place == last_place, 0, place + 1)),
                step.eq(following),
            ]
        chosen = C(0, 16)
        for now, (value, _) in zip(step, program, strict=True):
            chosen |= (total[:16] if value is None else value) & now.replicate(16)
        m.d.sync += [
            half.eq(chosen),
            half_counts.eq(
                Cat(now for now, (_, counts) in zip(step, program, strict=True) if counts).any()
            ),
        ]
        with m.If(step[0]):
            m.d.sync += total.eq(_turned(C(IPV4.bytes, 16)))
        with m.Elif(half_counts):
            m.d.sync += total.eq(total[:16] + half + total[16])

        # Each second half ends a word.
        first = Signal(16, reset_less=True)
        m.d.sync += first.eq(half)
        lane_bits = (self.words - 1).bit_length()
        number = half_place[1:]
        is_odd = number[0]
        m.d.comb += [
            self.addresses.ready.eq(half_valid & (half_place == 1)),
            memory.write_address.eq(
                Cat(number[lane_bits:][: self.beat_bits], self.addresses.p.index)
            ),
            memory.write_lanes.eq(Mux(half_valid & half_place[0], 1 << number[:lane_bits], 0)),
            memory.write_data.eq(
                Cat(first, half, Mux(is_odd, row.has_vlan, row.v6)).replicate(self.words)
            ),
        ]
        return m

    def _program(self, row: Any):
        """Halves of words and whether they count for the sum; where parts of that list begin."""
        identity: Any = self.identity
        kind = Mux(row.v6, EtherType.IPV6, EtherType.IPV4)
        ethernet = _halves(
            ETHERNET.pack(
                {
                    "destination_address": row.destination_mac,
                    "source_address": identity.mac,
                    "ethertype": Mux(row.has_vlan, EtherType.VLAN, kind),
                }
            )
        )
        tag = [_turned(row.vlan), _turned(kind)]
        ipv4 = IPV4.pack(
            {
                "version": 4,
                "ihl": IPV4.bytes // 4,
                "dscp": row.traffic_class[2:],
                "ecn": row.traffic_class[:2],
                "dont_fragment": 1,
                "time_to_live": row.hop_limit,
                "protocol": IpProtocol.UDP,
                "source_address": identity.ipv4,
            }
        )
        ipv6 = IPV6.pack(
            {
                "version": 6,
                "dscp": row.traffic_class[2:],
                "ecn": row.traffic_class[:2],
                "next_header": IpProtocol.UDP,
                "hop_limit": row.hop_limit,
                "source_address": identity.ipv6,
                "destination_address": row.destination_ip,
            }
        )
        udp = UDP.pack({"source_port": row.udp_source, "destination_port": UdpPort.ROCE_V2})
        bth = BTH.pack({"p_key": row.p_key, "dest_qp": row.queue_pair})

        # The destination of IPv4 is where the end of IPv6's is.
        *v6, high, low = _halves(ipv6)
        v4 = _halves(ipv4)[:-2]
        parts = {
            "ethernet": [(value, 0) for value in ethernet[1:]],
            "tag": [(value, 0) for value in tag],
            "ipv4": [(value, 1) for value in v4],
            "ipv6": [(value, 0) for value in v6],
            "peer": [(high, 1), (low, 1)],
            "others": [(value, 0) for value in (*_halves(udp), *_halves(bth))],
            # To the end; the sum's last carry is added meanwhile.
            "zeros": [(C(0, 16), 1)],
            "sum": [(None, 0), (ethernet[0], 0)],
        }
        starts, program = {}, []
        for name, part in parts.items():
            starts[name] = len(program)
            program += part
        return program, starts
