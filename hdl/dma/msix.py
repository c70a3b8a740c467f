"""MSI-X: table, pending bits and messages of a function."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..register import AxiLiteSignature, RegisterFile
from .memory_port import MemoryWriteSignature
from .msix_bus import MsixBus
from .msix_core import MsixCore
from .msix_parts import VECTOR_BITS, check_vectors, msix_table

__all__ = ["Msix"]


class Msix(wiring.Component):
    """Send a message for each event of a vector, once software lets it.

    An event makes its vector pending. A vector that is pending, not masked and not held sends its
    message, which ends its being pending, while ``enable``, ``bus_master`` and ``link_up`` are 1
    and ``function_mask`` is 0. So:

    - Every event is followed by the beginning of a message of its vector, or the vector is pending.
      Events that come before that message begins share it.
    - An event that comes in the cycle in which a message begins, or later, is not that message's.
    - No message of a vector begins after the write that masks it has been answered; none begins
      later than 1 cycle after one of the four inputs forbids it. What has begun is sent.
    - A message is what the entry was at one time, not earlier than the last answered write to it.
    - While MSI-X is disabled, vectors become pending, and send when it is enabled.

    Moderation, by vector: after a message the next is held for an interval of ticks, or until so
    many events wait as the limit says. A hold is never shorter than the interval, and at most a
    tick and ``vector_count`` cycles longer (2 more for each message that comes in between). New
    settings count from the next message on, limits from the next event.

    Events are taken whatever becomes of the messages, so nobody who raises one waits. A message
    goes behind data if its event comes after the response to their write.

    Latency is 8 cycles from an event to its message while nothing else is due and no register is
    accessed. When other vectors are due, every vector is looked at in turn: it waits
    for one message of each of them, and 2 cycles for each 32 vectors. Throughput is 1 event and,
    if vectors of two rows of 32 or 16 of one are due, about 1 message per cycle. After reset,
    events and accesses wait for as many cycles as there are vectors, 64 at least.

    Specification: PCI Express Base Specification, 6.1.4 and 7.7.2 (MSI-X), also PCI Local Bus 3.0,
    6.8.2 and 6.8.3; written without their text. ``msix_table`` has the addresses.

    Parameters
    ----------
    vector_count : int
        Vectors, 1 to 2048.
    data_bytes : int
        Bytes of a beat of the client, 4 or more.
    tick_cycles : int
        Cycles of a tick of moderation, such as those of a microsecond.
    interval_bits : int
        Of moderation intervals, 1 to 16: the longest is 2**interval_bits - 1 ticks.

    Members
    -------
    bus : In(AxiLiteSignature(address_bits))
        Table, pending bits, moderation, counters. Words are written whole: else SLVERR.
    events : In(stream.Signature(11))
        Numbers of vectors; of those that there are not, nothing comes but a count.
        ``events.ready`` is a register, 1 from some cycles after reset on.
    enable, function_mask : In(1)
        MSI-X Enable and Function Mask of the capability.
    bus_master : In(1)
        Bus Master Enable of the function: messages are memory writes.
    link_up : In(1)
        Whether the link is up.
    o : Out(MemoryWriteSignature(data_bytes))
        Messages: writes of 4 bytes. Registered. Responses are only counted, if they are not OK.

    Attributes
    ----------
    address_bits : int
        Width of addresses on the bus.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or time would wrap within two rounds of the vectors.
    """

    bus: Any
    events: stream.Interface
    enable: Signal
    function_mask: Signal
    bus_master: Signal
    link_up: Signal
    o: Any

    def __init__(self, *, vector_count: int, data_bytes: int, tick_cycles: int, interval_bits: int):
        check_vectors(vector_count, interval_bits)
        self._registers = msix_table(vector_count)
        self.address_bits = self._registers.address_bits
        self._control = MsixBus(vector_count=vector_count, interval_bits=interval_bits)
        self._core = MsixCore(
            vector_count=vector_count,
            data_bytes=data_bytes,
            tick_cycles=tick_cycles,
            interval_bits=interval_bits,
        )
        super().__init__(
            {
                "bus": In(AxiLiteSignature(self.address_bits)),
                "events": In(stream.Signature(VECTOR_BITS)),
                "enable": In(1),
                "function_mask": In(1),
                "bus_master": In(1),
                "link_up": In(1),
                "o": Out(MemoryWriteSignature(data_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = RegisterFile(
            table=self._registers, address_bits=self.address_bits
        )
        m.submodules.control = control = self._control
        m.submodules.core = core = self._core

        ports = registers.registers
        wiring.connect(m, wiring.flipped(self.bus), registers.bus)
        wiring.connect(m, ports.table, control.table)
        wiring.connect(m, ports.pending, control.pending)
        wiring.connect(m, ports.moderation, control.moderation)
        wiring.connect(m, wiring.flipped(self.events), core.events)
        wiring.connect(m, core.o, wiring.flipped(self.o))

        may_send = self.enable & ~self.function_mask & self.bus_master & self.link_up
        m.d.comb += [
            ports.messages.eq(core.sent.valid),
            ports.unknown.eq(core.unknown),
            ports.failed.eq(core.failed),
            core.started.eq(control.started),
            core.allowed.eq(control.started & may_send),
            core.clear.eq(control.clear),
            core.clear_row.eq(control.clear_row),
            core.mask_write.eq(control.mask_write),
            core.mask_row.eq(control.mask_row),
            core.mask_data.eq(control.mask_data),
            core.limit_write.eq(control.limit_write),
            core.limit.eq(control.limit),
            core.access.eq(control.access),
            control.quiet.eq(core.quiet),
            control.pending_row.eq(core.pending_row),
            control.masked_row.eq(core.masked_row),
            *(word.eq(found) for word, found in zip(control.entry, core.entry, strict=True)),
        ]
        return m
