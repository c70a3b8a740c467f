"""RoCEv2, both sides of it."""

from collections.abc import Mapping
from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.dma import MemoryReadSignature
from hdl.pipeline import DescribedLayout
from hdl.stream import PacketLayout, PacketSignature, Queue

from .action_merge import ActionMerge
from .config import RoceConfig
from .frame_builder import FrameBuilder
from .frame_merge import FrameMerge
from .frame_templates import AddressWriteLayout, IdentityLayout
from .intake import Intake
from .layouts import CompletionStatus
from .reply_route import ReplyRoute
from .requester import Requester
from .responder_core import ResponderCore, connect_driver, driver_members
from .send_protocol import DoorbellLayout
from .work_layouts import SendContextLayout

__all__ = ["Engine"]

#: Beats of a request's data that wait for the frame before: its headers take 2 to 10 beats more.
_DATA_BEATS = 9


class Engine(wiring.Component):
    r"""Ask remote hosts for things, and let them ask for what they may.

    :class:`Requester` and :class:`Responder` over one set of tables.

    ::

        i -> Intake -> ReplyRoute -> ResponderCore -> answers --\
               |            \----> Requester -----> requests --- FrameMerge -> FrameBuilder -> o
               |                       | actions
               \---- packets ---> ActionMerge -> Mover, Writer (in ResponderCore)

    A queue pair has two contexts, one for each side; of a reliable one an error of one side is an
    error of the other.

    A packet every 2 cycles each way, of one queue pair every 4; a beat every cycle.

    Specification: docs/roce.md, docs/roce-requester.md; IBTA Architecture Specification volume 1,
    9.6 to 9.9, Annex A17.

    Parameters
    ----------
    config : RoceConfig, or mapping of its fields
    header_count, slots :
        See :class:`Responder`.

    Members
    -------
    i, o, writes, reads, atomic_writes, atomic_reads, contexts, keys, key_states, pages,
    scatter_rows, receives, receive_limits, queue_setups, queue_commands, identity, tick,
    cnp_interval, interrupts, async_events, queue_errors, congested, receive_refused :
        See :class:`Responder`; a ``tick`` is 1.024 us.
    addresses : In(stream.Signature(AddressWriteLayout(2 * queue_pairs)))
        Rows of addresses: one for each queue pair, then those of datagrams.
    send_contexts : In(stream.Signature({queue_pair, row: SendContextLayout(config)}))
    doorbells : In(stream.Signature(DoorbellLayout(config)))
    send_reads, work_reads : Out(MemoryReadSignature(data_bytes))
        Data that is sent; work queues.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        *,
        config: RoceConfig | Mapping[str, int],
        header_count: int,
        slots: Mapping[str, int],
    ):
        self.config = config = RoceConfig.of(config)
        size = config.data_bytes
        rows = 2 * config.queue_pairs
        self.intake = Intake(config=config, header_count=header_count, slots=slots)
        self.core = ResponderCore(config=config, has_requester=True)
        self.requester = Requester(config=config)
        self.builder = FrameBuilder(config=config, rows=rows)
        queue_pair = config.bits("queue_pairs")
        context = data.StructLayout({"queue_pair": queue_pair, "row": SendContextLayout(config)})
        super().__init__(
            {
                "i": In(stream.Signature(DescribedLayout(size, header_count, slots))),
                "o": Out(PacketSignature(size)),
                "addresses": In(stream.Signature(AddressWriteLayout(rows))),
                "identity": In(IdentityLayout()),
                "send_contexts": In(stream.Signature(context)),
                "doorbells": In(stream.Signature(DoorbellLayout(config))),
                "send_reads": Out(MemoryReadSignature(size)),
                "work_reads": Out(MemoryReadSignature(size)),
                **driver_members(config),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        own: Any = self
        m.submodules.intake = intake = self.intake
        m.submodules.core = core = self.core
        m.submodules.requester = requester = self.requester
        m.submodules.builder = builder = self.builder
        m.submodules.route = route = ReplyRoute()
        m.submodules.actions = actions = ActionMerge(config=config)
        m.submodules.frames = frames = FrameMerge(config=config)
        # Each queue pair goes to error once.
        m.submodules.errors = errors = Queue(
            shape=unsigned(config.bits("queue_pairs")), depth=config.queue_pairs
        )

        def link(source, sink):
            wiring.connect(m, source, sink)

        link(wiring.flipped(own.i), intake.i)
        link(intake.requests, route.i)
        link(intake.packets, core.packets)
        link(route.requests, core.requests)
        link(route.replies, requester.replies)
        link(route.owners, actions.owners)
        link(core.o_actions, actions.i[0])
        link(requester.actions, actions.i[1])
        link(actions.o, core.actions)

        link(core.frames, frames.i[0])
        link(core.data, frames.data[0])
        link(requester.frames, frames.i[1])
        # A frame takes more beats than its data: these wait, as answers' do in AnswerChoice.
        m.submodules.data_queue = data_queue = Queue(
            shape=PacketLayout(config.data_bytes), depth=_DATA_BEATS, shallow=config.is_narrow
        )
        link(requester.data, data_queue.i)
        link(data_queue.o, frames.data[1])
        link(frames.o, builder.i)
        link(frames.o_data, builder.data)
        link(builder.o, wiring.flipped(own.o))
        link(wiring.flipped(own.addresses), builder.addresses)

        link(requester.translate, core.translate)
        link(requester.reads, wiring.flipped(own.send_reads))
        link(requester.work_reads, wiring.flipped(own.work_reads))
        link(wiring.flipped(own.send_contexts), requester.contexts)
        link(wiring.flipped(own.doorbells), requester.doorbells)
        connect_driver(m, own, core, besides={"keys"})

        # Both sides look keys up, and take rows at any time. Those of work requests go first: they
        # are few.
        bound = requester.key_rows
        for port in (core.keys, requester.keys):
            m.d.comb += [
                port.valid.eq(own.keys.valid | bound.valid),
                port.payload.eq(Mux(bound.valid, bound.payload, own.keys.payload)),
            ]
        m.d.comb += [bound.ready.eq(1), own.keys.ready.eq(~bound.valid)]

        # An error of one side is one of the other.
        link(requester.errors, core.failures)
        failed: Any = requester.failures.p
        m.d.comb += [
            errors.i.valid.eq(core.errors.valid),
            errors.i.payload.eq(core.errors.queue_pair),
            requester.failures.valid.eq(errors.o.valid),
            errors.o.ready.eq(requester.failures.ready),
            failed.queue_pair.eq(errors.o.payload),
            failed.status.eq(CompletionStatus.FLUSHED),
            requester.tick.eq(own.tick),
            builder.identity.eq(own.identity),
        ]
        return m
