"""Random reads, whose completions are shuffled and spoiled, among lanes that belong to no TLP."""

import random
from collections import deque

from cocotb.triggers import ClockCycles, RisingEdge

from sim.dma import ReadEnd
from sim.pcie.tlp import Tlp

from ..pcie.segments import changed, to_segments
from .completion_makers import completions_of, every_boundary, random_boundaries, spoiled
from .completions_bed import TAG_COUNT, CompletionsBed, random_read

__all__ = ["attach", "campaign"]


async def attach(dut, **options) -> CompletionsBed:
    """Make a bed and release reset."""
    bed = CompletionsBed(dut, **options)
    await bed.begin()
    return bed


def send_garbage(bed: CompletionsBed, tlp: Tlp) -> None:
    """Send the end of a TLP without its begin, or the begin of one without its end.

    The latter is cut off by the next TLP, which has to follow; ``tlp`` is what they are made of.
    """
    segments = to_segments(tlp)
    cut = random.randrange(len(segments))
    if random.random() < 0.5:
        orphans = [changed(segment, sop=0) for segment in segments[cut:]]
        bed.source.send_lanes(orphans)
    if random.random() < 0.5:
        bed.source.send_lanes([changed(segment, eop=0) for segment in segments[: cut + 1]])


async def campaign(
    bed: CompletionsBed,
    *,
    reads: int,
    spoil: float,
    fails: float,
    tags: range = range(TAG_COUNT),
) -> None:
    """Ask for reads of all tags at once; shuffle and spoil their completions.

    Parameters
    ----------
    reads : int
        How many.
    spoil : float
        Part of the completions that something is wrong with; as often lanes come that belong to
        no TLP.
    fails : float
        Chance in each step that a read fails otherwise.
    tags : range
        Tags to use.
    """
    waiting: dict[int, deque[Tlp]] = {}
    late: list[Tlp] = []
    asked = 0
    while asked < reads or waiting:
        free = [tag for tag in tags if tag not in waiting and bed.is_free(tag)]
        late = [tlp for tlp in late if tlp.tag in bed.model.out or random.random() < 0.9]
        held = {tlp.tag for tlp in late}
        new = [tag for tag in free if tag not in held]
        random.shuffle(new)
        for tag in new[: random.randint(0, 6)]:
            if asked >= reads:
                break
            asked += 1
            address, length = random_read()
            await bed.ask(tag, address, length)
            rcb = random.choice([64, 128])
            choose = random.choice([every_boundary, random_boundaries])
            tlps = completions_of(tag, address, length, rcb=rcb, choose=choose, digests=0.1)
            waiting[tag] = deque(tlps)
        await bed.settle()
        for _ in range(random.randint(1, 60)):
            if not waiting:
                break
            tag = random.choice(list(waiting))
            if tag not in bed.model.out and bed.source.idle:
                # It has ended before its last completion: some still come, now or much later.
                late += [tlp for tlp in waiting.pop(tag) if random.random() < 0.3]
                continue
            if random.random() < fails and bed.source.idle:
                await ClockCycles(bed.dut.clk, 12)
                bed.fail_read(tag, random.choice([ReadEnd.TIMEOUT, ReadEnd.LINK_DOWN]))
                await ClockCycles(bed.dut.clk, 12)
                continue
            for _ in range(random.choice([1, 1, 1, 2, 5])):
                if not waiting[tag]:
                    break
                tlp = waiting[tag].popleft()
                wrong = spoiled(tlp, TAG_COUNT)
                if random.random() < spoil:
                    send_garbage(bed, random.choice([tlp, wrong]))
                if random.random() < spoil:
                    bed.send(wrong)
                    if wrong.nullified or random.random() < 0.2:
                        bed.send(tlp)
                elif random.random() < spoil / 4:
                    bed.send(tlp)
                    bed.send(tlp)  # a duplicate
                else:
                    bed.send(tlp)
            if not waiting[tag]:
                del waiting[tag]
            while bed.queued > 4:
                await RisingEdge(bed.dut.clk)
        if late and random.random() < 0.3:
            tlp = random.choice(late)
            if tlp.tag not in bed.model.out:
                bed.send(tlp)
        while not bed.source.idle:
            await RisingEdge(bed.dut.clk)
        for tag in [tag for tag in waiting if tag not in bed.model.out]:
            late += [tlp for tlp in waiting.pop(tag) if random.random() < 0.3]
        # What lost a completion on the way only ends by a timeout.
        for tag in bed.model.out - set(waiting):
            await ClockCycles(bed.dut.clk, 12)
            bed.fail_read(tag, ReadEnd.TIMEOUT)
            await ClockCycles(bed.dut.clk, 4)
    await bed.drain()
