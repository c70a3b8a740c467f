"""The half of a requester that sends."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma import MemoryReadSignature
from .config import RoceConfig
from .layouts import StrobeLayout
from .merge import Merge
from .one_row import OneRow
from .peer_layouts import ReplyStateLayout, RetiredLayout
from .send_layouts import GatheredLayout, OutstandingWriteLayout, SendPacketLayout, SendStateStrobe
from .send_protocol import DoorbellLayout, SendProtocol
from .send_scheduler import TIME_BITS, SendScheduler
from .work_fetch import WorkFetch
from .work_layouts import PieceLayout, SendContextLayout

__all__ = ["Sender"]


class Sender(wiring.Component):
    """Make packets of the work requests that are in rings in memory, when they may be sent.

    | Block | Does |
    |---|---|
    | SendScheduler | who is next |
    | SendProtocol | what it may do |
    | WorkFetch | slots of rings on chip |

    Latency is 11 cycles from a doorbell to the read of an entry, and 14 from its last beat to its
    packet, and with narrow beats what its blocks say. Throughput is a packet every 2 cycles, of
    one queue pair every 4.

    Specification: docs/roce-requester.md.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    contexts, set_up, done, now, gathered, replies, retired, sent, outstanding, flushed, packets :
        See :class:`SendProtocol`.
    doorbells : In(stream.Signature(DoorbellLayout(config)))
    kicks : In(stream.Signature(config.bits("queue_pairs"))).array(2)
        Whose ``replies`` or ``retired`` have changed.
    reads, unit_en, unit_address, unit :
        See :class:`WorkFetch`.
    """

    contexts: stream.Interface
    set_up: Any
    done: Any
    doorbells: stream.Interface
    kicks: list[stream.Interface]
    now: Signal
    gathered: Any
    replies: Any
    retired: Any
    is_full: Signal
    sent: Any
    outstanding: Any
    flushed: stream.Interface
    packets: stream.Interface
    reads: Any
    unit_en: Signal
    unit_address: Signal
    unit: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self.protocol = SendProtocol(config=config)
        self.fetch = WorkFetch(config=config)
        self.scheduler = SendScheduler(config=config)
        queue_pair = config.bits("queue_pairs")
        written = data.StructLayout({"queue_pair": queue_pair, "row": SendContextLayout(config)})
        super().__init__(
            {
                "contexts": In(stream.Signature(written)),
                "set_up": Out(StrobeLayout(config)),
                "done": In(StrobeLayout(config)),
                "doorbells": In(stream.Signature(DoorbellLayout(config))),
                "kicks": In(stream.Signature(queue_pair)).array(2),
                "now": In(TIME_BITS),
                "gathered": In(GatheredLayout(config)),
                "replies": In(ReplyStateLayout(config)),
                "retired": In(RetiredLayout(config)),
                "is_full": In(1),
                "sent": Out(SendStateStrobe(config)),
                "outstanding": Out(OutstandingWriteLayout(config)),
                "flushed": Out(stream.Signature(queue_pair)),
                "packets": Out(stream.Signature(SendPacketLayout(config))),
                "reads": Out(MemoryReadSignature(config.data_bytes)),
                "unit_en": In(1),
                "unit_address": In(self.fetch.slot_bits + 2),
                "unit": Out(PieceLayout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        own: Any = self
        m.submodules.protocol = protocol = self.protocol
        m.submodules.fetch = fetch = self.fetch
        m.submodules.scheduler = scheduler = self.scheduler
        m.submodules.kick_merge = kicks = Merge(
            shape=unsigned(self.config.bits("queue_pairs")), input_count=4
        )

        def link(source, sink):
            wiring.connect(m, source, sink)

        link(wiring.flipped(own.contexts), protocol.contexts)
        link(wiring.flipped(own.doorbells), protocol.doorbells)
        link(protocol.packets, wiring.flipped(own.packets))
        link(protocol.flushed, wiring.flipped(own.flushed))
        link(protocol.fetches, fetch.requests)
        link(fetch.reads, wiring.flipped(own.reads))
        for source, port in zip(
            (protocol.rung, fetch.kicks, *(wiring.flipped(port) for port in own.kicks)),
            kicks.i,
            strict=True,
        ):
            link(source, port)
        if self.config.is_narrow:
            # One in every second cycle, which is as often as it looks.
            m.submodules.kick = kick = OneRow(shape=kicks.o.payload.shape())
            link(kicks.o, kick.i)
            link(kick.o, scheduler.kicks)
        else:
            link(kicks.o, scheduler.kicks)

        context = self.contexts.p.row
        m.d.comb += [
            self.set_up.eq(protocol.set_up),
            protocol.done.eq(self.done),
            protocol.now.eq(self.now),
            scheduler.now.eq(self.now),
            protocol.gathered.eq(self.gathered),
            protocol.replies.eq(self.replies),
            protocol.retired.eq(self.retired),
            protocol.is_full.eq(self.is_full),
            protocol.fetched.eq(fetch.fetched),
            self.sent.eq(protocol.sent),
            self.outstanding.eq(protocol.outstanding),
            fetch.set_up.eq(protocol.set_up),
            fetch.context.eq(context),
            scheduler.set_up.eq(protocol.set_up),
            scheduler.context.eq(context),
            fetch.head_en.eq(protocol.head_en),
            fetch.head_address.eq(protocol.head_address),
            protocol.head.eq(fetch.head),
            fetch.unit_en.eq(self.unit_en),
            fetch.unit_address.eq(self.unit_address),
            self.unit.eq(fetch.unit),
            scheduler.phase.eq(protocol.phase),
            scheduler.turn.eq(protocol.turn),
            scheduler.result.eq(protocol.result),
            protocol.ask.eq(scheduler.ask),
        ]
        return m
