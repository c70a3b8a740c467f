"""cocotb bench of hdl.pcie.Switch: segments used / needed, and the way of a single TLP.

Environment: ``PORTS``, ``SEGMENTS``. Every TLP is checked as in the tests, by the model.

used is the longest span from the first to the last beat at any port that receives; needed is
what its segments fill. Traffic is offered in every cycle, and taken in every cycle.
"""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.pcie import Kind, Tlp

from ..stream.rate_tb import Figure, write_rows
from .switch_bed import SwitchBed
from .switch_port import Credits

PORTS = int(os.environ["PORTS"])
SEGMENTS = int(os.environ["SEGMENTS"])
BEATS = 400  # of each flow, about

Flow = tuple[int, int]
#: Pairs of ports that have nothing in common, in both directions.
PAIRS: list[Flow] = [
    flow for port in range(0, PORTS - 1, 2) for flow in ((port, port + 1), (port + 1, port))
]


def address(target: int) -> int:
    """Somewhere behind ``target``; behind the upstream port is what nobody else has."""
    page = random.randrange(1 << 8) << 12
    return page if target == 0 else (0x800 + 16 * target << 20) + page


def write(source: int, target: int, dwords: int) -> Tlp:
    """Memory write of whole DW from a function behind ``source``."""
    return Tlp(
        Kind.MEMORY,
        data=random.randbytes(4 * dwords),
        length=dwords,
        requester=source + 1 << 8,
        first_be=0xF,
        last_be=0xF if dwords > 1 else 0,
        address=address(target),
    )


def read(source: int, target: int, dwords: int) -> Tlp:
    """Memory read: a header only."""
    return write(source, target, dwords).with_changes(data=None, tag=random.getrandbits(8))


def completion(source: int, target: int, dwords: int) -> Tlp:
    """Completion with data for a function behind ``target``."""
    return Tlp(
        Kind.COMPLETION,
        data=random.randbytes(4 * dwords),
        length=dwords,
        requester=target + 1 << 8 if target else 0,
        completer=source + 1 << 8,
        tag=random.getrandbits(8),
        byte_count=4 * dwords,
    )


async def play(bed: SwitchBed, flows: dict[Flow, list[Tlp]]) -> None:
    """Offer all flows at once, and wait until all has come."""
    for port in bed.ports:
        port.source.restart()
        port.sink.restart()
    for (source, _), tlps in flows.items():
        for tlp in tlps:
            bed.send(source, tlp)
    await bed.drain()


def used_over_needed(bed: SwitchBed, targets: list[int]) -> float:
    """Compare at the ports of ``targets``, and take the worst."""
    return max(
        sink.span / -(-sink.segments // SEGMENTS)
        for sink in (bed.ports[target].sink for target in targets)
    )


async def pairs(bed: SwitchBed, name: str, make, segments: int) -> list[Figure]:
    """Every pair carries TLPs of one kind and length, in both directions."""
    count = BEATS * SEGMENTS // segments
    flows = {flow: [make(*flow) for _ in range(count)] for flow in PAIRS}
    await play(bed, flows)
    targets = [target for _, target in PAIRS]
    ratio = used_over_needed(bed, targets)
    rate = min(count / bed.ports[target].sink.span for target in targets)
    best = SEGMENTS / segments
    return [
        (f"{name}, every pair", "used/needed", round(ratio, 6), 1.0, "ratio"),
        (f"{name}, every pair", "beats per TLP", round(1 / rate, 6), 1 / best, "beats"),
    ]


async def alone(bed: SwitchBed, name: str, make) -> list[Figure]:
    """One TLP through an idle switch, from its first beat to its first beat, between all ports."""
    worst = 0
    for source in range(PORTS):
        for target in range(PORTS):
            if source != target:
                await play(bed, {(source, target): [make(source, target)]})
                begin, end = bed.ports[source].source, bed.ports[target].sink
                # Cycles between the edges at which the beats are driven and taken.
                worst = max(worst, end.first - begin.first)
    return [(f"{name} alone, port to port", "latency", worst, 20, "cycles")]


async def hot_egress(bed: SwitchBed) -> list[Figure]:
    """Two ports send to one, which is too much for it; the others notice nothing."""
    hot, victims = PORTS - 1, [(0, 1), (1, 0)]
    flows = {
        (source, hot): [write(source, hot, 64) for _ in range(BEATS // 2)] for source in (2, 3)
    }
    flows |= {flow: [write(*flow, 64) for _ in range(BEATS // 2)] for flow in victims}
    await play(bed, flows)
    sink = bed.ports[hot].sink
    return [
        (
            "256 B writes beside a hot egress",
            "used/needed",
            round(used_over_needed(bed, [target for _, target in victims]), 6),
            1.0,
            "ratio",
        ),
        (
            "256 B writes from two ports to one",
            "used/needed",
            round(sink.span / -(-sink.segments // SEGMENTS), 6),
            1.0,
            "ratio",
        ),
    ]


async def stuck_egress(bed: SwitchBed) -> list[Figure]:
    """One port's partner gives no credits at all; pairs without it go on."""
    stuck, victims = PORTS - 1, [(0, 1), (1, 0)]
    bed.ports[stuck].starve(*range(3))
    for source in (2, 3):
        for _ in range(200):
            bed.send(source, write(source, stuck, 64))
    await ClockCycles(bed.dut.clk, 500)
    for port in bed.ports:
        port.source.restart()
        port.sink.restart()
    for source, target in victims:
        for _ in range(BEATS // 2):
            bed.send(source, write(source, target, 64))
    await ClockCycles(bed.dut.clk, BEATS + 200)
    ratio = used_over_needed(bed, [target for _, target in victims])
    assert all(bed.ports[target].sink.segments == 8 * (BEATS // 2) for _, target in victims)
    await bed.drain()
    return [("256 B writes beside a stuck egress", "used/needed", round(ratio, 6), 1.0, "ratio")]


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def rate(dut):
    """Measure; the limits are required by the rows, not here."""
    plenty = [Credits(127, 2047)] * 3
    bed = SwitchBed(dut, PORTS, SEGMENTS, limits=lambda _: plenty)
    await bed.start()
    await bed.configure(bed.tree())
    rows = await alone(bed, "64 B write", lambda s, t: write(s, t, 16))
    rows += await alone(bed, "256 B write", lambda s, t: write(s, t, 64))
    rows += await pairs(bed, "256 B writes", lambda s, t: write(s, t, 64), 8)
    rows += await pairs(bed, "128 B completions", lambda s, t: completion(s, t, 32), 4)
    rows += await pairs(bed, "64 B completions", lambda s, t: completion(s, t, 16), 2)
    rows += await hot_egress(bed)
    rows += await stuck_egress(bed)
    write_rows(rows)
