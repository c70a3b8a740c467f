"""Everything around hdl.dma.ReadDelivery: who sends reads, the completion store, the clients."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.dma import DeliveredLayout, IssuedLayout, MemoryResponseLayout, TagEndedLayout
from hdl.dma.parts import ReadPieceLayout
from sim.dma import Answer, ReadDeliveryModel, ReadPiece, ReadRequest, split_read
from sim.stream import Packet
from tb.stream import PacketSink, StreamSink, start
from tb.stream.stream_port import never

from .fields import FieldReader, pack_fields
from .read_clients import piece_values

__all__ = ["DeliveryBed"]

_RESPONSE = FieldReader(MemoryResponseLayout())
MIN_CYCLES_OUT = 2  # from `issued` to `done`


class _ResponseSink(StreamSink):
    """Receive responses; each after the last beat of its packet has been offered."""

    def __init__(self, bed: "DeliveryBed", client: int, pause: Callable[[], bool]):
        super().__init__(bed.dut, f"clients__{client}__response", pause=pause)
        self.bed, self.client = bed, client

    def accept(self, value: int) -> None:
        """Compare with the model; drivers of responses run before those of data."""
        if self.bed.dut.rst.value:
            return
        bed, fields = self.bed, _RESPONSE.read(value)
        assert bed.answers[self.client], "a response before all pieces have ended"
        answer = bed.answers[self.client].popleft()
        assert (fields.tag, fields.status) == (answer.tag, answer.status), str(answer)
        bed.packets_due[self.client] += bool(answer.data)
        bed.answered += 1
        data = bed.data[self.client]
        offered = data.packets + int(data.valid.value)
        assert offered >= bed.packets_due[self.client], "a response before its packet"


class _DataSink(PacketSink):
    """Receive packets: exactly those of the model."""

    def __init__(self, bed: "DeliveryBed", client: int, pause: Callable[[], bool]):
        super().__init__(bed.dut, f"clients__{client}__data", bed.row_bytes, pause=pause)
        self.bed, self.client = bed, client
        self.packets = 0

    def accept(self, value: int) -> None:
        """Collect beats; compare with the last."""
        if self.bed.dut.rst.value:
            return
        super().accept(value)
        if not self.received.empty():
            packet = self.received.get_nowait()
            assert self.bed.packets[self.client], "a packet before all pieces have ended"
            answer = self.bed.packets[self.client].popleft()
            assert packet == Packet(answer.data, bool(answer.status)), str(answer)
            self.packets += 1
        self.bed.last_beat = self.bed.cycle + 1


class _DeliveredSink(StreamSink):
    """Receive tags whose slot has been read, which from then on are free."""

    def __init__(self, bed: "DeliveryBed", pause: Callable[[], bool]):
        super().__init__(bed.dut, "delivered", pause=pause)
        self.bed = bed
        self.reader = FieldReader(DeliveredLayout(bed.client_count, bed.tag_count))

    def accept(self, value: int) -> None:
        """Compare with the model; destroy the slot."""
        if self.bed.dut.rst.value:
            return
        fields = self.reader.read(value)
        due = self.bed.model.delivered[fields.client]
        assert due and due.popleft() == (fields.tag, fields.status)
        self.bed.free.append(fields.tag)
        self.bed.fill(fields.tag)


class DeliveryBed:
    """Issue pieces of requests, end their tags, serve the store, compare what clients get.

    Attributes
    ----------
    issue_pause, done_pause : callable
        In which cycles nothing is issued, nothing ends.
    failure : float
        Probability that a tag fails.
    shuffled : bool
        Whether tags end in any order, else in the order in which they were issued.
    held : set of int
        Tags that do not end yet.
    hold : callable
        Whether a piece's tag is put in ``held``.
    reads, dones : list of int
        Cycles in which a row was read; in which a tag ended.
    last_beat : int
        Cycle of the last beat that any client took.
    """

    def __init__(
        self, dut: Any, *, client_count: int, segment_count: int, tag_count: int, slot_bytes: int
    ):
        self.dut = dut
        self.edge = RisingEdge(dut.clk)
        self.client_count = client_count
        self.tag_count = tag_count
        self.slot_bytes = slot_bytes
        self.row_bytes = 32 * segment_count
        self.done_count = max(1, segment_count // 2)
        self.slot_rows = slot_bytes // self.row_bytes
        self.issued_layout = IssuedLayout(client_count, self.row_bytes, tag_count)
        self.piece_layout = ReadPieceLayout(client_count, self.row_bytes)
        self.ended_layout = TagEndedLayout(tag_count)
        self.issue_pause: Callable[[], bool] = never
        self.done_pause: Callable[[], bool] = never
        self.hold: Callable[[ReadPiece], bool] = lambda piece: False
        self.failure = 0.0
        self.shuffled = True
        self.cycle = self.last_beat = 0
        self.forget()

    def forget(self) -> None:
        """Forget all traffic, as a reset does."""
        self.model = ReadDeliveryModel(self.client_count, self.slot_bytes)
        self.waiting: list[deque[ReadPiece]] = [deque() for _ in range(self.client_count)]
        self.free = list(range(self.tag_count))
        self.out: dict[int, int] = {}
        self.held: set[int] = set()
        self.answers: list[deque[Answer]] = [deque() for _ in range(self.client_count)]
        self.packets: list[deque[Answer]] = [deque() for _ in range(self.client_count)]
        self.packets_due = [0] * self.client_count
        self.asked = self.answered = 0
        self.reads: list[int] = []
        self.dones: list[int] = []
        self.store: list[int] = []
        for tag in range(self.tag_count):
            self.store += [0] * self.slot_rows
            self.fill(tag)

    def fill(self, tag: int) -> bytes:
        """Fill the slot of a tag with anything."""
        slot = random.randbytes(self.slot_bytes)
        for row in range(self.slot_rows):
            bytes_of_row = slot[row * self.row_bytes : (row + 1) * self.row_bytes]
            self.store[tag * self.slot_rows + row] = int.from_bytes(bytes_of_row, "little")
        return slot

    async def begin(
        self,
        *,
        data_pause: Callable[[], bool] = never,
        response_pause: Callable[[], bool] = never,
        delivered_pause: Callable[[], bool] = never,
    ) -> None:
        """Attach everything and release reset."""
        clients = range(self.client_count)
        self.responses = [_ResponseSink(self, client, response_pause) for client in clients]
        self.data = [_DataSink(self, client, data_pause) for client in clients]
        self.delivered = _DeliveredSink(self, delivered_pause)
        self._idle()
        await start(self.dut)
        cocotb.start_soon(self._run())

    def _idle(self) -> None:
        self.dut.issued.value = 0
        for number in range(self.done_count):
            self.dut[f"done__{number}"].value = 0

    def ask(self, client: int, address: int, length: int, block_bytes: int | None = None) -> int:
        """Queue a request; return the rows that it touches."""
        request = ReadRequest(address, length, tag=random.getrandbits(8))
        self.waiting[client] += split_read(client, request, block_bytes or self.slot_bytes)
        self.asked += 1
        return (address + length - 1) // self.row_bytes - address // self.row_bytes + 1

    async def settle(self, limit: int = 20000) -> None:
        """Wait until every request is answered, and look that nothing more comes."""
        while self.answered < self.asked:
            before = self.answered
            for _ in range(limit):
                await self.edge
                if self.answered != before:
                    break
            else:
                raise AssertionError(f"{self.asked - self.answered} requests get no answer")
        for _ in range(limit):
            if len(self.free) == self.tag_count:
                break
            await self.edge
        await ClockCycles(self.dut.clk, 20)
        assert not any(self.packets) and not any(self.answers)
        assert not any(self.model.delivered), "tags are not delivered"
        assert len(self.free) == self.tag_count

    def _issue(self) -> None:
        clients = [client for client, queue in enumerate(self.waiting) if queue]
        if not clients or not self.free or self.issue_pause():
            self.dut.issued.value = 0
            return
        client = random.choice(clients)
        piece = self.waiting[client].popleft()
        tag = self.free.pop(random.randrange(len(self.free)) if self.shuffled else 0)
        self.model.issue(tag, piece)
        self.out[tag] = self.cycle + MIN_CYCLES_OUT
        if self.hold(piece):
            self.held.add(tag)
        fields = pack_fields(self.piece_layout, **piece_values(piece, self.row_bytes))
        self.dut.issued.value = pack_fields(self.issued_layout, valid=1, tag=tag, piece=fields)

    def _end(self) -> None:
        ready = [t for t, when in self.out.items() if when <= self.cycle and t not in self.held]
        if self.shuffled:
            random.shuffle(ready)
        parities = set()
        for number in range(self.done_count):
            tags = [tag for tag in ready if tag % 2 not in parities]
            if not tags or self.done_pause():
                self.dut[f"done__{number}"].value = 0
                continue
            tag = tags[0]
            parities.add(tag % 2)
            del self.out[tag]
            status = random.randint(1, 5) if random.random() < self.failure else 0
            for client, answer in self.model.end(tag, status, self.fill(tag)):
                self.answers[client].append(answer)
                if answer.data:
                    self.packets[client].append(answer)
            self.dones.append(self.cycle)
            fields = pack_fields(self.ended_layout, valid=1, tag=tag, status=status)
            self.dut[f"done__{number}"].value = fields

    async def _run(self) -> None:
        dut = self.dut
        while True:
            await self.edge
            self.cycle += 1
            if dut.rst.value:
                self._idle()
                continue
            if dut.read_en.value:
                self.reads.append(self.cycle)
                dut.read_data.value = self.store[int(dut.read_row.value)]
            else:
                dut.read_data.value = random.getrandbits(8 * self.row_bytes)
            self._issue()
            self._end()
