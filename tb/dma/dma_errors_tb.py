"""Campaign: requests of four clients while a host and a link do everything wrong."""

import os
import random
from dataclasses import replace

import cocotb
from cocotb.triggers import ClockCycles

from sim.dma import ReadRequest
from sim.pcie.tlp import TlpClass

from .dma_bed import CLIENTS, SLOT_BYTES, TAG_COUNT, DmaBed
from .write_bed import random_write

REQUESTS = int(os.environ.get("REQUESTS", "5000"))
TIMEOUT = 3000
#: Without a response for so long, something hangs.
_PATIENCE = 10 * TIMEOUT


def _length() -> int:
    kind = random.random()
    if kind < 0.08:
        return 0
    if kind < 0.6:
        return random.randint(1, 64)
    if kind < 0.85:
        return random.randint(1, 512)
    if kind < 0.998:
        return random.randint(1, 4096)
    return random.randint(32768, 65535)


def _ask(bed: DmaBed, client: int) -> None:
    write = random_write(client, most_bytes=1, near_page=random.random() < 0.2)
    length = _length()
    if random.random() < 0.5:
        names = ("address", "tag", "no_snoop", "relaxed_ordering", "id_ordering")
        bed.read(client, ReadRequest(length=length, **{n: getattr(write, n) for n in names}))
        return
    count, error = length, False
    if length and random.random() < 0.05:
        count = max(1, length + random.choice([-1, 1, -40, 40, -random.randint(0, length)]))
        error = random.random() < 0.4
    data = bytes(value or 1 for value in random.randbytes(count))
    bed.write(client, replace(write, length=length, data=data if length else b"", error=error))


async def _starve(bed: DmaBed) -> None:
    """Give no credits of one class for a while."""
    flow = random.choice(list(TlpClass))
    bed.port.starve(flow)
    await ClockCycles(bed.dut.clk, random.randrange(300))
    bed.port.feed()


async def _until_answered(bed: DmaBed, *, most: int) -> None:
    """Wait until at most ``most`` requests are open; complain when nothing happens."""
    answered, since = bed.answered, bed.cycle
    while bed.waiting > most:
        await ClockCycles(bed.dut.clk, 8)
        if bed.answered != answered:
            answered, since = bed.answered, bed.cycle
        if bed.cycle - since > _PATIENCE:
            reads = [
                (n, len(c.reads), c.reads[0] if c.reads else None)
                for n, c in enumerate(bed.clients)
            ]
            writes = [
                (n, len(c.writes), c.writes[0] if c.writes else None)
                for n, c in enumerate(bed.clients)
            ]
            raise AssertionError(f"nothing since cycle {since}: {reads}, {writes}")


async def _settle(bed: DmaBed) -> None:
    """Wait until all is answered, all that is late has come, and no tag is in quarantine."""
    await _until_answered(bed, most=0)
    await ClockCycles(bed.dut.clk, 3 * TIMEOUT + 32 * TAG_COUNT)


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def every_request_is_answered_as_it_should_be(dut):
    """Every failing request fails once with its reason, every other one is right; nothing leaks."""
    codes = {"read_code": random.choice([0, 2, 5]), "payload_code": random.choice([0, 1, 2, 5])}
    bed = DmaBed(dut, timeout=TIMEOUT, spoil=0.1, stall=0.1, **codes)
    dut._log.info("seed %s, %s", cocotb.RANDOM_SEED, codes)
    await bed.begin()
    asked = 0
    next_drop = 2000
    link = None
    while asked < REQUESTS:
        for client in CLIENTS:
            streams = bed.clients[client]
            if len(streams.reads) + len(streams.writes) < 12 and asked < REQUESTS:
                _ask(bed, client)
                asked += 1
        if random.random() < 0.05:
            bed.intrude()
        if random.random() < 0.005 and not bed.is_down:
            bed.host.stray()
        if random.random() < 0.002:
            cocotb.start_soon(_starve(bed))
        if bed.cycle >= next_drop and (link is None or link.done()):
            link = cocotb.start_soon(bed.interrupt(random.choice([1, 2, 3, 8, 40, 300])))
            next_drop = bed.cycle + random.randrange(12000)
        await _until_answered(bed, most=44)
        await ClockCycles(dut.clk, 4)
    if link is not None:
        await link
    await _settle(bed)
    dut._log.info(
        "%d cycles; answers %s; spoiled %s; events %s",
        bed.cycle,
        dict(sorted(bed.statuses.items())),
        bed.host.spoilings,
        bed.events,
    )
    bed.check_end()
    await _all_tags_at_once(bed)


async def _all_tags_at_once(bed: DmaBed) -> None:
    """Every tag can be out at the same time: none was lost."""
    bed.host.is_silent = True
    bed.host.by_tag.clear()
    for number in range(TAG_COUNT):
        client = number % len(CLIENTS)
        address = client << 30 | (number + 1) * SLOT_BYTES
        bed.read(client, ReadRequest(address, SLOT_BYTES, number & 255))
    for _ in range(TIMEOUT // 2 // 8):
        if len(bed.host.by_tag) == TAG_COUNT:
            break
        await ClockCycles(bed.dut.clk, 8)
    missing = set(range(TAG_COUNT)) - set(bed.host.by_tag)
    assert not missing, f"tags {sorted(missing)} were lost"
    await _until_answered(bed, most=0)
    await ClockCycles(bed.dut.clk, 50)
    bed.check_end()
