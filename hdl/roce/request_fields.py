"""What a parsed packet asks for, out of the parser's windows."""

from collections.abc import Iterable, Mapping
from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.headers import (
    AETH,
    ATOMIC_ETH,
    BTH,
    DETH,
    EXTENSIONS,
    ICRC,
    IETH,
    IMMDT,
    IPV4,
    IPV6,
    RETH,
    UDP,
    Header,
    IpProtocol,
    Opcode,
    UdpPort,
)
from hdl.pipeline import DescriptorLayout, ParseError

from .layouts import RequestLayout

__all__ = ["WINDOW_BYTES", "RequestFields", "check_windows"]

#: Windows of the parser that are looked at, and how much of them: an IPv6 header; UDP; BTH and the
#: longest extended header that has anything for the responder.
WINDOW_BYTES = {"network": IPV6.bytes, "transport": UDP.bytes, "rdma": BTH.bytes + ATOMIC_ETH.bytes}
# Lengths count words of 4 bytes: UDP carries whole ones, all of these headers are whole ones.
_WORD_BYTES = 4
# UDP lengths below 8192 hold the largest packet; the bits above must be 0.
_LENGTH_BITS = 13
#: Payload bytes of a packet at most (IBTA vol 1 9.4.1, path MTU).
_MAX_PAYLOAD_BYTES = 4096
# An IPv4-mapped IPv6 address has these bits above the IPv4 address, and zeros above them
# (RFC 4291 2.5.5.2).
_MAPPED_BITS = 16


def check_windows(slots: Mapping[str, int]) -> None:
    """Raise ValueError if ``slots`` lack a window or some of its bytes."""
    for name, size in WINDOW_BYTES.items():
        if slots.get(name, 0) < size:
            raise ValueError(
                f"slots must have {size} bytes or more of {name!r}, not {slots.get(name, 0)!r}"
            )


def _is_reliable_datagram(opcode: Opcode) -> bool:
    """Whether RoCEv2 does not carry it, so that the parser knows none of its headers."""
    return opcode.name.startswith("RD_")


#: Headers after the BTH, for each opcode that the parser's graph knows.
_FOLLOWING = {
    opcode: headers for opcode, headers in EXTENSIONS.items() if not _is_reliable_datagram(opcode)
}


def _is_any(opcode: Value, opcodes: Iterable[Opcode]) -> Value:
    """Whether ``opcode`` is among ``opcodes``."""
    return opcode.matches(*(int(one) for one in opcodes))


def _with(header: Header) -> list[Opcode]:
    """Opcodes with ``header`` of services that the responder has; XRC is none of them."""
    return [
        opcode
        for opcode, headers in _FOLLOWING.items()
        if header in headers and not opcode.name.startswith("XRC")
    ]


def _words_after(opcode: Value) -> Value:
    """Words of all extended headers of a packet with ``opcode``."""
    words = {
        opcode: sum(header.bytes for header in headers) // _WORD_BYTES
        for opcode, headers in _FOLLOWING.items()
    }
    return Cat(
        _is_any(opcode, [one for one, count in words.items() if count >> bit & 1])
        for bit in range(max(words.values()).bit_length())
    )


