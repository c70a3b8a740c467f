"""RoCEv2 frames: headers, data, ICRC."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout, View
from amaranth.lib.wiring import In, Out

from ..stream import PacketSignature
from .config import RoceConfig
from .frame_headers import FrameHeaders
from .frame_templates import AddressWriteLayout, IdentityLayout
from .icrc_insert import IcrcInsert, UnsealedLayout
from .send_layouts import FrameLayout

__all__ = ["FrameBuilder"]


class FrameBuilder(wiring.Component):
    """Make Ethernet frames, without FCS, of what they say and their data.

    Frames shorter than 60 bytes are not padded. If the last beat of data has ``error``, the frame
    has it too, with an inverted ICRC.

    Latency is :attr:`latency` cycles from a frame without data to its first beat. Throughput is 1
    beat per cycle: a frame takes as many cycles as it has beats, and the next one follows, if its
    data are here. A frame that has begun holds up all others until its data are here. One with a
    damaged row of addresses, or none, leaves with wrong addresses; it does not hang.

    Specification: IBTA Architecture Specification volume 1, 9.2, 9.3 and Annex A17 (RoCEv2).

    Parameters
    ----------
    config : RoceConfig
    rows : int
        Rows of addresses: ``config.queue_pairs``, or twice that where there are datagrams.

    Attributes
    ----------
    latency : int
        Cycles from ``i`` to ``o``: 8 at 8 bytes a beat, 16 at 128.

    Members
    -------
    i : In(stream.Signature(FrameLayout(config)))
        Frames; one that waits may be exchanged for another, or taken back. Words from
        ``word_count`` on must be 0, and ``row`` less than ``rows``. ``i.ready`` depends
        combinationally on ``o.ready`` and ``data.valid``.
    data : In(PacketSignature(data_bytes))
        For each frame with bytes, a packet of as many; ``keep`` is not looked at. None is taken
        before its frame. ``data.ready`` depends combinationally on ``o.ready``.
    addresses : In(stream.Signature(AddressWriteLayout(rows)))
        Where frames go; see :class:`FrameTemplates`.
    identity : In(IdentityLayout())
        Own addresses, taken while a row of ``addresses`` is written.
    o : Out(PacketSignature(data_bytes))
        Frames, registered.

    Raises
    ------
    ValueError
        If ``rows`` is neither ``config.queue_pairs`` nor twice that.
    """

    i: stream.Interface
    data: stream.Interface
    addresses: stream.Interface
    identity: View
    o: stream.Interface

    def __init__(self, *, config: RoceConfig, rows: int):
        if rows not in (config.queue_pairs, 2 * config.queue_pairs):
            raise ValueError(
                f"rows must be {config.queue_pairs} or {2 * config.queue_pairs}, not {rows!r}"
            )
        self.config = config
        self.headers = FrameHeaders(config=config, rows=rows)
        self.seal = IcrcInsert(data_bytes=config.data_bytes)
        self.latency = 2 + self.headers.wait_cycles + 1 + self.seal.latency
        super().__init__(
            {
                "i": In(stream.Signature(FrameLayout(config))),
                "data": In(PacketSignature(config.data_bytes)),
                "addresses": In(stream.Signature(AddressWriteLayout(rows))),
                "identity": In(IdentityLayout()),
                "o": Out(PacketSignature(config.data_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.headers = headers = self.headers
        m.submodules.seal = seal = self.seal
        wiring.connect(m, wiring.flipped(self.i), headers.i)
        wiring.connect(m, wiring.flipped(self.addresses), headers.addresses)
        wiring.connect(m, seal.o, wiring.flipped(self.o))
        m.d.comb += headers.identity.eq(self.identity)
        self._assemble(m, headers, seal)
        return m

    def _assemble(self, m: Module, headers: FrameHeaders, seal: IcrcInsert) -> None:
        """Headers, and data behind them. Words of zeros pad, and keep the ICRC's place."""
        size = self.config.data_bytes
        words = size // 4
        word_bits = words.bit_length() - 1
        header: Any = headers.o.p
        payload: Any = self.data.p
        moves = seal.i.ready

        # 0: what the next beat is made of. The first data come with the last beat of headers.
        in_packet = Signal()
        in_body = Signal()
        data_follow = Signal()
        tail = Signal.like(header.tail, reset_less=True)
        last_word = Signal(range(words), reset_less=True)
        shift = Signal.like(header.shift, reset_less=True)
        left = Signal(len(header.place) - word_bits, reset_less=True)
        damaged = Signal(reset_less=True)

        is_any = Signal()
        wants_data = Signal()
        gives = Signal()
        step = Signal()
        left_now = Signal.like(left)
        ends = Signal()
        tail_now = Signal.like(tail)
        damaged_now = Signal()
        m.d.comb += [
            wants_data.eq(Mux(in_body, data_follow, header.last & header.has_data)),
            is_any.eq(in_body | headers.o.valid),
            gives.eq(is_any & (~wants_data | self.data.valid)),
            step.eq(moves & gives),
            headers.o.ready.eq(step & ~in_body),
            self.data.ready.eq(moves & is_any & wants_data),
            left_now.eq(Mux(in_packet, left, header.place[word_bits:])),
            ends.eq(left_now == 0),
            tail_now.eq(Mux(in_body, tail, header.tail)),
            damaged_now.eq(Mux(wants_data, payload.last & payload.error, in_body & damaged)),
        ]
        with m.If(step):
            m.d.sync += [
                in_packet.eq(~ends),
                in_body.eq((in_body | header.last) & ~ends),
                data_follow.eq(wants_data & ~payload.last),
                left.eq(left_now - 1),
                damaged.eq(damaged_now),
            ]
            with m.If(~in_body):
                m.d.sync += [
                    tail.eq(header.tail),
                    shift.eq(header.shift),
                    last_word.eq(header.place[:word_bits]),
                ]

        # 1: headers; data, shifted with what they leave of the last beat.
        about_layout = StructLayout({"last": 1, "error": 1, "has_vlan": 1, "v6": 1})
        valid = Signal()
        about: Any = Signal(about_layout, reset_less=True)
        front = Signal(8 * size, reset_less=True)
        now = Signal(8 * size, reset_less=True)
        before = Signal(8 * size, reset_less=True)
        with m.If(moves):
            m.d.sync += valid.eq(gives)
        with m.If(step):
            m.d.sync += [
                about.last.eq(ends),
                about.error.eq(damaged_now),
                front.eq(Mux(in_body, 0, header.data)),
                before.eq(Mux(in_packet, now, 0)),
            ]
            with m.If(~in_body):
                m.d.sync += [about.has_vlan.eq(header.has_vlan), about.v6.eq(header.v6)]
            for n in range(size):
                is_data = wants_data & (~payload.last | (tail_now == 0) | (tail_now > n))
                byte = payload.data.word_select(n, 8) & is_data.replicate(8)
                m.d.sync += now.word_select(n, 8).eq(byte)

        # 2: the beat.
        window = Cat(before, now)
        for level in reversed(range(word_bits)):
            kept = 32 * (words + (1 << level) - 1)
            window = Mux(shift[level], window[32 << level :], window)[:kept]
        beat: Any = Signal(UnsealedLayout(size), reset_less=True)
        beat_valid = Signal()
        m.d.comb += [seal.i.payload.eq(beat), seal.i.valid.eq(beat_valid)]
        with m.If(moves):
            m.d.sync += [
                beat_valid.eq(valid),
                beat.data.eq(window | front),
                beat.last.eq(about.last),
                beat.last_word.eq(last_word),
                beat.error.eq(about.error),
                beat.has_vlan.eq(about.has_vlan),
                beat.v6.eq(about.v6),
            ]
