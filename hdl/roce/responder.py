"""The passive side of RoCEv2."""

from collections.abc import Mapping
from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.dma import MemoryReadSignature, MemoryWriteSignature
from hdl.pipeline import DescribedLayout
from hdl.stream import PacketSignature, SkidBuffer

from .answer_builder import AnswerBuilder
from .answer_scheduler import AnswerScheduler
from .atomic_unit import AtomicUnit
from .completion_queues import QueueCommandLayout, QueueSetupLayout
from .config import RoceConfig
from .context import ContextLayout
from .frame_templates import AddressLayout, IdentityLayout
from .intake import Intake
from .key_check import KeyLayout
from .layouts import EventKind, FailureLayout
from .merge import Merge
from .mover import Mover, ScatterRowLayout
from .one_row import OneRow
from .protocol import Protocol
from .read_engine import ReadEngine
from .receive_queues import LimitLayout, PostLayout
from .task import AsyncEventLayout
from .translator import KeyStateLayout, PageLayout, Translator
from .writer import Writer

__all__ = ["Responder"]


class Responder(wiring.Component):
    """Let remote hosts write, read and change memory, as far as they may, and nothing else.

    Packets from the parser go in; packets to send, reads and writes of memory come out. What the
    driver says goes in as rows of tables, at any time.

    | Block | Does |
    |---|---|
    | Intake | requests out of packets, checked; the packets wait |
    | Protocol | queue pairs: what each packet means, what is to be done about it |
    | Translator | places in regions to places in memory, if the key is still there |
    | Mover, Writer | payload to memory, completions behind it; then what is to be answered |
    | AnswerScheduler | one answer slot and a ring of jobs for each queue pair, in turns |
    | ReadEngine, AtomicUnit | what is answered with data |
    | AnswerBuilder | headers, ICRC |

    A packet every 2 cycles, of one queue pair every 4; a beat every cycle. With narrow beats, of
    which the shortest packet has 8, a packet every 8 cycles, of those of one queue pair that take a
    receive request every 16: blocks have more registers then, for an FPGA's clock.

    Specification: docs/roce.md; IBTA Architecture Specification volume 1, 9.6 to 9.8, Annex A17.

    Parameters
    ----------
    config : RoceConfig, or mapping of its fields
    header_count : int
        Headers that the parser's descriptor lists.
    slots : mapping of str to int
        Windows of the parser's descriptor: ``network`` 40, ``transport`` 8, ``rdma`` 40 at least.

    Members
    -------
    i : In(stream.Signature(DescribedLayout(data_bytes, header_count, slots)))
        RoCEv2 packets, one after another.
    o : Out(PacketSignature(data_bytes))
        Frames without FCS.
    writes, reads : Out(MemoryWriteSignature(data_bytes)), Out(MemoryReadSignature(data_bytes))
        Memory.
    atomic_writes, atomic_reads : Out(...)
        The same, for atomic operations.
    contexts, keys, key_states, pages, scatter_rows, receives, receive_limits, addresses,
    queue_setups, queue_commands : In(stream.Signature(...))
        Rows and commands from the driver.
    identity : In(IdentityLayout())
        Own addresses.
    tick, cnp_interval : In(1), In(16)
        Pulse that counts time; pulses from a CNP of a queue pair to its next one.
    interrupts : Out(stream.Signature(vector))
        MSI-X vectors of completion queues that were armed.
    async_events, queue_errors, congested : Out(stream.Signature(...))
        Queue pairs in error and receive queues at their limit; completion queues that overflowed;
        queue pairs to which a CNP came.
    receive_refused : Out(1)
        Pulse: a receive request did not fit into its queue.
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
        self.intake = Intake(config=config, header_count=header_count, slots=slots)
        self.protocol = Protocol(config=config)
        self.translator = Translator(config=config)
        self.mover = Mover(config=config)
        self.writer = Writer(config=config)
        self.scheduler = AnswerScheduler(config=config)
        self.read_engine = ReadEngine(config=config)
        self.atomic_unit = AtomicUnit(config=config)
        self.builder = AnswerBuilder(config=config)
        queue_pair = config.bits("queue_pairs")

        def row(name: str, layout: Any, index: str = "queue_pair", bits: int = queue_pair) -> Any:
            return In(stream.Signature(data.StructLayout({index: bits, name: layout})))

        super().__init__(
            {
                "i": In(stream.Signature(DescribedLayout(size, header_count, slots))),
                "o": Out(PacketSignature(size)),
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
                "addresses": row("row", AddressLayout()),
                "queue_setups": In(stream.Signature(QueueSetupLayout(config))),
                "queue_commands": In(stream.Signature(QueueCommandLayout(config))),
                "identity": In(IdentityLayout()),
                "tick": In(1),
                "cnp_interval": In(16),
                "interrupts": Out(stream.Signature(self.writer.interrupts.p.shape())),
                "async_events": Out(stream.Signature(AsyncEventLayout())),
                "queue_errors": Out(stream.Signature(config.bits("completion_queues"))),
                "congested": Out(stream.Signature(queue_pair)),
                "receive_refused": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        own: Any = self
        m.submodules.intake = intake = self.intake
        m.submodules.protocol = protocol = self.protocol
        m.submodules.translator = translator = self.translator
        m.submodules.mover = mover = self.mover
        m.submodules.writer = writer = self.writer
        m.submodules.scheduler = scheduler = self.scheduler
        m.submodules.read_engine = read_engine = self.read_engine
        m.submodules.atomic_unit = atomic_unit = self.atomic_unit
        m.submodules.builder = builder = self.builder
        m.submodules.failures = failures = Merge(shape=FailureLayout(config), input_count=3)
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
        link(wiring.flipped(own.i), intake.i)
        link(intake.requests, protocol.requests)
        link(intake.packets, mover.packets)
        link(protocol.actions, mover.actions)
        link(mover.orders, writer.orders)
        data = mover.data
        if config.is_narrow:
            m.submodules.data = skid = SkidBuffer(data_bytes=config.data_bytes)
            link(data, skid.i)
            data = skid.o
        link(data, writer.data)
        link(writer.writes, wiring.flipped(own.writes))
        link(writer.interrupts, wiring.flipped(own.interrupts))

        # Answers.
        link(writer.events, scheduler.events)
        link(scheduler.reads, read_engine.segments)
        link(scheduler.atomics, atomic_unit.jobs)
        link(read_engine.reads, wiring.flipped(own.reads))
        link(read_engine.answers, builder.reads)
        link(read_engine.data, builder.data)
        link(atomic_unit.reads, wiring.flipped(own.atomic_reads))
        link(atomic_unit.writes, wiring.flipped(own.atomic_writes))
        link(scheduler.prompt, builder.prompt[0])
        link(behind("atomic_answer", atomic_unit.answers), builder.prompt[1])
        link(builder.o, wiring.flipped(own.o))

        # Places.
        link(mover.translate, translator.clients[0])
        link(read_engine.translate, translator.clients[1])
        place, client = atomic_unit.translate, translator.clients[2]
        link(behind("atomic_place", place.request), client.request)
        m.d.comb += place.response.eq(client.response)

        # Failures. Who could not read has answered with a NAK; nothing else of it is to leave.
        link(read_engine.failures, lost.i[0])
        link(behind("atomic_failure", atomic_unit.failures), lost.i[1])
        for number, port in enumerate((mover.failures, writer.failures, lost.o)):
            link(port, failures.i[number])
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
            ("addresses", builder.addresses),
            ("queue_setups", writer.queue_setups),
            ("queue_commands", writer.queue_commands),
        ):
            link(wiring.flipped(getattr(own, name)), port)
        link(protocol.async_events, wiring.flipped(own.async_events))
        link(protocol.congested, wiring.flipped(own.congested))
        link(writer.queue_errors, wiring.flipped(own.queue_errors))
        m.d.comb += [
            builder.identity.eq(own.identity),
            protocol.tick.eq(own.tick),
            protocol.cnp_interval.eq(own.cnp_interval),
            own.receive_refused.eq(protocol.receive_refused),
        ]
        return m
