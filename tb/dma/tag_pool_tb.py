"""cocotb testbench of hdl.dma.TagPool."""

import os
import random
from collections import deque

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge

from hdl.dma.parts import TagGivenLayout
from sim.dma import TagPoolModel
from tb.stream import start

from .fields import pack_fields

CLIENTS = int(os.environ["CLIENT_COUNT"])
TAGS = int(os.environ["TAG_COUNT"])
RESERVE = int(os.environ["RESERVE"])
GIVEN = TagGivenLayout(CLIENTS, TAGS)
MOST = TAGS - (CLIENTS - 1) * RESERVE


class Bench:
    """The pool and its model, cycle by cycle."""

    def __init__(self, dut):
        self.dut = dut
        self.edge = RisingEdge(dut.clk)
        self.forget()

    def forget(self) -> None:
        """Begin with every tag free."""
        self.model = TagPoolModel(client_count=CLIENTS, tag_count=TAGS, reserve=RESERVE)
        #: Clients whose pieces wait for a tag, and the tags of each.
        self.waiting: deque[int] = deque()
        self.holds: list[list[int]] = [[] for _ in range(CLIENTS)]
        self.offer: int | None = None
        self.turns_broken = 0

    async def begin(self):
        """Release reset with idle ports."""
        self.dut.take.value = self.dut.given.value = self.dut.tags__ready.value = 0
        await start(self.dut)
        return self

    async def step(
        self, *, wants: int | None = None, give: tuple[int, int] | None = None, ready: bool = True
    ) -> int | None:
        """Spend a cycle: a piece of ``wants`` is chosen if it may; return a tag handed out."""
        dut, model = self.dut, self.model
        await FallingEdge(dut.clk)
        allowed = int(dut.allowed.value)
        assert allowed == sum(model.is_allowed(n) << n for n in range(CLIENTS))
        takes = wants is not None and bool(allowed >> wants & 1)
        is_ready = ready and bool(self.waiting)
        dut.take.value = 1 << wants if wants is not None and takes else 0
        dut.tags__ready.value = int(is_ready)
        dut.given.value = (
            pack_fields(GIVEN, valid=1, client=give[0], tag=give[1])
            if give
            else pack_fields(GIVEN, client=random.randrange(CLIENTS), tag=random.randrange(TAGS))
        )
        await self.edge
        offer = int(dut.tags__payload.value) if dut.tags__valid.value else None
        assert self.offer is None or self.offer == offer, "an offer was taken back"
        self.offer = offer
        if give:
            self.holds[give[0]].remove(give[1])
            model.give(*give)
        if takes and wants is not None:
            model.take(wants)
            self.waiting.append(wants)
        if offer is None or not is_ready:
            return None
        self.turns_broken += model.breaks_turn(offer)
        model.hand_out(offer)
        self.holds[self.waiting.popleft()].append(offer)
        self.offer = None
        return offer


@cocotb.test(timeout_time=100, timeout_unit="us")
async def greedy_client_gets_all_but_the_reserves(dut):
    """One client gets as many as it may, one a cycle, and each other still its reserve."""
    bench = await Bench(dut).begin()
    for _ in range(4):
        await bench.step()
    first = [await bench.step(wants=0) for _ in range(MOST + 20)]
    assert first[1 : MOST + 1] == list(range(MOST)), "a gap, or not in turns"
    assert len(bench.holds[0]) == MOST
    for client in range(1, CLIENTS):
        for _ in range(RESERVE + 5):
            await bench.step(wants=client)
        assert len(bench.holds[client]) == RESERVE
    assert await bench.step(wants=0) is None


@cocotb.test(timeout_time=100, timeout_unit="us")
async def two_greedy_clients_leave_the_third_its_reserve(dut):
    """All but one client take all they can; the last one gets its reserve at once."""
    bench = await Bench(dut).begin()
    for _ in range(TAGS):
        for client in range(CLIENTS - 1):
            await bench.step(wants=client)
    for _ in range(RESERVE + 6):
        await bench.step(wants=CLIENTS - 1)
    assert len(bench.holds[CLIENTS - 1]) == RESERVE
    assert sum(map(len, bench.holds)) == TAGS


@cocotb.test(timeout_time=100, timeout_unit="us")
async def tag_comes_back_after_5_cycles(dut):
    """With no other free; its client may take again after 1 cycle."""
    bench = await Bench(dut).begin()
    for _ in range(2 * TAGS):
        for client in range(CLIENTS):
            await bench.step(wants=client)
    for _ in range(20):
        client = random.choice([n for n in range(CLIENTS) if bench.holds[n]])
        tag = random.choice(bench.holds[client])
        got = [await bench.step(wants=client, give=(client, tag))]
        got += [await bench.step(wants=client) for _ in range(5)]
        assert got == [None] * 5 + [tag]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_rate_in_turns(dut):
    """Tags given back in the order in which they went: one a cycle, halves in turns."""
    bench = await Bench(dut).begin()
    if TAGS < 32:
        return
    out: deque[tuple[int, int]] = deque()
    for number in range(600):
        give = out.popleft() if number > 20 else None
        tag = await bench.step(wants=number % CLIENTS, give=give)
        assert number < 2 or tag is not None
        out += [(n, t) for n in range(CLIENTS) for t in bench.holds[n][-1:] if t == tag]
    assert bench.turns_broken == 0


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(wish=[0.3, 1.0], gift=[0.2, 1.0], stall=[0.0, 0.5])
async def random_clients(dut, wish, gift, stall):
    """Clients take and give at random; a reset now and then."""
    bench = await Bench(dut).begin()
    handed_out = 0
    for number in range(1500):
        holders = [n for n in range(CLIENTS) if bench.holds[n]]
        give = None
        if holders and random.random() < gift:
            client = random.choice(holders)
            give = (client, random.choice(bench.holds[client]))
        wants = random.randrange(CLIENTS) if random.random() < wish else None
        tag = await bench.step(wants=wants, give=give, ready=random.random() >= stall)
        handed_out += tag is not None
        if number % 500 == 499:
            await FallingEdge(dut.clk)
            dut.rst.value = 1
            dut.take.value = dut.given.value = dut.tags__ready.value = 0
            await RisingEdge(dut.clk)
            await FallingEdge(dut.clk)
            dut.rst.value = 0
            bench.forget()
    assert handed_out > 100
