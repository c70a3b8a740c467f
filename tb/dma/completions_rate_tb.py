"""cocotb bench of hdl.dma.Completions: cycles used / beats needed, on named traffic.

Reads of all tags are out, the tags in ascending order. Their completions come one behind the
other without idle lanes, the first of them in any lane; a beat is needed for each 4 segments. Data
and order of what is told are compared as in the tests.
"""

import random

import cocotb
from cocotb.triggers import RisingEdge

from sim.pcie.tlp import Tlp
from tb.stream.rate_tb import Figure, write_rows

from .completion_makers import completions_of
from .completions_bed import SEGMENT_COUNT, SLOT_BYTES, TAG_COUNT, CompletionsBed

_BLOCK = SLOT_BYTES


def every(step: int):
    """Split at multiples of ``step``."""
    return lambda boundaries: [boundary for boundary in boundaries if boundary % step == 0]


#: First byte and length of each read in its block, where its completions are split, and how many
#: cycles a beat may take.
TRAFFICS: dict[str, tuple[int, int, int, float | None]] = {
    **{
        f"{length} B reads, {step} B completions": (0, length, step, 1.0)
        for length in (256, 512, 4096)
        for step in (64, 128, 256, 512, 4096)
        if step <= length <= _BLOCK
    },
    f"{_BLOCK - 4} B reads up to a multiple of {_BLOCK}, 256 B completions": (
        4,
        _BLOCK - 4,
        256,
        1.0,
    ),
    f"{_BLOCK - 7} B reads up to a multiple of {_BLOCK}, 256 B completions": (
        7,
        _BLOCK - 7,
        256,
        1.0,
    ),
    f"{_BLOCK - 1} B reads from a multiple of {_BLOCK}, 256 B completions": (
        0,
        _BLOCK - 1,
        256,
        1.0,
    ),
    # What lies in a fifth bank takes a cycle of its own, after each two beats.
    "256 B reads at 4 B beside a multiple of 128, one completion": (4, 256, 4096, 1.5),
    f"{_BLOCK - 4} B reads up to a multiple of {_BLOCK}, 64 B completions": (
        4,
        _BLOCK - 4,
        64,
        1.0,
    ),
    # All of them in the same two banks: one completion a cycle; one and a half if every other one
    # lies across two beats, since a group ends with its beat.
    f"64 B reads at multiples of {_BLOCK}": (0, 64, 64, 3.0),
}

#: Reads whose completions come in turns, bytes of a completion, cycles that a beat may take. Those
#: of 64 bytes lie in the same two banks then, which takes as long as above.
TURNS: list[tuple[int, int, float | None]] = [(2, 64, 2.5), (4, 64, 2.5), (2, 128, 1.0)]


async def measure(bed: CompletionsBed, tlps: list[Tlp], lane: int) -> float:
    """Send ``tlps`` from ``lane`` on."""
    bed.source.restart()
    if lane:
        bed.source.send_lanes([None] * lane)
    for tlp in tlps:
        bed.send(tlp)
    await bed.drain()
    segments = lane + sum(tlp.segments for tlp in tlps)
    needed = -(-segments // SEGMENT_COUNT)
    assert bed.source.beats == needed
    while not all(bed.is_free(tag) for tag in range(TAG_COUNT)):
        await RisingEdge(bed.dut.clk)
    return round(bed.source.span / needed, 6)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def rate(dut):
    """Measure every traffic from every lane; one beat a cycle is required by the rows' limits."""
    bed = CompletionsBed(dut)
    await bed.begin()
    rows: list[Figure] = []
    for name, (begin, length, step, limit) in TRAFFICS.items():
        for lane in range(SEGMENT_COUNT):
            tlps = []
            for tag in range(TAG_COUNT):
                await bed.ask(tag, begin, length)
                tlps += completions_of(tag, begin, length, choose=every(step))
            await bed.settle()
            used = await measure(bed, tlps, lane)
            rows.append((f"{name}, lane {lane}", "used/needed", used, limit, "ratio"))

    for ways, step, limit in TURNS:
        for lane in range(2):
            queues = [
                completions_of(tag, 0, _BLOCK, choose=every(step)) for tag in range(TAG_COUNT)
            ]
            for tag in range(TAG_COUNT):
                await bed.ask(tag, 0, _BLOCK)
            await bed.settle()
            tlps = []
            for first in range(0, TAG_COUNT, ways):
                for turn in zip(*queues[first : first + ways], strict=True):
                    tlps += turn
            used = await measure(bed, tlps, lane)
            name = f"{_BLOCK} B reads, {step} B completions of {ways} in turns, lane {lane}"
            rows.append((name, "used/needed", used, limit, "ratio"))

    # Two at once need tags and addresses that fit; a completer has no reason to choose them so.
    for tag in range(TAG_COUNT):
        await bed.ask(tag, 0, _BLOCK)
    queues = [completions_of(tag, 0, _BLOCK) for tag in range(TAG_COUNT)]
    await bed.settle()
    tlps = []
    while any(queues):
        tlps.append(random.choice([queue for queue in queues if queue]).pop(0))
    used = await measure(bed, tlps, 0)
    rows.append(
        (f"{_BLOCK} B reads, 64 B completions, shuffled", "used/needed", used, None, "ratio")
    )
    write_rows(rows)
