"""cocotb testbench of hdl.dma.ReadRequester.

With ``LENGTH`` in the environment, what is random lasts as many times as long.
"""

import os
import random
from collections.abc import Sequence

import cocotb

from sim.dma import ReadRequest

from .read_clients import random_request
from .read_requester_bed import LINK_DOWN, OK, TIMEOUT, RequesterBed

SIZES = {
    name: int(os.environ[name.upper()])
    for name in ("client_count", "segment_count", "tag_count", "slot_bytes", "reserve")
}
CLIENTS = SIZES["client_count"]
TAGS = SIZES["tag_count"]
LENGTH = int(os.environ.get("LENGTH", "1"))
SHORT = [0, 1, 3, 64, 200, 1000]


def send_some(bed: RequesterBed, count: int, clients: Sequence[int] = range(CLIENTS)) -> None:
    """Queue ``count`` short requests of each client."""
    for _ in range(count):
        for client in clients:
            bed.send(client, random_request(SHORT))


@cocotb.test(timeout_time=100, timeout_unit="us")
async def aligned_reads_of_4096_at_mrrs_4096_are_one_read_each(dut):
    """Read no second page, as open engines do: one read, or as many as slots."""
    bed = await RequesterBed(dut, **SIZES, code=5).begin()
    pages = [0, 0x12345, 0xFFFFF, 0x100000, (1 << 52) - 1]
    for number, page in enumerate([page for page in pages for _ in range(CLIENTS)]):
        bed.send(number % CLIENTS, ReadRequest(page << 12, 4096, number))
    await bed.finish()
    await bed.cycles(50)
    assert bed.headers == bed.issues == len(pages) * CLIENTS * 4096 // SIZES["slot_bytes"]


@cocotb.test(timeout_time=2 * LENGTH, timeout_unit="ms")
@cocotb.parametrize(header_stall=[0.0, 0.6], end_chance=[0.05, 1.0], client_pause=[0.0, 0.9])
async def random_reads(dut, header_stall, end_chance, client_pause):
    """Any requests; completions in any order, deliveries in that of each client."""
    bed = await RequesterBed(
        dut, **SIZES, code=random.randrange(6), client_pause=client_pause
    ).begin()
    bed.header_stall, bed.end_chance = header_stall, end_chance
    for _ in range(20 * LENGTH):
        for client in range(CLIENTS):
            bed.send(client, random_request([*SHORT, 5000]))
    await bed.finish()
    assert bed.headers == bed.issues and not bed.failures
    assert bed.statuses == [{OK}] * CLIENTS


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def link_down_answers_and_sends_nothing(dut):
    """While the link is down, all requests fail with LINK_DOWN; then reads are sent again."""
    bed = await RequesterBed(dut, **SIZES).begin()
    bed.end_chance = 0.0
    send_some(bed, 2 * TAGS)
    await bed.cycles(TAGS + 10)
    bed.link_up = False
    await bed.cycles(3)
    sent = bed.headers
    await bed.finish()
    assert bed.headers == sent and bed.issues > sent > 0
    assert bed.statuses == [{LINK_DOWN}] * CLIENTS
    bed.link_up, bed.end_chance = True, 0.5
    await bed.cycles(4 * max(8, TAGS) + 10)
    before = bed.failures
    send_some(bed, 10)
    await bed.finish()
    assert bed.headers - sent >= 10 and bed.failures == before


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def late_tags_are_not_used_again_too_soon(dut):
    """Every read is lost; each tag comes back after as long again, and none is gone."""
    bed = await RequesterBed(dut, **SIZES, timeout=40 * TAGS).begin()
    bed.loss = 1.0
    send_some(bed, 2 * TAGS // CLIENTS + 1)
    await bed.finish()
    assert bed.failures == bed.issues > TAGS
    assert bed.statuses == [{TIMEOUT}] * CLIENTS
    bed.loss = 0.0
    send_some(bed, TAGS)
    await bed.finish()
    assert not bed.model.pool.held


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def stuck_header_keeps_its_tag(dut):
    """Let a header wait for longer than its read may take: its tag is not used again."""
    bed = await RequesterBed(dut, **SIZES, timeout=20 * TAGS).begin()
    bed.header_stall = bed.loss = 1.0
    for tag in range(TAGS):
        send_some(bed, 1)
        bed.model.hold(tag, 0)
    await bed.cycles(200 * TAGS)
    assert bed.issues == bed.failures == 1
    bed.header_stall = bed.loss = 0.0
    bed.model.hold(bed.last_tag, bed.cycle + bed.model.timeout)
    await bed.finish()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def blocked_clients_hold_up_no_other(dut):
    """Nothing is delivered to all clients but one; that one goes on."""
    bed = await RequesterBed(dut, **SIZES).begin()
    bed.blocked_clients = set(range(1, CLIENTS))
    send_some(bed, TAGS, range(1, CLIENTS))
    await bed.cycles(20 * TAGS)
    send_some(bed, 50, [0])
    while bed.model.pieces[0] or bed.model.under_way[0]:
        await bed.cycles(1)
    held = [len(tags) for tags in bed.model.under_way]
    assert sum(held) == (TAGS - SIZES["reserve"] if CLIENTS > 1 else 0)
    bed.blocked_clients = set()
    await bed.finish()


@cocotb.test(timeout_time=5 * LENGTH, timeout_unit="ms")
@cocotb.parametrize(header_stall=[0.0, 0.5], fail_stall=[0.0, 0.9])
async def errors_at_random(dut, header_stall, fail_stall):
    """Lost reads, a link that comes and goes, clients to whom nothing is delivered for a while.

    Every request is answered, and no tag is lost.
    """
    bed = await RequesterBed(dut, **SIZES, timeout=24 * TAGS, client_pause=0.2).begin()
    bed.header_stall, bed.fail_stall = header_stall, fail_stall
    bed.delivery_stall, bed.loss = 0.3, 0.1
    for _ in range(25 * LENGTH):
        send_some(bed, 8)
        bed.end_chance = random.choice([0.05, 0.5, 1.0])
        bed.link_up = random.random() < 0.7
        bed.in_order = random.random() < 0.5
        blocked = random.choice([0, 0, 0, random.randrange(CLIENTS)])
        bed.blocked_clients = set(random.sample(range(CLIENTS), blocked))
        await bed.cycles(random.choice([1, 3, 20, 100, 500]))
    bed.link_up, bed.blocked_clients = True, set()
    await bed.finish()
    assert set.union(*bed.statuses) == {OK, TIMEOUT, LINK_DOWN}
    await bed.cycles(70 * TAGS)
    bed.loss = 0.0
    before = bed.issues
    send_some(bed, 2 * TAGS)
    await bed.finish()
    assert bed.issues - before >= 2 * TAGS and not bed.model.pool.held


@cocotb.test(timeout_time=100, timeout_unit="us")
async def reset_in_mid_traffic(dut):
    """After a reset every tag is free, and nothing of before comes."""
    bed = await RequesterBed(dut, **SIZES, timeout=24 * TAGS).begin()
    for _ in range(10):
        bed.header_stall, bed.loss = random.choice([0.0, 0.5]), random.choice([0.0, 0.5])
        send_some(bed, 20)
        await bed.cycles(random.randint(1, 100 * min(TAGS, 40)))
        await bed.reset()
        bed.loss = 0.0
        send_some(bed, 5)
        await bed.finish()
