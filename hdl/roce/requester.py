"""The active side of RoCEv2."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma import MemoryReadSignature
from ..stream import PacketSignature
from .ack_merge import AckMerge
from .config import RoceConfig
from .gather import Gather
from .key_check import KeyRowLayout
from .layouts import ActionLayout, FailureLayout
from .merge import Merge
from .one_row import OneRow
from .peer_layouts import ReplyLayout
from .reply_protocol import ReplyProtocol
from .retire import Retire
from .send_layouts import FrameLayout
from .send_protocol import DoorbellLayout
from .send_scheduler import TIME_BITS
from .sender import Sender
from .timers import Timers
from .translate_signature import TranslateSignature
from .work_layouts import SendContextLayout

__all__ = ["Requester"]

#: A cycle has 256 units of time.
_CYCLE_BITS = 8


class Requester(wiring.Component):
    """Ask remote hosts for what work queues in memory say, until each work request has ended.

    | Block | Does |
    |---|---|
    | Sender | work requests to packets, when they may be sent |
    | Gather | what they are made of: pieces of memory |
    | AckMerge, ReplyProtocol | what the peer replies, or does not; what is sent again |
    | Timers | who has waited for too long |
    | Retire | what has ended, in order |

    A packet every 2 cycles, of one queue pair every 4; a beat every cycle.

    Specification: docs/roce-requester.md; IBTA Architecture Specification volume 1, 9.7 to 9.9,
    10.8, 11.4, Annex A17.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    contexts : In(stream.Signature({queue_pair, row: SendContextLayout(config)}))
        Set a queue pair up anew; taken when that is done, and nothing of before is left.
    doorbells : In(stream.Signature(DoorbellLayout(config)))
    keys : In(stream.Signature(KeyRowLayout(config)))
    key_rows : Out(stream.Signature(KeyRowLayout(config)))
        Rows of windows that are bound, to be written to all tables of keys.
    replies : In(stream.Signature(ReplyLayout()))
    failures : In(stream.Signature(FailureLayout(config)))
        Queue pairs to move to error.
    actions : Out(stream.Signature(ActionLayout(config)))
        What is to be done about replies with data, one each; and completions, without a packet.
    errors : Out(stream.Signature(FailureLayout(config)))
        Queue pairs that have gone to error by themselves.
    frames, data : Out(stream.Signature(FrameLayout(config))), Out(PacketSignature(data_bytes))
        See :class:`Gather`.
    translate : Out(TranslateSignature(config))
    reads, work_reads : Out(MemoryReadSignature(data_bytes))
        Data; work queues.
    tick : In(1)
        Pulse every 1.024 us.
    """

    contexts: stream.Interface
    doorbells: stream.Interface
    keys: stream.Interface
    key_rows: stream.Interface
    replies: stream.Interface
    failures: stream.Interface
    actions: stream.Interface
    errors: stream.Interface
    frames: stream.Interface
    data: stream.Interface
    translate: Any
    reads: Any
    work_reads: Any
    tick: Signal

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self.sender = Sender(config=config)
        self.gather = Gather(config=config)
        # With narrow beats replies are as far apart as the turns of their queue pair.
        self.held_reply = OneRow(shape=ReplyLayout()) if config.is_narrow else AckMerge()
        self.protocol = ReplyProtocol(config=config)
        self.timers = Timers(config=config)
        self.retire = Retire(config=config)
        queue_pair = config.bits("queue_pairs")
        context = data.StructLayout({"queue_pair": queue_pair, "row": SendContextLayout(config)})
        super().__init__(
            {
                "contexts": In(stream.Signature(context)),
                "doorbells": In(stream.Signature(DoorbellLayout(config))),
                "keys": In(stream.Signature(KeyRowLayout(config))),
                "key_rows": Out(stream.Signature(KeyRowLayout(config))),
                "replies": In(stream.Signature(ReplyLayout())),
                "failures": In(stream.Signature(FailureLayout(config))),
                "actions": Out(stream.Signature(ActionLayout(config))),
                "errors": Out(stream.Signature(FailureLayout(config))),
                "frames": Out(stream.Signature(FrameLayout(config))),
                "data": Out(PacketSignature(config.data_bytes)),
                "translate": Out(TranslateSignature(config)),
                "reads": Out(MemoryReadSignature(config.data_bytes)),
                "work_reads": Out(MemoryReadSignature(config.data_bytes)),
                "tick": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        own: Any = self
        m.submodules.sender = sender = self.sender
        m.submodules.gather = gather = self.gather
        m.submodules.held_reply = held_reply = self.held_reply
        m.submodules.protocol = protocol = self.protocol
        m.submodules.timers = timers = self.timers
        m.submodules.retire = retire = self.retire

        def link(source, sink):
            wiring.connect(m, source, sink)

        link(wiring.flipped(own.contexts), sender.contexts)
        link(wiring.flipped(own.doorbells), sender.doorbells)
        link(wiring.flipped(own.keys), gather.keys)
        link(gather.key_rows, wiring.flipped(own.key_rows))
        link(wiring.flipped(own.replies), held_reply.i)
        link(wiring.flipped(own.failures), protocol.failures)
        link(held_reply.o, protocol.replies)
        link(sender.packets, gather.i)
        link(gather.sent, protocol.sent)
        link(timers.times, protocol.times)
        link(protocol.set_up, retire.set_up)
        link(protocol.errors, wiring.flipped(own.errors))
        link(gather.frames, wiring.flipped(own.frames))
        link(gather.data, wiring.flipped(own.data))
        link(gather.translate, wiring.flipped(own.translate))
        link(gather.reads, wiring.flipped(own.reads))
        link(sender.reads, wiring.flipped(own.work_reads))

        context = self.contexts.p.row
        now = Signal(TIME_BITS)
        # In halves: the low one's carry is known a cycle before.
        half = (TIME_BITS + _CYCLE_BITS) // 2
        low, high = now[_CYCLE_BITS:half], now[half:]
        wraps = Signal()
        m.d.sync += [low.eq(low + 1), wraps.eq(low == (1 << len(low)) - 2), high.eq(high + wraps)]
        m.d.comb += [
            sender.now.eq(now),
            sender.done.eq(retire.done),
            sender.gathered.eq(gather.gathered),
            sender.is_full.eq(gather.is_full),
            sender.replies.eq(protocol.state),
            sender.retired.eq(retire.retired),
            gather.unit.eq(sender.unit),
            sender.unit_en.eq(gather.unit_en),
            sender.unit_address.eq(gather.unit_address),
            gather.context.eq(context),
            protocol.context.eq(context),
            protocol.send_state.eq(sender.sent),
            protocol.places.eq(gather.places),
            timers.tick.eq(self.tick),
            timers.context.eq(context),
            timers.set_up.eq(retire.done),
            timers.send_state.eq(sender.sent),
            timers.state.eq(protocol.state),
            timers.rnr.eq(protocol.rnr),
            retire.context.eq(context),
            retire.outstanding.eq(sender.outstanding),
            retire.send_state.eq(sender.sent),
            retire.state.eq(protocol.state),
        ]
        self._kick(m, sender, protocol, retire)
        self._act(m, protocol, retire)
        return m

    def _kick(self, m: Module, sender: Any, protocol: Any, retire: Any) -> None:
        """Kick who may send, or end, since a row has changed."""
        queue_pair = unsigned(self.config.bits("queue_pairs"))
        m.submodules.retire_kicks = retire_kicks = Merge(shape=queue_pair, input_count=2)
        wiring.connect(m, sender.flushed, retire_kicks.i[0])
        wiring.connect(m, retire_kicks.o, retire.kicks)
        wiring.connect(m, retire.kicks_out, sender.kicks[1])
        # What replies change, both are told of.
        told = Signal(2)
        ports = (sender.kicks[0], retire_kicks.i[1])
        takes = Cat(port.ready for port in ports) | told
        m.d.comb += [
            *(
                statement
                for number, port in enumerate(ports)
                for statement in (
                    port.valid.eq(protocol.kicks.valid & ~told[number]),
                    port.payload.eq(protocol.kicks.payload),
                )
            ),
            protocol.kicks.ready.eq(takes.all()),
        ]
        m.d.sync += told.eq(Mux(protocol.kicks.valid & ~takes.all(), takes, 0))

    def _act(self, m: Module, protocol: Any, retire: Any) -> None:
        """Let completions pass when no action of a reply is in front of them.

        What a reply brought is an action before the row says that it came, and so before its work
        request ends: a READ's data are in front of its completion.
        """
        action = self.actions
        m.d.comb += [
            action.valid.eq(protocol.actions.valid | retire.actions.valid),
            action.payload.eq(
                Mux(protocol.actions.valid, protocol.actions.payload, retire.actions.payload)
            ),
            protocol.actions.ready.eq(action.ready),
            retire.actions.ready.eq(action.ready & ~protocol.actions.valid),
        ]
