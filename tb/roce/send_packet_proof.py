"""Proof of hdl.roce.SendPacketMaker: the packets of a message have all of its bytes, once."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.roce.opcode import Service
from hdl.roce.send_packet import SendPacketMaker
from hdl.roce.turn_context import TurnContextLayout
from hdl.roce.work_check import WorkCheck
from hdl.roce.work_layouts import SendKind, WorkHeadLayout
from tb.prove import Proof

from .sizes import least

__all__ = ["PROOFS"]

_CONFIG = least()


class _Payload(wiring.Component):
    """Any packet of any message, of which one is looked at."""

    context: Any
    head: Any
    number: Signal
    sends: Signal

    def __init__(self):
        super().__init__(
            {
                "context": In(TurnContextLayout(_CONFIG)),
                "head": In(WorkHeadLayout()),
                "number": In(24),
                "sends": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.check = check = WorkCheck(config=_CONFIG)
        m.submodules.maker = maker = SendPacketMaker(config=_CONFIG)
        work: Any = check.o
        turn: Any = maker.i
        head, context = self.head, self.context
        m.d.comb += [
            check.head.eq(head),
            check.context.eq(context),
            turn.sends.eq(self.sends),
            turn.context.eq(context),
            turn.head.eq(head),
            turn.state.number.eq(self.number),
            turn.found.work.eq(work),
            turn.found.is_rc.eq(context.service == Service.RC),
            turn.last.eq(work.has_response | (self.number == work.last_number)),
            Assume((context.mtu_shift >= 8) & (context.mtu_shift <= 12), "path MTU"),
            Assume(~self.sends | ~work.is_local, "a message"),
            Assume(self.number <= work.last_number, "a packet of it"),
        ]
        # By hand, and with a bit more than the hardware has.
        mtu = Signal(13)
        offset = Signal(40)
        is_data = Signal()
        m.d.comb += [
            mtu.eq(1 << context.mtu_shift),
            offset.eq(self.number << context.mtu_shift),
            is_data.eq(head.kind.matches(SendKind.SEND.value, SendKind.WRITE.value)),
        ]
        now: list[Any] = [self.sends, is_data, turn.last, offset, mtu, head.length]
        for step in (1, 2):
            for place, value in enumerate(now):
                after = Signal(len(value), name=f"value_{place}_{step}")
                m.d.sync += after.eq(value)
                now[place] = after
        sent, was_data, was_last, begin, most, length = now
        packet: Any = maker.o
        payload = packet.frame.payload_bytes
        end = Signal(41)
        m.d.comb += end.eq(begin + payload)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(maker.valid == sent, "2 cycles later"),
                Assert(~(sent & was_data) | (packet.offset == begin), "begins where it should"),
                Assert(~(sent & was_data) | (packet.length == payload), "says it twice"),
                Assert(~(sent & was_data & ~was_last) | (payload == most), "as much as may be"),
                Assert(~(sent & was_data & was_last) | (end == length), "to the end"),
                Assert(~(sent & was_data & ~was_last) | (end < length), "and not before"),
                Assert(~(sent & was_data) | (payload <= most), "a packet's"),
                Assert(~(sent & ~was_data) | (payload == 0), "those for a response have none"),
                Assert(~(sent & ~was_data) | (packet.length == length), "but ask for the whole"),
                Assert(~(sent & ~was_data) | (packet.offset == 0), "from its begin on"),
                Cover(
                    sent & was_data & was_last & (payload == 1) & (begin == 4096), "a byte behind"
                ),
                Cover(sent & was_data & (length == 1 << 31) & was_last, "the longest"),
            ]
        return m


PROOFS = [
    Proof("roce.SendPacketMaker/all bytes of a message, once", _Payload, 3),
    Proof("roce.SendPacketMaker/last ones, of all lengths", _Payload, 4, "cover"),
]
