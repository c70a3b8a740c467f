"""Clients of a ReadRequester, and all that is behind it: completions, failures, deliveries."""

import random
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge

from hdl.dma.parts import DeliveredLayout, IssuedLayout, TagDoneLayout
from sim.dma import ReadRequest, ReadRequesterModel, read_block_bytes
from tb.pcie import header_from_int
from tb.stream import chance, start

from .fields import FieldReader, pack_fields
from .read_clients import ReadClient, piece_values

__all__ = ["LINK_DOWN", "OK", "TIMEOUT", "RequesterBed"]

OK, TIMEOUT, LINK_DOWN = 0, 4, 5


class RequesterBed:
    """Everything around the requester, one cycle after the other, checked by the model.

    Attributes
    ----------
    end_chance, loss : float
        That one of the reads that are out ends in a cycle; that a read never ends.
    header_stall, fail_stall, delivery_stall : float
        That a header, a failure is refused, a delivery delayed in a cycle.
    in_order : bool
        Reads end in the order in which they were issued.
    link_up : bool
        State of the link from the next cycle on.
    blocked_clients : set of int
        Clients to whom nothing is delivered.
    issues, headers, failures : int
        What has been seen.
    statuses : list of set of int
        How reads of each client ended.
    """

    def __init__(
        self,
        dut: Any,
        *,
        client_count: int,
        segment_count: int,
        tag_count: int,
        slot_bytes: int,
        reserve: int,
        code: int = 5,
        timeout: int = 1 << 20,
        client_pause: float = 0.0,
    ):
        self.dut = dut
        self.clients = [ReadClient(dut, n, pause=chance(client_pause)) for n in range(client_count)]
        self.row_bytes = 32 * segment_count
        self.tag_count = tag_count
        self._sizes = {"client_count": client_count, "tag_count": tag_count, "reserve": reserve}
        self._code, self._timeout = code, timeout
        self._slot_bytes = slot_bytes
        self._requester = random.getrandbits(16)
        self._issued = FieldReader(IssuedLayout(client_count, self.row_bytes, tag_count))
        self._done = FieldReader(TagDoneLayout(tag_count))
        self._delivered = DeliveredLayout(client_count, tag_count)
        self.end_chance, self.loss = 0.5, 0.0
        self.header_stall = self.fail_stall = self.delivery_stall = 0.0
        self.in_order = False
        self.cycle = 0
        self.forget()

    def forget(self) -> None:
        """Begin with nothing under way, nothing queued, and no tag taken."""
        self.model = ReadRequesterModel(**self._sizes, requester=self._requester)
        self.model.block_bytes = read_block_bytes(self._code, self._slot_bytes)
        self.model.timeout = self._timeout
        self.link_up = True
        self.blocked_clients: set[int] = set()
        self.forget_figures()
        self._events: dict[int, list[Callable[[], None]]] = {}
        self._out: list[int] = []
        self._lost: set[int] = set()
        self._ended: dict[int, int] = {}
        self._header: int | None = None
        self._fail: int | None = None
        self._delivery: tuple[int, int] | None = None
        self._was_up = True
        self._last_down = -(1 << 20)

    def forget_figures(self) -> None:
        """Begin to count anew."""
        self.issues = self.headers = self.failures = 0
        self.first_request = self.first_header = self.last_header = self.last_tag = -1
        self.statuses: list[set[int]] = [set() for _ in self.clients]

    async def begin(self):
        """Release reset and work."""
        dut = self.dut
        dut.max_request.value = self._code
        dut.requester.value, dut.timeout.value = self._requester, self._timeout
        dut.link_up.value = dut.passed.value = 1
        dut.out.value = dut.o__ready.value = dut.fail__ready.value = dut.delivered__valid.value = 0
        await start(dut)
        cocotb.start_soon(self._run())
        return self

    async def set_max_request(self, code: int) -> None:
        """Set Max_Read_Request_Size while nothing is under way."""
        assert self.is_done
        self._code = code
        self.model.block_bytes = read_block_bytes(code, self._slot_bytes)
        self.dut.max_request.value = code
        await self.cycles(4)

    def send(self, client: int, request: ReadRequest) -> int:
        """Queue a request; tell how many reads it becomes."""
        before = len(self.model.pieces[client])
        self.model.request(client, request)
        self.clients[client].send(request)
        return len(self.model.pieces[client]) - before

    async def reset(self) -> None:
        """Reset the device in mid-traffic, and forget everything."""
        self.dut.rst.value = 1
        self.dut.delivered__valid.value = self.dut.out.value = 0
        for _ in range(3):
            for client in self.clients:
                client.flush()
                client.requests.clear()
            self.forget()
            await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0

    @property
    def is_done(self) -> bool:
        """Whether all that was asked for has been delivered."""
        return not (any(self.model.pieces) or any(self.model.under_way))

    async def cycles(self, count: int) -> None:
        """Wait."""
        edge = RisingEdge(self.dut.clk)
        for _ in range(count):
            await edge

    async def finish(self) -> None:
        """Wait until all has been delivered."""
        edge = RisingEdge(self.dut.clk)
        while not self.is_done:
            await edge
        await self.cycles(4)
        assert all(client.idle for client in self.clients)

    def later(self, event: Callable[[], None], least: int = 1, most: int = 4) -> None:
        """Let ``event`` happen in ``least`` to ``most`` cycles."""
        self._events.setdefault(self.cycle + random.randint(least, most), []).append(event)

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        dut = self.dut
        while True:
            await edge
            self.cycle += 1
            if dut.rst.value:
                continue
            if not self._was_up:
                self._last_down = self.cycle
            self._was_up = self.link_up
            if self.first_request < 0 and dut.requests__0__valid.value:
                self.first_request = self.cycle
            self._look_at_issue()
            self._look_at_failure()
            self._deliver()
            for event in self._events.pop(self.cycle, []):
                event()
            if self._out and random.random() < self.end_chance:
                alive = [tag for tag in self._out if tag not in self._lost]
                if alive:
                    self._end(alive[0] if self.in_order else random.choice(alive), OK)
            dut.out.value = sum(1 << tag for tag in self._out)
            dut.link_up.value = int(self.link_up)

    def _look_at_issue(self) -> None:
        dut = self.dut
        value = int(dut.issued.value)
        is_new = False
        header = int(dut.o__payload.value) if dut.o__valid.value else None
        if self._header is not None:
            assert header == self._header, "a header was taken back"
        elif header is not None:
            is_new = True
            self.headers += 1
            self.first_header = self.cycle if self.first_header < 0 else self.first_header
            self.last_header = self.cycle
        self._header = None if dut.o__ready.value else header
        dut.o__ready.value = int(random.random() >= self.header_stall)
        if not value & 1:
            assert not is_new, "a header that was not issued"
            return
        self.issues += 1
        issued = self._issued.read(value)
        self.last_tag = issued.tag
        piece = self.model.issue(issued.piece.client, issued.tag, self.cycle)
        assert vars(issued.piece) == {
            name: int(field) for name, field in piece_values(piece, self.row_bytes).items()
        }, f"not {piece}"
        if is_new and header is not None:
            assert header_from_int(header) == self.model.header(issued.tag)
        else:
            assert self.cycle - self._last_down < 5, "a read is not sent"
        if random.random() < self.loss or not is_new:
            self._lost.add(issued.tag)
        self.later(lambda: self._out.append(issued.tag))

    def _end(self, tag: int, status: int) -> None:
        if tag in self._out:
            self._out.remove(tag)
            self._lost.discard(tag)
            self.later(lambda: self._ended.__setitem__(tag, status), 1, 3)

    def _look_at_failure(self) -> None:
        dut = self.dut
        value = int(dut.fail__payload.value) if dut.fail__valid.value else None
        assert self._fail is None or value == self._fail, "a failure was taken back"
        if value is not None and dut.fail__ready.value:
            done = self._done.read(value)
            # A read that ended meanwhile may have been delivered, but its tag was not given back.
            if done.tag in self.model.issued:
                since = self.model.issued[done.tag][1]
                if done.status == TIMEOUT:
                    assert self.cycle - since >= self.model.timeout
                else:
                    assert done.status == LINK_DOWN
                    assert self._last_down >= since - 5
            self.failures += 1
            self.later(lambda: self._end(done.tag, done.status), 1, 8)
            value = None
        self._fail = value
        dut.fail__ready.value = int(random.random() >= self.fail_stall)

    def _deliver(self) -> None:
        dut = self.dut
        if self._delivery is not None and dut.delivered__ready.value:
            client, status = self._delivery
            tag = self.model.under_way[client][0]
            del self._ended[tag]
            self.statuses[client].add(status)
            self.model.deliver(client, is_late=status == TIMEOUT, cycle=self.cycle)
            self._delivery = None
        if self._delivery is None and random.random() >= self.delivery_stall:
            able = [
                n
                for n, tags in enumerate(self.model.under_way)
                if tags and tags[0] in self._ended and n not in self.blocked_clients
            ]
            if able:
                client = random.choice(able)
                tag = self.model.under_way[client][0]
                self._delivery = (client, self._ended[tag])
                dut.delivered__payload.value = pack_fields(
                    self._delivered, client=client, tag=tag, status=self._ended[tag]
                )
        dut.delivered__valid.value = int(self._delivery is not None)
