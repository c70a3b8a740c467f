"""The passive side of RoCEv2."""

from collections.abc import Mapping
from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.pipeline import DescribedLayout
from hdl.stream import PacketSignature

from .config import RoceConfig
from .frame_builder import FrameBuilder
from .frame_templates import AddressLayout, IdentityLayout
from .intake import Intake
from .responder_core import ResponderCore, connect_driver, driver_members

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
    | AnswerChoice, FrameBuilder | whose turn it is; headers, ICRC |

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
        self.core = ResponderCore(config=config, has_requester=False)
        self.builder = FrameBuilder(config=config, rows=config.queue_pairs)
        address = data.StructLayout(
            {"queue_pair": config.bits("queue_pairs"), "row": AddressLayout()}
        )
        super().__init__(
            {
                "i": In(stream.Signature(DescribedLayout(size, header_count, slots))),
                "o": Out(PacketSignature(size)),
                "addresses": In(stream.Signature(address)),
                "identity": In(IdentityLayout()),
                **driver_members(config),
            }
        )

    def elaborate(self, platform):
        m = Module()
        own: Any = self
        m.submodules.intake = intake = self.intake
        m.submodules.core = core = self.core
        m.submodules.builder = builder = self.builder
        wiring.connect(m, wiring.flipped(own.i), intake.i)
        wiring.connect(m, intake.requests, core.requests)
        wiring.connect(m, intake.packets, core.packets)
        wiring.connect(m, core.frames, builder.i)
        wiring.connect(m, core.data, builder.data)
        wiring.connect(m, builder.o, wiring.flipped(own.o))
        connect_driver(m, own, core, besides=set())
        m.d.comb += [
            builder.addresses.valid.eq(own.addresses.valid),
            builder.addresses.p.index.eq(own.addresses.p.queue_pair),
            builder.addresses.p.row.eq(own.addresses.p.row),
            own.addresses.ready.eq(builder.addresses.ready),
            builder.identity.eq(own.identity),
        ]
        return m
