"""Which packets are requests of the peer's, and which reply to ours."""

from typing import Any

from amaranth import *
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from ..headers import AETH, Opcode
from .layouts import RequestLayout
from .peer_layouts import ReplyKind, ReplyLayout

__all__ = ["PacketOwner", "ReplyRoute"]

#: Bytes of the result in an atomic acknowledgement.
_RESULT_BYTES = 8


class PacketOwner(enum.IntEnum, shape=2):
    """Who says what becomes of a packet's beats."""

    RESPONDER = 0
    REQUESTER = 1
    #: Nobody: they are dropped.
    NOBODY = 2


class ReplyRoute(wiring.Component):
    """Give requests to the responder, replies to the requester; tell in which order they came.

    An acknowledgement has no data: its beats are nobody's. So whoever takes ``replies`` may leave
    some out.

    Latency is 1 cycle. Throughput is a packet every 2 cycles.

    Specification: IBTA Architecture Specification volume 1, 9.2.1 (opcodes), 9.3.5.3 (AETH).

    Members
    -------
    i : In(stream.Signature(RequestLayout()))
        Packets; of a reply, ``immediate`` is the AETH.
    requests : Out(stream.Signature(RequestLayout()))
        ``requests.valid`` depends on registers, its payload combinationally on ``i``.
    replies : Out(stream.Signature(ReplyLayout()))
        Registered.
    owners : Out(stream.Signature(PacketOwner))
        Of each packet, in order. Registered; not later than the packet is given on.
    """

    i: stream.Interface
    requests: stream.Interface
    replies: stream.Interface
    owners: stream.Interface

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(RequestLayout())),
                "requests": Out(stream.Signature(RequestLayout())),
                "replies": Out(stream.Signature(ReplyLayout())),
                "owners": Out(stream.Signature(PacketOwner)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i: Any = self.i.p
        reply: Any = Signal(ReplyLayout(), reset_less=True)
        m.d.comb += self.replies.payload.eq(reply)

        def among(*names: str) -> Value:
            return i.opcode.matches(*(int(Opcode[f"RC_{name}"]) for name in names))

        is_read = among(*(f"RDMA_READ_RESPONSE_{n}" for n in ("FIRST", "MIDDLE", "LAST", "ONLY")))
        is_atomic = among("ATOMIC_ACKNOWLEDGE")
        is_reply = is_read | is_atomic | among("ACKNOWLEDGE")

        # Its owner is told, then the packet is given on; each of the two once.
        told = Signal()
        owner = Signal(PacketOwner)
        tells = self.i.valid & ~told & (~self.owners.valid | self.owners.ready)
        aeth = AETH.view(Cat(i.immediate.word_select(n, 8) for n in reversed(range(4))))
        m.d.comb += [
            self.owners.payload.eq(owner),
            self.requests.valid.eq(self.i.valid & told & (owner == PacketOwner.RESPONDER)),
            self.requests.payload.eq(self.i.payload),
            self.i.ready.eq(
                told
                & Mux(
                    owner == PacketOwner.RESPONDER,
                    self.requests.ready,
                    ~self.replies.valid | self.replies.ready,
                )
            ),
        ]
        with m.If(self.owners.ready):
            m.d.sync += self.owners.valid.eq(0)
        with m.If(tells):
            m.d.sync += [self.owners.valid.eq(1), told.eq(1)]
            with m.If(~is_reply):
                m.d.sync += owner.eq(PacketOwner.RESPONDER)
            with m.Elif(is_read | is_atomic):
                m.d.sync += owner.eq(PacketOwner.REQUESTER)
            with m.Else():
                m.d.sync += owner.eq(PacketOwner.NOBODY)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += told.eq(0)

        with m.If(self.replies.ready):
            m.d.sync += self.replies.valid.eq(0)
        with m.If(self.i.valid & self.i.ready & (owner != PacketOwner.RESPONDER)):
            m.d.sync += [
                self.replies.valid.eq(1),
                reply.good.eq(i.good),
                reply.kind.eq(
                    Mux(
                        is_read,
                        ReplyKind.READ,
                        Mux(is_atomic, ReplyKind.ATOMIC, ReplyKind.ACKNOWLEDGE),
                    )
                ),
                reply.last.eq(among("RDMA_READ_RESPONSE_LAST", "RDMA_READ_RESPONSE_ONLY")),
                reply.queue_pair.eq(i.queue_pair),
                reply.psn.eq(i.psn),
                reply.p_key.eq(i.p_key),
                reply.source.eq(i.source),
                reply.has_syndrome.eq(~among("RDMA_READ_RESPONSE_MIDDLE")),
                reply.syndrome.eq(aeth.syndrome),
                reply.msn.eq(aeth.msn),
                reply.payload_offset.eq(i.payload_offset - Mux(is_atomic, _RESULT_BYTES, 0)),
                reply.payload_bytes.eq(i.payload_bytes + Mux(is_atomic, _RESULT_BYTES, 0)),
            ]
        return m
