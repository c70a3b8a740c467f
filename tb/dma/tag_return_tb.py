"""cocotb testbench of hdl.dma.TagReturn."""

import os
import random

import cocotb
from cocotb.triggers import RisingEdge

from hdl.dma.parts import DeliveredLayout, TagGivenLayout
from hdl.dma.tag_timer import TagFailingLayout
from sim.dma import TagReturnModel
from tb.stream import StreamSource, chance, start

from .fields import FieldReader, pack_fields

CLIENTS = int(os.environ["CLIENT_COUNT"])
TAGS = int(os.environ["TAG_COUNT"])
DELIVERED = DeliveredLayout(CLIENTS, TAGS)
GIVEN = FieldReader(TagGivenLayout(CLIENTS, TAGS))
FAILING = TagFailingLayout(TAGS)
OK, TIMEOUT = 0, 4


class Bench:
    """Deliveries, the time, a tag that is failing, and the model."""

    def __init__(self, dut, *, pause=0.0, quarter_cycles: int = 0):
        self.dut = dut
        self.source = StreamSource(dut, "delivered", pause=chance(pause))
        self.quarter_cycles = quarter_cycles or TAGS + 20
        self.model = TagReturnModel()
        self.cycle = 0
        self.quarter = 0
        self.failing: int | None = None
        self.fails_at_random = False
        self.given: list[tuple[int, int, int]] = []
        dut.time.value = 0
        dut.failing.value = 0

    async def begin(self):
        """Release reset and watch."""
        await start(self.dut)
        cocotb.start_soon(self._watch())
        return self

    def deliver(self, tag: int, status: int) -> None:
        """Queue a delivery of a tag that nobody waits for."""
        client = random.randrange(CLIENTS)
        self.model.deliver(client, tag, is_late=status == TIMEOUT, quarter=self.quarter)
        self.source.send_value(pack_fields(DELIVERED, client=client, tag=tag, status=status))

    async def _watch(self):
        edge = RisingEdge(self.dut.clk)
        was_failing: list[int | None] = [None, None]
        while True:
            await edge
            self.cycle += 1
            given = GIVEN.read(int(self.dut.given.value))
            if given.valid:
                self.model.give(given.client, given.tag, quarter=self.quarter)
                assert given.tag != was_failing[0], "given back while it fails"
                self.given.append((given.client, given.tag, self.cycle))
            if self.cycle % self.quarter_cycles == 0:
                self.quarter += 1
                self.dut.time.value = self.quarter % 16
                # A quarter more: for what was queued late, and for those in front of it.
                assert not self.model.overdue(self.quarter - 2) or self.failing is not None
            if self.fails_at_random and random.random() < 0.1:
                out = [tag for tag in range(TAGS) if tag not in self.model.waiting]
                self.failing = random.choice([None, *out])
            was_failing = [was_failing[1], self.failing]
            if self.failing is None:
                self.dut.failing.value = pack_fields(FAILING, tag=random.randrange(TAGS))
            else:
                self.dut.failing.value = pack_fields(FAILING, valid=1, tag=self.failing)

    async def cycles(self, count: int) -> None:
        """Wait."""
        edge = RisingEdge(self.dut.clk)
        for _ in range(count):
            await edge


@cocotb.test(timeout_time=100, timeout_unit="us")
async def one_a_cycle(dut):
    """Tags that were not late come back at once, one a cycle, after 2 cycles."""
    bench = await Bench(dut).begin()
    tags = random.sample(range(TAGS), TAGS)
    for tag in tags:
        bench.deliver(tag, random.choice([0, 1, 2, 3, 5]))
    await bench.cycles(TAGS + 6)
    assert [tag for _, tag, _ in bench.given] == tags
    assert bench.source.span == TAGS
    assert bench.given[-1][2] - bench.given[0][2] == TAGS - 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(first=list(range(0, 16, 3)))
async def all_tags_were_late(dut, first):
    """Every tag stays in quarantine for four whole quarters, whenever time begins."""
    bench = await Bench(dut).begin()
    await bench.cycles(first * bench.quarter_cycles)
    for tag in random.sample(range(TAGS), TAGS):
        bench.deliver(tag, TIMEOUT)
    await bench.cycles(4 * bench.quarter_cycles)
    assert not bench.given
    await bench.cycles(3 * bench.quarter_cycles)
    assert len(bench.given) == TAGS


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.7], late=[0.1, 0.7], fails=[False, True])
async def random_deliveries(dut, pause, late, fails):
    """Late and other tags at random, some of them failing still."""
    bench = await Bench(dut, pause=pause).begin()
    bench.fails_at_random = fails
    for _ in range(40 * bench.quarter_cycles):
        free = [tag for tag in range(TAGS) if tag not in bench.model.waiting]
        if free and len(bench.source.values) < 4 and random.random() < 0.7:
            bench.deliver(random.choice(free), TIMEOUT if random.random() < late else OK)
        await bench.cycles(1)
    bench.fails_at_random, bench.failing = False, None
    await bench.cycles(9 * bench.quarter_cycles)
    assert not bench.model.waiting and len(bench.given) > 4 * TAGS


@cocotb.test(timeout_time=100, timeout_unit="us")
async def failing_tag_waits(dut):
    """Hold back a tag that is still failing, and what is behind it, too."""
    bench = await Bench(dut).begin()
    bench.failing = 1
    await bench.cycles(2)
    for tag in (0, 1, 2):
        bench.deliver(tag, OK)
    await bench.cycles(20)
    assert [tag for _, tag, _ in bench.given] == [0]
    bench.failing = None
    await bench.cycles(6)
    assert [tag for _, tag, _ in bench.given] == [0, 1, 2]
