"""What a responder is, between packets that were taken in and frames that are to be built."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.dma import MemoryReadSignature, MemoryWriteSignature
from hdl.stream import PacketSignature, SkidBuffer

from .answer_choice import AnswerChoice
from .answer_scheduler import AnswerScheduler
from .atomic_unit import AtomicUnit
from .byte_turn import ByteTurn
from .completion_queues import VECTOR_BITS, QueueCommandLayout, QueueSetupLayout
from .config import RoceConfig
from .context import ContextLayout
from .key_check import KeyLayout
from .layouts import ActionLayout, EventKind, FailureLayout, RequestLayout, StrobeLayout
from .merge import Merge
from .mover import Mover, ScatterRowLayout
from .one_row import OneRow
from .protocol import Protocol
from .read_engine import ReadEngine
from .receive_queues import LimitLayout, PostLayout
from .send_layouts import FrameLayout
from .task import AsyncEventLayout
from .translate_signature import TranslateSignature
from .translator import KeyStateLayout, PageLayout, Translator
from .writer import Writer

__all__ = ["ResponderCore", "connect_driver", "driver_members"]


def driver_members(config: RoceConfig) -> dict[str, Any]:
    """Members of a responder that its driver, and memory, are connected to."""
    queue_pair = config.bits("queue_pairs")

    def row(name: str, layout: Any, index: str = "queue_pair", bits: int = queue_pair) -> Any:
        return In(stream.Signature(data.StructLayout({index: bits, name: layout})))

    size = config.data_bytes
    return {
        "writes": Out(MemoryWriteSignature(size)),
        "reads": Out(MemoryReadSignature(size)),
        "atomic_writes": Out(MemoryWriteSignature(size)),
        "atomic_reads": Out(MemoryReadSignature(size)),
        "contexts": row("row", ContextLayout(config)),
        "keys": row("row", KeyLayout(config), "key", config.bits("regions")),
        "key_states": In(stream.Signature(KeyStateLayout(config))),
        "pages": In(stream.Signature(PageLayout(config))),
        "scatter_rows": In(stream.Signature(ScatterRowLayout(config))),
        "receives": In(stream.Signature(PostLayout(config))),
        "receive_limits": In(stream.Signature(LimitLayout(config))),
        "queue_setups": In(stream.Signature(QueueSetupLayout(config))),
        "queue_commands": In(stream.Signature(QueueCommandLayout(config))),
        "tick": In(1),
        "cnp_interval": In(16),
        "interrupts": Out(stream.Signature(VECTOR_BITS)),
        "async_events": Out(stream.Signature(AsyncEventLayout())),
        "queue_errors": Out(stream.Signature(config.bits("completion_queues"))),
        "congested": Out(stream.Signature(queue_pair)),
        "receive_refused": Out(1),
    }


def connect_driver(m: Module, outer: Any, core: "ResponderCore", *, besides: set[str]) -> None:
    """Connect what :func:`driver_members` names, but ``besides``, of ``outer`` to ``core``."""
    for name, member in driver_members(core.config).items():
        if name in besides:
            continue
        mine, inner = getattr(outer, name), getattr(core, name)
        if member.is_signature:
            wiring.connect(m, wiring.flipped(mine), inner)
        elif member.flow == In:
            m.d.comb += inner.eq(mine)
        else:
            m.d.comb += mine.eq(inner)


class ResponderCore(wiring.Component):
    """Do what :class:`Responder` says, from requests to answers.

    With a requester beside it, actions go out and come back with those of the requester among
    them; the Translator has one more client, and failures another source.

    Latency and throughput are those of :class:`Responder`.

    Specification: docs/roce.md.

    Parameters
    ----------
    config : RoceConfig
    has_requester : bool

    Members
    -------
    requests : In(stream.Signature(RequestLayout()))
    packets : In(PacketSignature(data_bytes))
        See :class:`Intake`.
    frames, data : Out(stream.Signature(FrameLayout(config))), Out(PacketSignature(data_bytes))
        See :class:`AnswerChoice`.
    o_actions, actions : Out(stream.Signature(ActionLayout(config))), In(...)
        With a requester: what is to be done about each request; about each packet.
    translate : In(TranslateSignature(config))
        With a requester.
    failures : In(stream.Signature(FailureLayout(config)))
        With a requester: queue pairs to move to error.
    errors : Out(StrobeLayout(config))
        With a requester: strobe: the queue pair is in error.
    ... :
        See :class:`Responder`.
    """

    requests: stream.Interface
    packets: stream.Interface
    frames: stream.Interface
    data: stream.Interface
    o_actions: stream.Interface
    actions: stream.Interface
    translate: Any
    failures: stream.Interface
    errors: Any
    keys: stream.Interface

    def __init__(self, *, config: RoceConfig, has_requester: bool):
        self.config = config
        self.has_requester = has_requester
        self.protocol = Protocol(config=config)
        self.translator = Translator(config=config, client_count=3 + has_requester)
        self.mover = Mover(config=config)
        self.writer = Writer(config=config)
        self.scheduler = AnswerScheduler(config=config)
        self.read_engine = ReadEngine(config=config)
        self.atomic_unit = AtomicUnit(config=config)
        self.choice = AnswerChoice(config=config)
        actions = stream.Signature(ActionLayout(config))
        beside = {
            "o_actions": Out(actions),
            "actions": In(actions),
            "translate": In(TranslateSignature(config)),
            "failures": In(stream.Signature(FailureLayout(config))),
            "errors": Out(StrobeLayout(config)),
        }
        super().__init__(
            {
                "requests": In(stream.Signature(RequestLayout())),
                "packets": In(PacketSignature(config.data_bytes)),
                "frames": Out(stream.Signature(FrameLayout(config))),
                "data": Out(PacketSignature(config.data_bytes)),
                **driver_members(config),
                **(beside if has_requester else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        own: Any = self
        m.submodules.protocol = protocol = self.protocol
        m.submodules.translator = translator = self.translator
        m.submodules.mover = mover = self.mover
        m.submodules.writer = writer = self.writer
        m.submodules.scheduler = scheduler = self.scheduler
        m.submodules.read_engine = read_engine = self.read_engine
        m.submodules.atomic_unit = atomic_unit = self.atomic_unit
        m.submodules.choice = choice = self.choice
        failing = 3 + self.has_requester
        m.submodules.failures = failures = Merge(shape=FailureLayout(config), input_count=failing)
        m.submodules.lost = lost = Merge(shape=FailureLayout(config), input_count=2)

        def link(source, sink):
            wiring.connect(m, source, sink)

        def behind(name: str, source: Any) -> Any:
            """``source``, with narrow beats behind a register."""
            if not config.is_narrow:
                return source
            m.submodules[name] = row = OneRow(shape=source.payload.shape())
            link(source, row.i)
            return row.o

        # Packets in, to memory.
        link(wiring.flipped(own.requests), protocol.requests)
        link(wiring.flipped(own.packets), mover.packets)
        orders, data = mover.orders, mover.data
        if config.is_narrow:
            m.submodules.skid = skid = SkidBuffer(data_bytes=config.data_bytes)
            link(data, skid.i)
            data = skid.o
        if self.has_requester:
            link(protocol.actions, wiring.flipped(own.o_actions))
            link(wiring.flipped(own.actions), mover.actions)
            m.submodules.turn = turn = ByteTurn(config=config)
            link(orders, turn.orders)
            link(data, turn.data)
            orders, data = turn.o_orders, turn.o_data
        else:
            link(protocol.actions, mover.actions)
        link(orders, writer.orders)
        link(data, writer.data)
        link(writer.writes, wiring.flipped(own.writes))
        link(writer.interrupts, wiring.flipped(own.interrupts))

        # Answers.
        link(writer.events, scheduler.events)
        link(scheduler.reads, read_engine.segments)
        link(scheduler.atomics, atomic_unit.jobs)
        link(read_engine.reads, wiring.flipped(own.reads))
        link(read_engine.answers, choice.reads)
        link(read_engine.data, choice.data)
        link(atomic_unit.reads, wiring.flipped(own.atomic_reads))
        link(atomic_unit.writes, wiring.flipped(own.atomic_writes))
        link(scheduler.prompt, choice.prompt[0])
        link(behind("atomic_answer", atomic_unit.answers), choice.prompt[1])
        link(choice.frames, wiring.flipped(own.frames))
        link(choice.o_data, wiring.flipped(own.data))

        # Places.
        link(mover.translate, translator.clients[0])
        link(read_engine.translate, translator.clients[1])
        if self.has_requester:
            link(wiring.flipped(own.translate), translator.clients[3])
        place, client = atomic_unit.translate, translator.clients[2]
        link(behind("atomic_place", place.request), client.request)
        m.d.comb += place.response.eq(client.response)

        # Failures. Who could not read has answered with a NAK; nothing else of it is to leave.
        link(read_engine.failures, lost.i[0])
        link(behind("atomic_failure", atomic_unit.failures), lost.i[1])
        for number, port in enumerate((mover.failures, writer.failures, lost.o)):
            link(port, failures.i[number])
        if self.has_requester:
            link(wiring.flipped(own.failures), failures.i[3])
            m.d.comb += own.errors.eq(protocol.errors)
        link(failures.o, protocol.failures)

        events = writer.events
        m.d.comb += [
            scheduler.sent.eq(read_engine.sent),
            scheduler.drop.valid.eq(lost.o.valid & lost.o.ready),
            scheduler.drop.queue_pair.eq(lost.o.p.queue_pair),
            scheduler.atomic_done.eq(atomic_unit.done),
            scheduler.job.eq(protocol.job),
            protocol.head.eq(scheduler.head),
            mover.failed.eq(writer.failed),
            writer.claim.eq(atomic_unit.claim),
            atomic_unit.claimed.eq(writer.claimed),
            atomic_unit.forget.valid.eq(
                events.valid & events.ready & (events.p.kind == EventKind.RESET)
            ),
            atomic_unit.forget.queue_pair.eq(events.p.queue_pair),
        ]

        # The driver's side.
        for name, port in (
            ("contexts", protocol.contexts),
            ("keys", protocol.keys),
            ("receives", protocol.receives),
            ("receive_limits", protocol.limits),
            ("key_states", translator.key_states),
            ("pages", translator.pages),
            ("scatter_rows", mover.scatter_rows),
            ("queue_setups", writer.queue_setups),
            ("queue_commands", writer.queue_commands),
        ):
            link(wiring.flipped(getattr(own, name)), port)
        link(protocol.async_events, wiring.flipped(own.async_events))
        link(protocol.congested, wiring.flipped(own.congested))
        link(writer.queue_errors, wiring.flipped(own.queue_errors))
        m.d.comb += [
            protocol.tick.eq(own.tick),
            protocol.cnp_interval.eq(own.cnp_interval),
            own.receive_refused.eq(protocol.receive_refused),
        ]
        return m
