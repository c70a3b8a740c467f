"""cocotb testbench of hdl.dma.TagTimer."""

import os
import random
from collections.abc import Callable

import cocotb
from cocotb.triggers import RisingEdge

from hdl.dma.parts import TagDoneLayout
from hdl.dma.tag_timer import TagFailingLayout
from sim.dma import FailedRead, TagTimerModel
from tb.stream import start

from .fields import FieldReader, pack_fields

TAGS = int(os.environ["TAG_COUNT"])
ROUND = max(8, TAGS)
ISSUED = TagFailingLayout(TAGS)
FAILING = FieldReader(ISSUED)
DONE = FieldReader(TagDoneLayout(TAGS))
STATUS = {4: False, 5: True}  # TIMEOUT, LINK_DOWN


class Bench:
    """Reads that are issued, come to be out, and end; and the link below.

    Attributes
    ----------
    issue_chance, end_chance, stall : float
        That a read is issued in a cycle, that one that is out ends, that a failure is refused.
    """

    def __init__(self, dut, *, timeout: int):
        self.dut = dut
        self.edge = RisingEdge(dut.clk)
        self.model = TagTimerModel(slack=8 * ROUND + 40 * TAGS + 100)
        self.model.timeout = timeout
        self.cycle = 0
        self.out = 0
        self.events: dict[int, list[Callable[[], None]]] = {}
        #: Tags that nobody uses.
        self.free = set(range(TAGS))
        self.issue_chance = self.end_chance = self.stall = 0.0
        self.link_up = self._was_up = True
        self.refused: int | None = None
        self.offered = self.blocked = False
        self.failures: list[FailedRead] = []
        self.quarters: list[int] = []
        self._time = 0
        self._send = True

    async def begin(self):
        """Release reset with nothing under way."""
        dut = self.dut
        dut.issued.value = dut.out.value = dut.offered.value = dut.blocked.value = 0
        dut.link_up.value, dut.timeout.value = 1, self.model.timeout
        dut.passed.value = 1
        dut.fail__ready.value = 0
        await start(dut)
        return self

    def later(self, event: Callable[[], None], least: int = 1, most: int = 4) -> None:
        """Let ``event`` happen in ``least`` to ``most`` cycles."""
        self.events.setdefault(self.cycle + random.randint(least, most), []).append(event)

    def set_out(self, tag: int) -> None:
        """Let a read be out."""
        self.out |= 1 << tag

    def end(self, tag: int) -> None:
        """End a read, once; its tag comes back later."""
        if not self.out >> tag & 1:
            return
        self.out &= ~(1 << tag)
        # Delivered 1 cycle after it is not out, and looked at 1 cycle later.
        self.later(lambda: self._come_back(tag), 3, 12)

    def _come_back(self, tag: int) -> None:
        failing = FAILING.read(int(self.dut.failing.value))
        if failing.valid and failing.tag == tag:
            self.later(lambda: self._come_back(tag))
            return
        self.model.end(tag)
        self.later(lambda: self.free.add(tag), 5, 5)

    async def step(self, issue: int | None = None) -> None:
        """Spend a cycle; issue this read, or one at random."""
        dut, model = self.dut, self.model
        await self.edge
        self.cycle += 1
        send, discard = bool(dut.send.value), bool(dut.discard.value)
        assert not (send and discard)
        if send and not self._send:
            assert not model.lost and not self.offered, "reads of before are still there"
        self._send = send
        self._look_at_failure()
        self._look_at_time()
        was_up, self._was_up = self._was_up, self.link_up
        if not was_up:
            model.link_down(self.cycle)
        for event in self.events.pop(self.cycle, []):
            event()
        if issue is None and self.free and random.random() < self.issue_chance:
            issue = random.choice(sorted(self.free))
        if issue is not None and (send or discard):
            self.free.remove(issue)
            model.issue(issue, self.cycle, is_sent=send and was_up)
            dut.issued.value = pack_fields(ISSUED, valid=1, tag=issue)
            self.later(lambda tag=issue: self.set_out(tag))
        else:
            dut.issued.value = pack_fields(ISSUED, tag=random.randrange(TAGS))
        if self.out and random.random() < self.end_chance:
            self.end(random.choice([tag for tag in range(TAGS) if self.out >> tag & 1]))
        dut.out.value = self.out
        dut.link_up.value = int(self.link_up)
        dut.offered.value, dut.blocked.value = int(self.offered), int(self.blocked)
        assert not model.overdue(self.cycle), f"{model.overdue(self.cycle)} should have failed"

    def _look_at_failure(self) -> None:
        dut = self.dut
        value = int(dut.fail__payload.value) if dut.fail__valid.value else None
        assert self.refused is None or value == self.refused, "a failure was taken back"
        if value is not None:
            done = DONE.read(value)
            failing = FAILING.read(int(dut.failing.value))
            assert failing.valid and failing.tag == done.tag
            if self.refused is None:
                failure = FailedRead(done.tag, STATUS[done.status])
                self.failures.append(failure)
                self.model.fail(failure, self.cycle)
            if dut.fail__ready.value:
                self.later(lambda: self.end(done.tag))
                value = None
        self.refused = value
        dut.fail__ready.value = int(random.random() >= self.stall)

    def _look_at_time(self) -> None:
        time = int(self.dut.time.value)
        if time != self._time:
            assert time == (self._time + 1) % 16
            self.quarters.append(self.cycle)
            self._time = time

    async def steps(self, count: int) -> None:
        """Spend ``count`` cycles."""
        for _ in range(count):
            await self.step()

    async def issue(self, tags) -> None:
        """Issue the reads of ``tags``, one a cycle."""
        for tag in tags:
            await self.step(tag)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(timeout=[400, 1000, 1003])
