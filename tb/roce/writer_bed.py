"""What hdl.roce.Writer is told and what it does, compared in order and in time."""

import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge
from cocotb.utils import get_sim_time

from hdl.roce.completion_queues import QueueCommandLayout, QueueSetupLayout
from hdl.roce.layouts import (
    EventKind,
    EventLayout,
    FailureLayout,
    StrobeLayout,
    WriteOrderKind,
    WriteOrderLayout,
)
from hdl.roce.page_claim import ClaimLayout
from sim.roce.completion_queue import COUNT_MODULUS, ENTRY_BYTES, CompletionQueue
from sim.stream import Packet

from ..dma.fields import FieldReader, pack_fields
from ..stream import PacketSource, chance
from .sizes import SMALL, small
from .write_memory import MemoryWrite, WriteMemory
from .writer_ports import PAGE, ClaimedPage, CountedSource, Order, TellingSink, pack_order

__all__ = ["PAGE", "Bed", "Order"]

_REMOTE_OPERATIONAL_ERROR = 0x63
_FLUSHED, _REMOTE_OPERATION = 4, 5
_ANSWERS = (EventKind.ACK, EventKind.SEQUENCE_NAK, EventKind.RNR_NAK, EventKind.FATAL_NAK)
_CLAIM = ClaimLayout()
#: Longer than anything here takes that does not hang.
_PATIENCE = 20_000
#: After that nothing more comes, whatever stalls.
_SILENCE = 100


