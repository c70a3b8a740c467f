"""Acknowledgements that wait fall together."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .peer_layouts import ReplyKind, ReplyLayout

__all__ = ["AckMerge"]


class AckMerge(wiring.Component):
    """Let an acknowledgement take the place of the one before it, if that has not been taken.

    The newer one says what the older did: all up to its PSN (IBTA volume 1, 9.7.5.1.1). Both
    have to be from the same peer to the same queue pair, and neither a NAK. So replies of one
    queue pair may come faster than its turns.

    Latency is 2 cycles. Throughput is a reply per cycle.

    Specification: IBTA Architecture Specification volume 1, 9.7.5.1.

    Members
    -------
    i : In(stream.Signature(ReplyLayout()))
        ``i.ready`` depends combinationally on ``o.ready``.
    o : Out(stream.Signature(ReplyLayout()))
        Registered; one that waits may be exchanged for a newer one.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self):
        super().__init__(
            {"i": In(stream.Signature(ReplyLayout())), "o": Out(stream.Signature(ReplyLayout()))}
        )

    def elaborate(self, platform):
        m = Module()
        new: Any = Signal(ReplyLayout(), reset_less=True)
        new_valid = Signal()
        old: Any = Signal(ReplyLayout(), reset_less=True)
        falls = Signal()
        moves = Signal()
        ahead = Signal(24)

        def is_ack(reply: Any) -> Value:
            return reply.good & (reply.kind == ReplyKind.ACKNOWLEDGE) & ~reply.syndrome[5:].any()

        m.d.comb += [
            ahead.eq(new.psn - old.psn),
            falls.eq(
                is_ack(new)
                & is_ack(old)
                & (new.queue_pair == old.queue_pair)
                & (new.p_key == old.p_key)
                & (new.source == old.source)
                & ~ahead[-1]
            ),
            moves.eq(~self.o.valid | self.o.ready | (new_valid & falls)),
            self.i.ready.eq(~new_valid | moves),
            self.o.payload.eq(old),
        ]
        with m.If(self.i.ready):
            m.d.sync += [new_valid.eq(self.i.valid), new.eq(self.i.payload)]
        with m.If(moves):
            m.d.sync += [self.o.valid.eq(new_valid), old.eq(new)]
        return m