class RequestFields(wiring.Component):
    """Make a request of a packet's descriptor, in two cycles, or in three.

    ``load`` keeps what follows from opcode, IP version and lengths; ``take`` makes the request with
    it, from the same descriptor. So each bit of the request has one register and a multiplexer
    at most in front of it.

    ``o.good`` is set if the packet is intact and is, by its headers, a RoCEv2 packet: a
    chain of IP without options or extension headers, UDP and BTH with nothing between them, whose
    lengths agree, and whose transport version is 0.

    Of opcodes that do not exist, and of those of RD, which RoCEv2 does not carry, all that follows
    the BTH is payload. Of XRC's, extended headers are no payload, but give no fields.

    Latency is 1 cycle from ``take`` to ``o``, which is right if ``take`` is at least
    ``load_cycles`` behind ``load``, which is there in each of them.

    Specification: row 1 of the order of checks in docs/roce.md; IBTA Architecture Specification
    volume 1, 9.6, and Annex A17.

    Parameters
    ----------
    header_count : int
        Headers that the descriptor may list.
    slots : mapping of str to int
        Windows of the descriptor, with bytes of each: ``network``, ``transport`` and ``rdma`` must
        have ``WINDOW_BYTES`` at least.
    load_cycles : int
        1, or 2 with a register behind the length of the extended headers.

    Members
    -------
    descriptor : In(DescriptorLayout(header_count, slots))
        Of the packet; the same from ``load`` to ``take``.
    load, take : In(1)
        Steps; both may be repeated.
    intact : In(1)
        With ``take``: the packet is whole and undamaged, and its ICRC is right.
    o : Out(RequestLayout())
        Request, registered; changes with ``take`` only.

    Raises
    ------
    ValueError
        If a window is missing or too small.
    """

    descriptor: data.View
    load: Signal
    take: Signal
    intact: Signal
    o: data.View

    def __init__(self, *, header_count: int, slots: Mapping[str, int], load_cycles: int):
        check_windows(slots)
        self.load_cycles = load_cycles
        super().__init__(
            {
                "descriptor": In(DescriptorLayout(header_count, slots)),
                "load": In(1),
                "take": In(1),
                "intact": In(1),
                "o": Out(RequestLayout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        descriptor: Any = self.descriptor
        network = descriptor.slots["network"].window
        transport = descriptor.slots["transport"].window
        rdma = descriptor.slots["rdma"].window
        ipv4, ipv6 = IPV4.view(network), IPV6.view(network)
        udp, bth = UDP.view(transport), BTH.view(rdma)

        # First step: which headers there are. The services differ in the opcode's upper bits.
        is_v6 = Signal()
        m.d.comb += is_v6.eq(ipv6.version == 6)
        v6, reth, atomic, immediate, ieth, deth = (
            Signal(name=name, reset_less=True)
            for name in ("v6", "reth", "atomic", "immediate", "ieth", "deth")
        )
        extension_words = Signal(4)
        when = m.d.comb if self.load_cycles == 1 else m.d.sync
        when += extension_words.eq(_words_after(bth.opcode))
        with m.If(self.load):
            m.d.sync += [
                v6.eq(is_v6),
                *(
                    held.eq(_is_any(bth.opcode, [one for header in some for one in _with(header)]))
                    for held, some in (
                        (reth, [RETH]),
                        (atomic, [ATOMIC_ETH]),
                        # Both stand there where nothing else does.
                        (immediate, [IMMDT, AETH]),
                        (ieth, [IETH]),
                        (deth, [DETH]),
                    )
                ),
            ]

        plausible = self._check(m, ipv4, ipv6, udp, bth, is_v6)
        payload_bytes, fits, ip_offset = self._measure(
            m, udp.length, bth.pad_count, extension_words, is_v6
        )

        # Second step. What there is not is 0, by the registers' reset; so is what XRC has.
        o: Any = Signal(RequestLayout(), reset_less=True)
        m.d.comb += self.o.eq(o)
        has_key = reth | atomic
        after_bth = rdma[BTH.bits :]
        reth_fields, atomic_fields = RETH.view(after_bth), ATOMIC_ETH.view(after_bth)
        immediates = {
            bits: IMMDT.extract(after_bth[bits:], "immediate_data")
            for bits in (0, DETH.bits, RETH.bits)
        }
        with m.If(self.take):
            m.d.sync += [
                o.good.eq(plausible & fits & self.intact),
                o.opcode.eq(bth.opcode),
                o.queue_pair.eq(bth.dest_qp),
                o.psn.eq(bth.psn),
                o.p_key.eq(bth.p_key),
                o.solicited.eq(bth.solicited_event),
                o.ack_request.eq(bth.ack_req),
                o.marked.eq(Mux(v6, ipv6.ecn, ipv4.ecn).all()),
                o.v6.eq(v6),
                o.source.eq(
                    Mux(
                        v6,
                        ipv6.source_address,
                        Cat(ipv4.source_address, C(-1, _MAPPED_BITS)),
                    )
                ),
                o.ip_offset.eq(ip_offset),
                o.payload_offset.eq(descriptor.header_bytes),
                o.payload_bytes.eq(payload_bytes),
                o.address.eq(Mux(has_key, reth_fields.virtual_address, 0)),
                o.key.eq(
                    Mux(
                        has_key,
                        reth_fields.r_key,
                        Mux(ieth, IETH.extract(after_bth, "r_key"), 0),
                    )
                ),
                o.length.eq(Mux(reth, reth_fields.dma_length, Mux(atomic, 8, 0))),
                # Who has neither of these headers does not look at their fields.
                o.operand.eq(atomic_fields.swap_or_add_data),
                o.compare.eq(atomic_fields.compare_data),
                o.immediate.eq(
                    Mux(
                        immediate,
                        Mux(
                            reth,
                            immediates[RETH.bits],
                            Mux(deth, immediates[DETH.bits], immediates[0]),
                        ),
                        0,
                    )
                ),
                o.q_key.eq(DETH.extract(after_bth, "q_key")),
                o.source_queue_pair.eq(Mux(deth, DETH.extract(after_bth, "src_qp"), 0)),
            ]
        return m

    def _check(self, m: Module, ipv4: Any, ipv6: Any, udp: Any, bth: Any, is_v6: Value) -> Value:
        """Whether the headers allow a RoCEv2 packet, a cycle later.

        The parser found a BTH somewhere, or there is no verdict on an ICRC. With nothing between
        IP and UDP, and that port, it is behind the headers of these windows, in no tunnel.
        """
        descriptor: Any = self.descriptor
        v4_right, v6_right, rest_right, lengths_agree = (
            Signal(name=name, reset_less=True)
            for name in ("v4_right", "v6_right", "rest_right", "lengths_agree")
        )
        # No carry is lost: a length that does not fit `_LENGTH_BITS` is refused.
        udp_words = udp.length[:_LENGTH_BITS] >> 2
        whole_words = (udp.length[:2] == 0) & (udp.length[_LENGTH_BITS:] == 0)
        ip_length = Signal(16)
        agreed_words = Signal(_LENGTH_BITS - 1)
        m.d.comb += [
            ip_length.eq(Mux(is_v6, ipv6.payload_length, ipv4.total_length)),
            agreed_words.eq(udp_words + Mux(is_v6, 0, IPV4.bytes // _WORD_BYTES)),
        ]
        with m.If(self.load):
            m.d.sync += [
                v4_right.eq(
                    (ipv4.version == 4)
                    & (ipv4.ihl == IPV4.bytes // _WORD_BYTES)
                    & ~ipv4.more_fragments
                    & (ipv4.fragment_offset == 0)
                    & (ipv4.protocol == IpProtocol.UDP)
                ),
                v6_right.eq(is_v6 & (ipv6.next_header == IpProtocol.UDP)),
                rest_right.eq(
                    (descriptor.error == ParseError.NONE)
                    & descriptor.slots["rdma"].valid
                    & (udp.destination_port == UdpPort.ROCE_V2)
                    & (bth.transport_header_version == 0)
                    & whole_words
                ),
                lengths_agree.eq((ip_length[:2] == 0) & (ip_length[2:] == agreed_words)),
            ]
        return (v4_right | v6_right) & rest_right & lengths_agree

    def _measure(
        self, m: Module, length: Value, pad_count: Value, extension_words: Value, is_v6: Value
    ) -> tuple[Value, Value, Value]:
        """Bytes of payload; whether there may be so many; where the IP header begins.

        All of it in the cycle after ``load``.
        """
        descriptor: Any = self.descriptor
        # Words of the UDP length that are no payload, or not a whole word of it.
        fixed_words = (UDP.bytes + BTH.bytes + ICRC.bytes) // _WORD_BYTES
        taken_words = Signal(5, reset_less=True)
        # Words from the IP header to the payload.
        header_words = Signal(5, reset_less=True)
        front_words = (UDP.bytes + BTH.bytes) // _WORD_BYTES
        v4_words, v6_words = (front_words + ip.bytes // _WORD_BYTES for ip in (IPV4, IPV6))
        with m.If(self.load):
            m.d.sync += [
                taken_words.eq(extension_words + fixed_words + pad_count.any()),
                header_words.eq(extension_words + Mux(is_v6, v6_words, v4_words)),
            ]

        # Fewer than none wrap round to more than there may be.
        words = Signal(_LENGTH_BITS - 2)
        payload_bytes = Signal(_LENGTH_BITS)
        m.d.comb += [
            words.eq(length[2:_LENGTH_BITS] - taken_words),
            payload_bytes.eq(Cat((-pad_count)[:2], words)),
        ]
        low_bits = _MAX_PAYLOAD_BYTES.bit_length() - 1
        fits = ~(payload_bytes[low_bits] & payload_bytes[:low_bits].any())
        ip_offset = Cat(descriptor.header_bytes[:2], descriptor.header_bytes[2:] - header_words)
        return payload_bytes, fits, ip_offset[: len(descriptor.header_bytes)]
