"""Packets of work requests, without their data."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..headers import DETH, IETH, IMMDT, RETH, Opcode
from .config import RoceConfig
from .layouts import CompletionStatus
from .opcode import Service
from .send_decide import StepLayout
from .send_layouts import SendPacketKind, SendPacketLayout
from .send_state import FoundLayout, SendStateLayout
from .turn_context import TurnContextLayout
from .work_layouts import SendKind, WorkHeadLayout

__all__ = ["SendPacketMaker", "SentTurnLayout"]

#: Of a long message every so many packets one asks to be acknowledged, besides the last one.
_ACK_INTERVAL = 16
_MTU_SHIFTS = range(8, 13)


class SentTurnLayout(data.StructLayout):
    """A turn that gives a packet: its rows, and its step but for the new state."""

    def __init__(self, config: RoceConfig):
        step = StepLayout(config)
        names = ("sends", "is_local", "begins", "last", "asks")
        super().__init__(
            {
                "is_set_up": 1,
                "queue_pair": config.bits("queue_pairs"),
                "state": SendStateLayout(config),
                "context": TurnContextLayout(config),
                "head": WorkHeadLayout(),
                "found": FoundLayout(),
                **{name: step[name].shape for name in names},
            }
        )


def _mtu(context: Any) -> Value:
    return Cat(C(0, 8), *(context.mtu_shift == shift for shift in _MTU_SHIFTS))


class SendPacketMaker(wiring.Component):
    """Make the packet of a turn.

    Latency is 2 cycles: first where in the message it is, then addresses and lengths. A turn every
    2 cycles.

    Specification: IBTA Architecture Specification volume 1, 9.2 to 9.4.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    i : In(SentTurnLayout(config))
        Turn. With ``sends``, a packet comes 2 cycles later.
    valid : Out(1)
    o : Out(SendPacketLayout(config))
        Registered.
    size : Out(14)
        Bytes on the wire, about: for rates and shares. Combinational, from ``i``.
    """

    i: Any
    valid: Signal
    o: Any
    size: Signal

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "i": In(SentTurnLayout(config)),
                "valid": Out(1),
                "o": Out(SendPacketLayout(config)),
                "size": Out(14),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        turn = self.i
        work = turn.found.work
        bytes_now = Signal(13)
        m.d.comb += [
            bytes_now.eq(
                Mux(
                    work.has_response | turn.is_local,
                    0,
                    Mux(turn.last, work.last_bytes, _mtu(turn.context)),
                )
            ),
            # Headers of IPv4, UDP, BTH and ICRC, Ethernet's with FCS, preamble and gap.
            self.size.eq(bytes_now + 82),
        ]

        # 1: offset in the message; low half of the address, whose carry goes on a cycle later.
        valid = Signal()
        now: Any = Signal(SentTurnLayout(config), reset_less=True)
        payload = Signal(13, reset_less=True)
        offset = Signal(32, reset_less=True)
        low = Signal(33, reset_less=True)
        before = Signal(32)
        with m.Switch(turn.context.mtu_shift):
            for shift in _MTU_SHIFTS:
                with m.Case(shift):
                    m.d.comb += before.eq(turn.state.number << shift)
        m.d.sync += [
            valid.eq(turn.sends),
            now.eq(turn),
            payload.eq(bytes_now),
            offset.eq(before),
            low.eq(turn.head.address[:32] + before),
        ]

        # 2: the packet.
        m.d.sync += self.valid.eq(valid)
        m.d.sync += self.o.eq(0)
        self._fill(m, self.o, now, payload, offset)
        self._words(m, self.o.frame, now, offset, low)
        return m

    def _fill(self, m: Module, packet: Any, now: Any, payload: Value, offset: Value) -> None:
        head, work, frame = now.head, now.found.work, packet.frame
        is_ud = now.context.service == Service.UD
        opcode = Signal(8)
        first = ~now.state.number.any()
        status: Any = Signal(CompletionStatus)
        m.d.comb += status.eq(
            Mux(
                # One that has begun before was no local operation then.
                now.found.lost | now.found.overrun | now.found.short | (now.is_local & ~now.begins),
                CompletionStatus.LOCAL_OPERATION,
                work.status,
            )
        )
        m.d.sync += [
            packet.queue_pair.eq(now.queue_pair),
            packet.service.eq(now.context.service),
            packet.is_new.eq(now.begins),
            packet.reads.eq(now.state.cursor.reads),
            packet.count.eq(work.last_number + 1),
            packet.first.eq(now.state.cursor.psn),
            packet.domain.eq(now.context.domain),
            packet.number.eq(now.context.number),
            # Of a set-up, the state is that of before.
            packet.epoch.eq(now.state.epoch + now.is_set_up),
            packet.slot.eq(Mux(now.is_set_up, 0, now.state.cursor.slot)),
            packet.slots.eq(Mux(now.is_set_up, 0, Mux(now.found.lost, 1, work.slots))),
            packet.last.eq(now.last | now.is_local | now.is_set_up),
            packet.inline.eq(head.inline),
            packet.pieces.eq(head.count),
            packet.offset.eq(Mux(work.has_response, 0, offset)),
            packet.length.eq(Mux(work.has_response | now.is_local, head.length, payload)),
            packet.status.eq(status),
            frame.row.eq(Mux(is_ud, head.row, now.queue_pair)),
            frame.opcode.eq(Cat(opcode[:5], now.context.service, C(0, 1))),
            frame.psn.eq(now.state.psn),
            frame.solicited.eq(now.last & head.solicited),
            frame.ack_request.eq(
                now.found.is_rc
                & (
                    now.asks
                    | now.last
                    | (now.state.number[: _ACK_INTERVAL.bit_length() - 1] == _ACK_INTERVAL - 1)
                )
            ),
            frame.migrated.eq(1),
            frame.has_peer.eq(is_ud),
            frame.peer.eq(head.queue_pair),
            frame.payload_bytes.eq(payload),
        ]
        with m.If(now.is_set_up):
            m.d.sync += packet.kind.eq(SendPacketKind.SET_UP)
        with m.Elif(now.is_local):
            m.d.sync += packet.kind.eq(SendPacketKind.BAD)
            with m.If(status == CompletionStatus.SUCCESS):
                m.d.sync += packet.kind.eq(
                    Mux(
                        head.kind == SendKind.BIND.value,
                        SendPacketKind.BIND,
                        SendPacketKind.INVALIDATE,
                    )
                )
        with m.Elif(work.is_read):
            m.d.sync += packet.kind.eq(SendPacketKind.READ)
        with m.Elif(work.is_atomic):
            m.d.sync += packet.kind.eq(SendPacketKind.ATOMIC)

        # Numbers within a service; those of RC tell them all (9.2.1).
        with m.Switch(Cat(now.last, first, head.kind[:3])):
            for kind, name in ((SendKind.SEND, "SEND"), (SendKind.WRITE, "RDMA_WRITE")):
                for is_first, is_last, part in (
                    (1, 0, "FIRST"),
                    (0, 0, "MIDDLE"),
                    (0, 1, "LAST"),
                    (1, 1, "ONLY"),
                ):
                    with m.Case(f"{kind.value:03b}{is_first}{is_last}"):
                        plain = Opcode[f"RC_{name}_{part}"]
                        m.d.comb += opcode.eq(plain)
                        if is_last:
                            immediate = Opcode[f"RC_{name}_{part}_WITH_IMMEDIATE"]
                            with m.If(head.has_immediate):
                                m.d.comb += opcode.eq(immediate)
                        if is_last and kind is SendKind.SEND:
                            invalidate = Opcode[f"RC_{name}_{part}_WITH_INVALIDATE"]
                            with m.If(head.has_invalidate):
                                m.d.comb += opcode.eq(invalidate)
            for kind, code in (
                (SendKind.READ, Opcode.RC_RDMA_READ_REQUEST),
                (SendKind.COMPARE_SWAP, Opcode.RC_COMPARE_SWAP),
                (SendKind.FETCH_ADD, Opcode.RC_FETCH_ADD),
            ):
                with m.Case(f"{kind.value:03b}--"):
                    m.d.comb += opcode.eq(code)

    def _words(self, m: Module, frame: Any, now: Any, offset: Value, low: Value) -> None:
        """Give what follows the BTH: RETH, AtomicETH, DETH; immediate data, or a key, behind."""
        head, work = now.head, now.found.work
        is_write = head.kind == SendKind.WRITE.value
        has_reth = work.is_read | (is_write & ~now.state.number.any())
        has_deth = now.context.service == Service.UD
        address = Signal(64)
        left = Signal(32)
        m.d.comb += [
            address.eq(Cat(low[:32], head.address[32:] + low[32])),
            left.eq(head.length - offset),
        ]
        reth = RETH.pack({"virtual_address": address, "r_key": head.key, "dma_length": left})
        # A privileged key is the queue pair's own (10.2.5).
        q_key = Mux(head.key[31], now.context.q_key, head.key)
        deth = DETH.pack({"q_key": q_key, "src_qp": now.context.number})
        value = Signal(32)
        has_value = now.last & (head.has_immediate | head.has_invalidate) & ~now.is_local
        m.d.comb += value.eq(
            Mux(
                head.has_immediate,
                IMMDT.pack({"immediate_data": head.value}),
                IETH.pack({"r_key": head.value}),
            )
        )
        words = frame.words
        with m.If(work.is_atomic):
            # The operands are a piece's neighbours, and come later.
            m.d.sync += [
                Cat(words[n] for n in range(3)).eq(reth[:96]),
                frame.word_count.eq(7),
            ]
        with m.Elif(has_reth):
            m.d.sync += [
                Cat(words[n] for n in range(4)).eq(reth),
                words[4].eq(Mux(has_value, value, 0)),
                frame.word_count.eq(4 + has_value),
            ]
        with m.Elif(has_deth):
            m.d.sync += [
                Cat(words[n] for n in range(2)).eq(deth),
                words[2].eq(Mux(has_value, value, 0)),
                frame.word_count.eq(2 + has_value),
            ]
        with m.Elif(has_value):
            m.d.sync += [words[0].eq(value), frame.word_count.eq(1)]
