"""Whether an entry of a work queue is one, and how many packets it is."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import RoceConfig
from .layouts import PAYLOAD_BITS, CompletionStatus
from .opcode import Service
from .turn_context import TurnContextLayout
from .work_layouts import SendKind, WorkHeadLayout

__all__ = ["WorkCheck", "WorkLayout"]

_MOST_SLOTS = 5
_MOST_PIECES = 16
_MOST_INLINE_BYTES = 224
_MTU_SHIFTS = range(8, 13)
#: Bits of a packet's number in its message: 2**31 bytes in packets of 256.
NUMBER_BITS = 24


class WorkLayout(data.StructLayout):
    """What an entry asks for.

    Fields
    ------
    status : CompletionStatus
        SUCCESS, or why it is no work request of its queue pair.
    slots : 3 bits
        1 to 5, whatever the entry says.
    takes, has_response, is_read, is_atomic, is_local : 1 bit each
        A SEND, or a WRITE with immediate data, takes a receive request of the peer's. READs and
        atomic operations have a response. What is local sends nothing: INVALIDATE, BIND, and what
        is no work request.
    last_number : 24 bits
        Number of its final packet, or of that of its response; from 0 on.
    last_bytes : 13 bits
        Bytes of that one.
    """

    def __init__(self):
        super().__init__(
            {
                "status": CompletionStatus,
                "slots": 3,
                "takes": 1,
                "has_response": 1,
                "is_read": 1,
                "is_atomic": 1,
                "is_local": 1,
                "last_number": NUMBER_BITS,
                "last_bytes": PAYLOAD_BITS,
            }
        )


class WorkCheck(wiring.Component):
    """Read the first 32 bytes of an entry; they may be anything.

    Pieces are looked at elsewhere, when they are needed.

    All of it is combinational.

    Specification: docs/roce-requester.md; IBTA Architecture Specification volume 1, 10.8.3, 11.4.1.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    head : In(WorkHeadLayout())
    context : In(TurnContextLayout(config))
        Of its queue pair.
    o : Out(WorkLayout())
    """

    head: Any
    context: Any
    o: Any

    def __init__(self, *, config: RoceConfig):
        super().__init__(
            {
                "head": In(WorkHeadLayout()),
                "context": In(TurnContextLayout(config)),
                "o": Out(WorkLayout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        head, context, o = self.head, self.context, self.o
        kind = head.kind

        def among(*kinds: SendKind) -> Value:
            return kind.matches(*(k.value for k in kinds))

        is_send, is_write, is_read = (
            Signal(name=name) for name in ("is_send", "is_write", "is_read")
        )
        is_atomic, is_invalidate, is_bind = (
            Signal(name=name) for name in ("is_atomic", "is_invalidate", "is_bind")
        )
        m.d.comb += [
            is_send.eq(among(SendKind.SEND)),
            is_write.eq(among(SendKind.WRITE)),
            is_read.eq(among(SendKind.READ)),
            is_atomic.eq(among(SendKind.COMPARE_SWAP, SendKind.FETCH_ADD)),
            is_invalidate.eq(among(SendKind.INVALIDATE)),
            is_bind.eq(among(SendKind.BIND)),
        ]
        sends = is_send | is_write
        is_rc = context.service == Service.RC
        is_ud = context.service == Service.UD

        # Slots: two pieces, or 32 bytes of inline data, are in the first; 4, or 64, in each other.
        wanted = Signal(3)
        m.d.comb += wanted.eq(1)
        for n in range(1, _MOST_SLOTS):
            more = Mux(head.inline, head.count > 64 * n - 32, head.count > 4 * n - 2)
            with m.If(more):
                m.d.comb += wanted.eq(1 + n)
        has_slots = (head.slots != 0) & (head.slots <= _MOST_SLOTS)
        m.d.comb += o.slots.eq(Mux(has_slots, head.slots[:3], 1))

        # No operation of this service, or one that contradicts itself.
        is_wrong = Signal()
        reads_nothing = (is_read | is_atomic) & ~context.reads.any()
        m.d.comb += is_wrong.eq(
            Cat(
                kind > max(SendKind).value,
                head.reserved_flag,
                head.reserved.any(),
                head.queue_pair[24:].any(),
                is_bind & head.address[3:].any(),
                head.inline & ~sends,
                head.has_immediate & (head.has_invalidate | ~sends),
                head.has_invalidate & ~((is_send & is_rc) | is_invalidate),
                is_invalidate & (~head.has_invalidate | head.count.any()),
                head.count
                > Mux(
                    head.inline,
                    _MOST_INLINE_BYTES,
                    Mux(is_atomic | is_read | is_bind, 1, _MOST_PIECES),
                ),
                head.slots != wanted,
                ~is_rc & (is_read | is_atomic),
                is_ud & ~is_send,
                reads_nothing,
            ).any()
        )
        is_long = Signal()
        whole = 1 << 31
        m.d.comb += is_long.eq(
            (head.length > whole)
            | (is_ud & (head.length > Cat(C(0, 8), *(context.mtu_shift == n for n in _MTU_SHIFTS))))
            | (is_atomic & (head.length != 8))
            | (head.inline & (head.length != head.count))
        )
        with m.If(is_wrong):
            m.d.comb += o.status.eq(CompletionStatus.LOCAL_OPERATION)
        with m.Elif(is_long):
            m.d.comb += o.status.eq(CompletionStatus.LOCAL_LENGTH)

        # Packets: the last one has what is beyond whole ones, or is whole itself.
        beyond = Signal(PAYLOAD_BITS)
        before = Signal(32)
        m.d.comb += before.eq(head.length - 1)
        with m.Switch(context.mtu_shift):
            for shift in _MTU_SHIFTS:
                with m.Case(shift):
                    m.d.comb += [
                        o.last_number.eq(before[shift:]),
                        beyond.eq(before[:shift]),
                    ]
        m.d.comb += [
            o.takes.eq(is_send | (is_write & head.has_immediate)),
            o.is_read.eq(is_read),
            o.is_atomic.eq(is_atomic),
            o.has_response.eq(is_read | is_atomic),
            o.is_local.eq(is_wrong | is_long | is_invalidate | is_bind),
            o.last_bytes.eq(beyond + 1),
        ]
        with m.If(~head.length.any() | is_atomic):
            m.d.comb += [o.last_number.eq(0), o.last_bytes.eq(0)]
        return m