class Bed:
    """Everything around a Writer.

    What is told is checked when it comes: an event, for instance, must be the next one, and all
    writes of its action and of those before must have their responses by then.

    Attributes
    ----------
    slave : WriteMemory
    queues : dict of int to CompletionQueue
        Models of the queues that were set up.
    begun, flush_count : int
        Writes of data and entries, and flushes, that have been seen.
    interrupts, events, failures, queue_errors : list
        What was told.
    on_interrupt : callable
        Is told of vectors.
    """

    def __init__(self, dut: Any, data_bytes: int, *, stall: float = 0.0, **memory: Any):
        self.dut = dut
        config = small(data_bytes)
        self._order = WriteOrderLayout(config)
        self._event = FieldReader(EventLayout(config))
        self._failure = FieldReader(FailureLayout(config))
        self._failed = FieldReader(StrobeLayout(config))
        self._setup = QueueSetupLayout(config)
        self._command = QueueCommandLayout(config)
        self.slave = WriteMemory(dut, data_bytes, stall=stall, **memory)
        self.slave.on_request = self._see
        self.slave.on_arrival = self._arrive

        pause = chance(stall)
        self.orders = CountedSource(dut, "orders", pause=pause)
        self.data = PacketSource(dut, "data", data_bytes, pause=pause)
        self.setups = CountedSource(dut, "queue_setups", pause=pause)
        self.commands = CountedSource(dut, "queue_commands", pause=pause)
        self.sinks = {
            name: TellingSink(dut, name, tell=tell, pause=pause)
            for name, tell in (
                ("events", self._hear_event),
                ("failures", self._hear_failure),
                ("interrupts", self._hear_interrupt),
                ("queue_errors", self._hear_queue_error),
            )
        }
        dut.claim.value = 0
        self.on_interrupt: Callable[[int], None] = lambda vector: None
        self.broken: set[int] = set()  # which a reset does not change
        self._clear()
        self.claims = 0
        cocotb.start_soon(self._watch())

    def _clear(self) -> None:
        self.queues: dict[int, CompletionQueue] = {}
        self.sent: list[Order] = []
        self.begun = 0
        self.taken = 0
        self.settled = 0
        self.flush_count = 0
        self.touched: set[int] = set()
        self.events: list[Any] = []
        self.failures: list[tuple[int, int]] = []
        self.interrupts: list[int] = []
        self.queue_errors: list[int] = []
        self.strobes: Counter[int] = Counter()
        self._events: deque[dict[str, int]] = deque()
        self._failures: deque[tuple[int, int]] = deque()
        self._interrupts: deque[tuple[int, list[Order]]] = deque()
        self._queue_errors: deque[int] = deque()
        self._due_data: deque[Order] = deque()  # taken, not seen
        self._due_entries: deque[Order] = deque()
        self._entries: dict[int, list[Order]] = {}
        self._entry_numbers: dict[MemoryWrite, int] = {}
        self._claimed: ClaimedPage | None = None

    async def reset(self) -> None:
        """Reset everything, whatever is under way."""
        self.dut.rst.value = 1
        self.dut.claim.value = 0
        sources = [self.orders, self.data, self.setups, self.commands, self.slave.responses]
        sinks = [*self.sinks.values(), self.slave.requests, self.slave.packets]
        for _ in range(3):
            await FallingEdge(self.dut.clk)  # when no driver is at work
            for source in sources:
                source.flush()
                if isinstance(source, CountedSource):
                    source.offers.clear()
            for sink in sinks:
                sink.flush()
            while not self.slave.packets.received.empty():
                self.slave.packets.received.get_nowait()
            self.slave.flush()
            self._clear()
        self.dut.rst.value = 0

    # What goes in.

    def setup(self, queue: int, model: CompletionQueue) -> None:
        """Set ``queue`` up as ``model``, which counts from when that is taken."""
        assert not model.address % ENTRY_BYTES

        def taken() -> None:
            self.queues[queue] = model
            self._entries[queue] = []

        self.setups.offers.append(taken)
        self.setups.send_value(
            pack_fields(
                self._setup,
                queue=queue,
                space=model.space,
                address=model.address | random.randrange(ENTRY_BYTES),
                size_shift=model.size_shift,
                vector=model.vector,
            )
        )

    def command(self, queue: int, kind: int, consumer: int) -> None:
        """Give a command."""

        def taken() -> None:
            model = self.queues[queue]
            if not kind:
                model.consume(consumer)
            elif model.arm(consumer, solicited=kind == 2):
                # What is in the queue is to be seen by who is interrupted.
                self._interrupts.append((model.vector, list(self._entries[queue])))

        self.commands.offers.append(taken)
        self.commands.send_value(
            pack_fields(self._command, queue=queue, kind=kind, consumer=consumer)
        )

    async def reset_queue_pairs(self) -> None:
        """Tell of each that it is set up anew; that is not remembered."""
        for queue_pair in range(SMALL["queue_pairs"]):
            self.broken.add(queue_pair)
            self.send(Order(queue_pair=queue_pair, event={"kind": EventKind.RESET}))
        await self.drain()
        self.events.clear()

    def send(self, order: Order) -> None:
        """Give an order, with its data."""
        if order.kind == WriteOrderKind.DATA:
            self.data.send(Packet(order.data))
        self.sent.append(order)
        self.orders.offers.append(lambda: self._take(order))
        self.orders.send_value(pack_order(self._order, order))

    async def claim(self, space: int, page: int) -> None:
        """Claim a page and wait until it is granted."""
        self.dut.claim.value = pack_fields(_CLAIM, valid=1, space=space, page=page)
        edge = RisingEdge(self.dut.clk)
        await edge
        self._claimed = ClaimedPage(space, page, since=get_sim_time("step"))
        await edge
        self._claimed.since_for_entries = since = get_sim_time("step")
        for _ in range(_PATIENCE):
            await edge
            if self.dut.claimed.value:
                break
        else:
            raise AssertionError("the claim was not granted")
        assert all(write.responded for write in self.slave.writes if write.seen <= since)
        self.claims += 1

    async def release(self) -> None:
        """Give the claim up."""
        self.dut.claim.value = 0
        self._claimed = None
        await RisingEdge(self.dut.clk)

    # What comes out.

    async def _watch(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            value = int(self.dut.failed.value)
            if value & 1 and not self.dut.rst.value:
                self.strobes[self._failed.read(value).queue_pair] += 1

    def _take(self, order: Order) -> None:
        """See that ``order``, the next one, is taken."""
        assert self.sent[self.taken] is order
        self.taken += 1
        order.taken = get_sim_time("step")
        if order.kind == WriteOrderKind.DATA:
            self._due_data.append(order)
        elif order.kind == WriteOrderKind.COMPLETION:
            self._look_up(order)
            if order.posted:
                self._due_entries.append(order)

    def _look_up(self, order: Order) -> None:
        """Ask the model for a place, once; commands that come later were not heard by then."""
        assert order.completion is not None
        if order.posted or order.is_refused:
            return
        model = self.queues.get(order.queue)
        if model and not model.is_in_error:
            if (model.producer - model.consumer) % COUNT_MODULUS >= model.size:
                self._queue_errors.append(order.queue)
            order.posted = model.push(order.completion)
        order.is_refused = order.posted is None
        if model and order.posted:
            self._entries[order.queue].append(order)
            if order.posted.interrupt:
                self._interrupts.append((model.vector, [order]))

    def _see(self, write: MemoryWrite) -> None:
        """Match a write with its order: data and flushes come in order, and entries do."""
        assert not (self._claimed and self._claimed.keeps_off(write)), (
            f"{write} while its page is claimed"
        )
        if not write.length:
            self._see_flush(write)
            return
        self.begun += 1
        entry = self._due_entries[0] if self._due_entries else None
        if entry and entry.posted and write.address == entry.posted.address:
            self._due_entries.popleft()
            assert (write.space, write.length, write.tag) == (entry.posted.space, ENTRY_BYTES, 1)
            assert all(flush.responded for flush in entry.flushes), "an entry before its flushes"
            tags = [flush.tag for flush in entry.flushes]
            assert tags == [0] * (len(tags) - 1) + [2] * bool(tags)
            entry.write = write
            self._entry_numbers[write] = self.sent.index(entry)
            return
        order = self._due_data.popleft()
        order.write = write
        assert (write.space, write.address) == (order.space, order.address)
        assert (write.length, write.tag) == (len(order.data), 0)
        self.touched.add(write.space)

    def _see_flush(self, write: MemoryWrite) -> None:
        # Its order is the next one, or is taken when the flush is seen.
        order = self.sent[self.taken - 1]
        if not self.taken or order.taken != write.seen:
            order = self.sent[self.taken]
        assert order.kind == WriteOrderKind.COMPLETION, "flush without an entry behind it"
        assert not self._due_data, "a flush passes data"
        self._look_up(order)
        assert order.posted, "flush for an entry that is refused"
        assert write.space in self.touched, "flush of a space that nothing was written to"
        assert write.space != order.posted.space, "flush of the space that the entry goes to"
        self.touched.discard(write.space)
        self.flush_count += 1
        order.flushes.append(write)

    def _arrive(self, write: MemoryWrite) -> None:
        """Look, when an entry is in memory, for all that was written before it."""
        number = self._entry_numbers.get(write)
        if number is None:
            return
        posted = self.sent[number].posted
        assert posted
        assert write.data == posted.data
        for order in self.sent[:number]:
            if order.kind == WriteOrderKind.DATA and order.write:
                assert order.write.arrived, "an entry is there before the data it tells of"

    def _settle(self) -> None:
        """Go through the writes whose responses have come, and expect what follows."""
        while self.settled < len(self.sent):
            order = self.sent[self.settled]
            for write in order.writes:
                if not write.responded:
                    return
                if write.status:
                    self._break(order.queue_pair, _REMOTE_OPERATION)
            is_done = order.is_written or order.kind == WriteOrderKind.NOTHING or order.is_refused
            if order.taken is None or not is_done:
                return
            self.settled += 1
            if order.is_refused:
                self._break(order.queue_pair, _FLUSHED)
            if order.write and order.kind == WriteOrderKind.DATA:
                assert order.write.data == order.data
            if order.event is not None:
                self._expect(order, order.event)

    def _break(self, queue_pair: int, status: int) -> None:
        """Expect to be told of the failure, if ``queue_pair`` has not failed before."""
        if queue_pair not in self.broken:
            self.broken.add(queue_pair)
            self._failures.append((queue_pair, status))

    def _expect(self, order: Order, fields: dict[str, int]) -> None:
        """Expect the event that ends with ``order``."""
        event = {name: 0 for name in ("kind", "psn", "msn", "syndrome", "again", "notify")}
        event |= {"queue_pair": order.queue_pair, **fields}
        if event["kind"] in _ANSWERS and order.queue_pair in self.broken:
            event["kind"] = EventKind.FATAL_NAK
            event["syndrome"] = _REMOTE_OPERATIONAL_ERROR
        # With a write that fails, it is not set up well: the queue pair has failed anew.
        is_bad = order.is_refused or bool(order.write and order.write.status)
        if event["kind"] == EventKind.RESET and not is_bad:
            self.broken.discard(order.queue_pair)
        if event["kind"] or event["notify"]:
            self._events.append(event)

    def _hear_event(self, value: int) -> None:
        self._settle()
        event = vars(self._event.read(value))
        assert self._events, f"{event} before its writes have been done"
        assert event == self._events.popleft()
        self.events.append(event)

    def _hear_failure(self, value: int) -> None:
        self._settle()
        failure = self._failure.read(value)
        assert self._failures, f"{failure} of nothing"
        assert (failure.queue_pair, failure.status) == self._failures.popleft()
        self.failures.append((failure.queue_pair, failure.status))

    def _hear_interrupt(self, vector: int) -> None:
        assert self._interrupts, f"interrupt {vector} for nothing"
        expected, orders = self._interrupts.popleft()
        assert vector == expected
        assert all(order.is_written for order in orders), "interrupt before the entry is written"
        self.interrupts.append(vector)
        self.on_interrupt(vector)

    def _hear_queue_error(self, queue: int) -> None:
        self.queue_errors.append(queue)

    async def drain(self) -> None:
        """Wait until all has been done, and see that nothing is missing or too much."""
        edge = RisingEdge(self.dut.clk)
        sources = (self.orders, self.data, self.setups, self.commands)
        for _ in range(_PATIENCE):
            await edge
            if all(source.idle for source in sources) and self.slave.idle:
                break
        else:
            raise AssertionError(f"{self.taken} of {len(self.sent)} orders were taken")
        for _ in range(_PATIENCE):
            self._settle()
            if not (self._events or self._failures or self._interrupts):
                break
            await edge
        for _ in range(_SILENCE):
            await edge
        assert self.slave.idle
        self._settle()
        assert self.settled == len(self.sent)
        assert not self._events
        assert not self._failures
        assert not self._interrupts
        assert self.queue_errors == list(self._queue_errors)
        assert self.strobes == Counter(queue_pair for queue_pair, _ in self.failures)