async def each_tag_times_out_once(dut, timeout):
    """Nothing ever comes: each read fails with TIMEOUT, not too early and not too late."""
    bench = await Bench(dut, timeout=timeout).begin()
    for _ in range(3):
        bench.failures.clear()
        await bench.issue(random.sample(range(TAGS), TAGS))
        await bench.steps(2 * timeout + 60 * TAGS)
        assert sorted(f.tag for f in bench.failures) == list(range(TAGS))
        assert not any(f.is_link for f in bench.failures)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def timeout_is_exact_to_a_quarter(dut):
    """One read alone, at any time of a quarter: 4 to 5 quarters, and 7 rounds."""
    timeout = 64 * ROUND
    bench = await Bench(dut, timeout=timeout).begin()
    for _ in range(12):
        await bench.steps(random.randint(1, timeout))
        await bench.step(random.randrange(TAGS))
        issued = bench.cycle
        while not bench.failures:
            await bench.step()
        waited = bench.cycle - issued
        assert timeout <= waited <= timeout * 5 // 4 + 7 * ROUND
        bench.failures.clear()
        await bench.steps(40)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def visits_one_a_cycle(dut):
    """After the link went down, the only read that is out fails within a round."""
    bench = await Bench(dut, timeout=100000).begin()
    waits = []
    for _ in range(30):
        await bench.step(random.randrange(TAGS))
        await bench.steps(random.randint(5, 5 + ROUND))
        bench.link_up = False
        down = bench.cycle
        while not bench.failures:
            await bench.step()
        waits.append(bench.cycle - down)
        bench.failures.clear()
        bench.link_up = True
        while not dut.send.value:
            await bench.step()
        await bench.steps(20)
    assert max(waits) <= ROUND + 6


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.8], end_chance=[0.05, 0.5])
async def random_reads(dut, stall, end_chance):
    """At random, reads end, are late or lose their link, and failures are refused."""
    bench = await Bench(dut, timeout=12 * ROUND).begin()
    bench.stall, bench.end_chance = stall, end_chance
    for _ in range(40):
        bench.issue_chance = random.choice([0.02, 0.5, 1.0])
        bench.end_chance = random.choice([0.0, end_chance])
        bench.link_up = random.random() < 0.7
        await bench.steps(random.choice([1, 2, 5, 50, 300]))
    # Nothing ends by itself, for longer than links and then a timeout take: some reads are late.
    bench.link_up, bench.issue_chance, bench.end_chance = True, 0.5, 0.0
    await bench.steps(60 * ROUND)
    bench.issue_chance, bench.end_chance = 0, end_chance
    await bench.steps(50 * ROUND + 200)
    assert len(bench.free) == TAGS
    assert {f.is_link for f in bench.failures} == {False, True}


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(most=[1, 3, 30])
async def flapping_link(dut, most):
    """Take the link down and up at any distance: reads end, and are sent again later."""
    bench = await Bench(dut, timeout=100000).begin()
    bench.issue_chance = 0.7
    for _ in range(400):
        bench.link_up = not bench.link_up
        await bench.steps(random.randint(1, most))
    bench.link_up = True
    bench.issue_chance = 0
    await bench.steps(4 * ROUND + 40 * TAGS)
    assert len(bench.free) == TAGS and len(bench.failures) > 10
    assert dut.send.value


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def old_header_leaves_first(dut):
    """Wait for a header of before the link went down: no read is sent before it is gone."""
    bench = await Bench(dut, timeout=100000).begin()
    bench.offered = bench.blocked = True
    bench.link_up = False
    await bench.steps(20)
    bench.link_up = True
    await bench.steps(10 * ROUND)
    assert not dut.send.value and not dut.discard.value
    bench.offered = bench.blocked = False
    await bench.steps(4)
    assert dut.send.value


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def time_of_quarantine_stands_while_blocked(dut):
    """Quarters have timeout / 4 cycles or up to a round more; none where a header is stuck."""
    timeout = 16 * ROUND
    bench = await Bench(dut, timeout=timeout).begin()
    await bench.steps(40 * ROUND)
    gaps = [b - a for a, b in zip(bench.quarters[1:], bench.quarters[2:], strict=False)]
    assert min(gaps) >= timeout // 4 and max(gaps) <= timeout // 4 + ROUND + 2
    bench.offered = bench.blocked = True
    await bench.steps(2 * (timeout // 4 + ROUND))
    bench.quarters.clear()
    await bench.steps(40 * ROUND)
    assert not bench.quarters
    bench.offered = bench.blocked = False
    await bench.steps(timeout // 4 + ROUND + 4)
    assert bench.quarters


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def time_of_quarantine_stands_while_headers_wait_behind(dut):
    """Count no quarter in which what was taken before it may not have been sent."""
    timeout = 16 * ROUND
    bench = await Bench(dut, timeout=timeout).begin()
    dut.passed.value = 0
    await bench.steps(2 * (timeout // 4 + ROUND))
    bench.quarters.clear()
    # Once in each quarter may have been meant for a header of long before.
    for _ in range(40):
        dut.passed.value = 1
        await bench.steps(1)
        dut.passed.value = 0
        await bench.steps(timeout // 4 + ROUND + 2)
    assert not bench.quarters
    for _ in range(40):
        dut.passed.value = 1
        await bench.steps(1)
        dut.passed.value = 0
        await bench.steps(timeout // 16)
    assert len(bench.quarters) >= 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def smallest_timeout(dut):
    """Fail every read soon, but once, with a timeout of nothing."""
    bench = await Bench(dut, timeout=0).begin()
    bench.issue_chance = 0.3
    await bench.steps(60 * ROUND)
    bench.issue_chance = 0
    await bench.steps(20 * ROUND + 40 * TAGS)
    assert len(bench.free) == TAGS and len(bench.failures) > TAGS
