"""cocotb testbench of hdl.dma.ReadSplitter."""

import os
import random
from collections import deque

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.dma.parts import ReadPieceLayout
from sim.dma import ReadRequest, read_block_bytes
from tb.stream import StreamSink, chance, reset, start

from .fields import pack_fields
from .read_clients import ReadClient, boundary_requests, piece_values, random_request

CLIENTS = int(os.environ["CLIENT_COUNT"])
ROW_BYTES = 32 * int(os.environ["SEGMENT_COUNT"])
SLOT_BYTES = int(os.environ["SLOT_BYTES"])
PIECE = ReadPieceLayout(CLIENTS, ROW_BYTES)


class Bench:
    """Clients, their allowances, and a sink of pieces."""

    def __init__(self, dut, *, code=5, client_pause=0.0, sink_pause=0.0, refusal=0.0):
        self.dut = dut
        self.clients = [ReadClient(dut, n, pause=chance(client_pause)) for n in range(CLIENTS)]
        self.sink = StreamSink(dut, "o", pause=chance(sink_pause))
        self.refusal = refusal
        self.turns: deque[int] = deque()
        self.blocks = read_block_bytes(code, SLOT_BYTES)
        dut.max_request.value = code
        dut.allowed.value = (1 << CLIENTS) - 1

    async def begin(self):
        """Release reset and watch."""
        await start(self.dut)
        await ClockCycles(self.dut.clk, 2)
        cocotb.start_soon(self._watch())
        return self

    async def _watch(self):
        """Only one takes, and only one who is allowed."""
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            take, allowed = int(self.dut.take.value), int(self.dut.allowed.value)
            assert take & (take - 1) == 0 and take & ~allowed == 0
            if take:
                self.turns.append(take.bit_length() - 1)
            if self.refusal:
                self.dut.allowed.value = sum(
                    (random.random() >= self.refusal) << n for n in range(CLIENTS)
                )

    async def finish(self):
        """See that all pieces come as the model has them, in the order in which they took."""
        pieces = [deque(client.pieces(self.blocks)) for client in self.clients]
        for _ in range(sum(map(len, pieces))):
            value = await self.sink.received.get()
            piece = pieces[self.turns.popleft()].popleft()
            assert value == pack_fields(PIECE, **piece_values(piece, ROW_BYTES)), f"not {piece}"
        await ClockCycles(self.dut.clk, 5)
        assert self.sink.received.empty() and not self.turns, "a piece too many"
        for client in self.clients:
            client.requests.clear()


@cocotb.test(timeout_time=10, timeout_unit="us")
async def aligned_read_of_4096_at_mrrs_4096_is_one_piece(dut):
    """Read no second page, as open engines do: one piece, or as many as slots."""
    bench = await Bench(dut, code=5).begin()
    bench.clients[0].send(ReadRequest(0x12345000, 4096, 7))
    await bench.finish()
    assert bench.sink.accepted == 4096 // SLOT_BYTES
    if SLOT_BYTES == 4096:
        bench.clients[1].send(ReadRequest(0xFFFF_FFFF_FFFF_F000, 4096, 8))
        await bench.finish()
        assert bench.sink.accepted == 2


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(code=list(range(8)))
async def boundaries(dut, code):
    """Whatever begins or ends near a block's or a page's boundary, at every code."""
    bench = await Bench(dut, code=code).begin()
    for number, request in enumerate(boundary_requests(bench.blocks)):
        bench.clients[number % CLIENTS].send(request)
    await bench.finish()


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(client_pause=[0.0, 0.5], sink_pause=[0.0, 0.6], refusal=[0.0, 0.5])
async def random_requests(dut, client_pause, sink_pause, refusal):
    """Any requests, with pauses at both ends and clients that are not allowed."""
    bench = await Bench(
        dut,
        code=random.randrange(6),
        client_pause=client_pause,
        sink_pause=sink_pause,
        refusal=refusal,
    ).begin()
    for _ in range(60):
        for client in bench.clients:
            client.send(random_request())
    for _ in range(2):
        for client in bench.clients:
            client.send(ReadRequest(random.getrandbits(40), 65535, 3))
    await bench.finish()


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(active=sorted({1, CLIENTS}), count=[1, 3, 40])
async def one_piece_a_cycle(dut, active, count):
    """Of one client or of all, of requests of one piece or of many; and all take turns."""
    bench = await Bench(dut).begin()
    count = min(count, 65536 // bench.blocks)
    for _ in range(120 // count):
        for client in bench.clients[:active]:
            client.send(ReadRequest(64, count * bench.blocks - 64, 1))
    turns: list[int] = []
    while len(turns) < 20 * active:
        await RisingEdge(dut.clk)
        turns += list(bench.turns)[len(turns) :]
    assert turns[:40] == [n % active for n in range(min(40, len(turns)))]
    await bench.finish()
    assert bench.sink.span == bench.sink.accepted == active * (120 // count * count)


@cocotb.test(timeout_time=10, timeout_unit="us")
async def latency(dut):
    """From a request's transfer to its piece's."""
    bench = await Bench(dut).begin()
    bench.clients[0].send(ReadRequest(0, 64))
    await bench.finish()
    assert bench.sink.first - bench.clients[0].first == 3


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(change=[0.1, 0.9], refusal=[0.0, 0.5])
async def limit_changes_meanwhile(dut, change, refusal):
    """Whenever the limit changes, each piece ends where that of the cycle before `take` says."""
    bench = await Bench(dut, sink_pause=0.2, refusal=refusal).begin()
    blocks: deque[int] = deque()

    async def vary():
        before = int(dut.max_request.value)
        while True:
            await RisingEdge(dut.clk)
            if dut.take.value:
                blocks.append(read_block_bytes(before, SLOT_BYTES))
            before = int(dut.max_request.value)
            if random.random() < change:
                dut.max_request.value = random.randrange(8)

    cocotb.start_soon(vary())
    requests = [ReadRequest(random.getrandbits(30), random.randint(1, 9000)) for _ in range(200)]
    for request in requests:
        bench.clients[-1].send(request)
    for request in requests:
        at, end = request.address, request.address + request.length
        while at < end:
            value = await bench.sink.received.get()
            block = blocks.popleft()
            stop = min(end, (at // block + 1) * block)
            assert value >> PIECE["address"].offset & (1 << 64) - 1 == at
            assert value >> PIECE["length"].offset & 0x1FFF == stop - at
            assert value >> PIECE["end"].offset & 1 == (stop == end)
            at = stop


@cocotb.test(timeout_time=100, timeout_unit="us")
async def reset_in_mid_request(dut):
    """Nothing is left of what was under way."""
    bench = await Bench(dut, sink_pause=0.3).begin()
    for _ in range(20):
        for client in bench.clients:
            client.send(random_request([20000]))
        await ClockCycles(dut.clk, random.randint(3, 30))
        await reset(dut, bench.sink, *bench.clients)
        bench.turns.clear()
        for client in bench.clients:
            client.requests.clear()
        dut.max_request.value = 5
        await ClockCycles(dut.clk, 2)
        bench.turns.clear()
        for client in bench.clients:
            client.send(random_request([64, 200]))
        await bench.finish()
