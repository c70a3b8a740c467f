"""cocotb bench of hdl.pcie.Switch: segments used / needed, and the way of a single TLP.

Environment: ``PORTS``, ``SEGMENTS``. Every TLP is checked as in the tests, by the model.

used is the longest span from the first to the last beat at any port that receives; needed is
what its segments fill. Traffic is offered in every cycle, and taken in every cycle.
"""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.pcie import Tlp, TlpClass

from ..stream.rate_tb import Figure, write_rows
from .flows import completion, write
from .switch_bed import SwitchBed
from .switch_port import Credits

PORTS = int(os.environ["PORTS"])
SEGMENTS = int(os.environ["SEGMENTS"])
BEATS = 400  # of each flow, about

CLOCK_GHZ = 0.5

Flow = tuple[int, int]
#: Two ports that send to one, and flows that have nothing to do with it.
HOT = PORTS - 1
TO_HOT: list[Flow] = [(1, HOT), (2, HOT)]
BESIDE: list[Flow] = [(0, 1), (HOT, 0)]
#: Pairs of ports that have nothing in common, in both directions.
PAIRS: list[Flow] = [
    flow for port in range(0, PORTS - 1, 2) for flow in ((port, port + 1), (port + 1, port))
]


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


def ideal_beats(dwords: int) -> float:
    """Beats that a TLP of this payload takes if segments are packed without a gap."""
    return -(-dwords // 8) / SEGMENTS


async def pairs(bed: SwitchBed, name: str, make, dwords: int, theirs: str = "") -> list[Figure]:
    """Every pair carries TLPs of one kind and length, in both directions.

    ``theirs`` is what others need: it stands beside the figure.
    """
    ideal = ideal_beats(dwords)
    count = int(BEATS / ideal)
    flows = {flow: [make(*flow, dwords) for _ in range(count)] for flow in PAIRS}
    await play(bed, flows)
    targets = [target for _, target in PAIRS]
    ratio = used_over_needed(bed, targets)
    beats = max(bed.ports[target].sink.span for target in targets) / count
    gigabytes = 4 * dwords / beats * CLOCK_GHZ
    title = f"{name}, every pair"
    return [
        (title, "used/needed", round(ratio, 6), 1.0, "ratio"),
        (title, f"beats per TLP{theirs}", round(beats, 6), ideal, "beats"),
        (title, f"payload at {1000 * CLOCK_GHZ:.0f} MHz", round(gigabytes, 3), None, "GB/s"),
    ]


async def random_lengths(bed: SwitchBed) -> list[Figure]:
    """Send writes of 4 to 256 bytes, the longest first: its delay would count with a later one."""
    flows = {
        flow: [write(*flow, n) for n in (64, *(random.randint(1, 64) for _ in range(BEATS // 2)))]
        for flow in PAIRS
    }
    await play(bed, flows)
    ratio = used_over_needed(bed, [target for _, target in PAIRS])
    return [("writes of 4 to 256 B, every pair", "used/needed", round(ratio, 6), 1.02, "ratio")]


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
    flows = {flow: [write(*flow, 64) for _ in range(BEATS // 2)] for flow in TO_HOT + BESIDE}
    await play(bed, flows)
    sink = bed.ports[HOT].sink
    return [
        (
            "256 B writes beside a hot egress",
            "used/needed",
            round(used_over_needed(bed, [target for _, target in BESIDE]), 6),
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
    bed.ports[HOT].starve(*TlpClass)
    for flow in TO_HOT:
        for _ in range(200):
            bed.send(flow[0], write(*flow, 64))
    await ClockCycles(bed.dut.clk, 500)
    for port in bed.ports:
        port.source.restart()
        port.sink.restart()
    for source, target in BESIDE:
        for _ in range(BEATS // 2):
            bed.send(source, write(source, target, 64))
    await ClockCycles(bed.dut.clk, BEATS + 200)
    ratio = used_over_needed(bed, [target for _, target in BESIDE])
    assert all(bed.ports[target].sink.segments == 8 * (BEATS // 2) for _, target in BESIDE)
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
    # Gen5 x16 carries 57.6 GB/s of payload in such writes: 63.0 x 256 / (256 + 16 + 8).
    rows += await pairs(bed, "256 B writes", write, 64, " (Gen5 x16: 57.6 GB/s)")
    rows += await pairs(bed, "128 B completions", completion, 32)
    rows += await pairs(bed, "64 B completions", completion, 16, " (verilog-pcie: 1)")
    rows += await random_lengths(bed)
    rows += await hot_egress(bed)
    rows += await stuck_egress(bed)
    write_rows(rows)
