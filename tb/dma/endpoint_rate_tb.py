"""cocotb bench of hdl.dma.Endpoint: segments used / needed, and the way of a single TLP.

Environment: ``SEGMENT_COUNT``, ``MAX_PAYLOAD_BYTES``. Every TLP is checked as in the tests.

used is the span from the first to the last beat where the TLPs come out; needed is what their
segments fill.
"""

import random

import cocotb

from sim.pcie.tlp import Tlp

from ..pcie.switch_port import Credits
from ..pcie.tlp_port import TlpSink
from ..stream import chance
from ..stream.rate_tb import Figure, write_rows
from .endpoint_bed import SEGMENT_COUNT, EndpointBed, completion, read, write

BEATS = 400  # of each traffic, about
#: All that a partner without scaled flow control can give, given back at once.
PLENTY = (Credits(127, 2047), Credits(127, 2047), Credits(127, 2047))


def _restart(bed: EndpointBed) -> None:
    for port in (
        bed.writes,
        bed.answers,
        bed.link.source,
        bed.link.sink,
        bed.completions,
        bed.requests,
    ):
        port.restart()


def _ratio(sink: TlpSink) -> float:
    return round(sink.span / -(-sink.segments // SEGMENT_COUNT), 6)


async def send(
    bed: EndpointBed, title: str, tlps: list[Tlp], limit: float | None, *, reads: float = 1.0
) -> Figure:
    """Hand over ``tlps`` at once, reads at some rate, and measure what goes to the link."""
    bed.reads.pause = chance(1 - reads)
    _restart(bed)
    for tlp in tlps:
        bed.hand_over(tlp)
    await bed.drain()
    return (title, "used/needed", _ratio(bed.link.sink), limit, "ratio")


async def alone(bed: EndpointBed, title: str, tlp: Tlp) -> Figure:
    """Measure from the edge behind which a client drives the first beat to that which takes it."""
    _restart(bed)
    begin = bed.link.sink.cycle
    bed.hand_over(tlp)
    await bed.drain()
    return (title + " alone", "latency", bed.link.sink.first - begin - 1, None, "cycles")


async def receive(bed: EndpointBed, title: str, tlps: list[Tlp], sink: TlpSink) -> Figure:
    """Let the partner send ``tlps``, and measure what comes out of ``sink``."""
    _restart(bed)
    for tlp in tlps:
        bed.link.send(tlp)
    await bed.drain()
    return (title, "used/needed", _ratio(sink), 1.0, "ratio")


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def rate(dut):
    """Measure; the limits are required by the rows, not here."""
    bed = EndpointBed(dut, limits=PLENTY)
    await bed.begin()
    rows: list[Figure] = []

    rows += [
        await alone(bed, "64 B write", write(16)),
        await alone(bed, "256 B write", write(64)),
        await alone(bed, "read", read()),
    ]
    _restart(bed)
    begin = bed.completions.cycle
    bed.link.send(completion(16))
    await bed.drain()
    rows.append(
        ("64 B completion received", "latency", bed.completions.first - begin - 1, None, "cycles")
    )

    many = BEATS * SEGMENT_COUNT
    rows.append(await send(bed, "256 B writes", [write(64) for _ in range(many // 8)], 1.0))
    odd = [write(64), write(1), *(write(64) for _ in range(many // 8))]
    rows.append(await send(bed, "256 B writes, each across beats", odd, 1.01))
    rows.append(await send(bed, "64 B writes", [write(16) for _ in range(many // 2)], 1.0))
    rows.append(
        await send(bed, "64 B completions", [completion(16) for _ in range(many // 2)], 1.0)
    )
    lengths = [64, *(random.randint(1, 64) for _ in range(many // 4))]
    rows.append(await send(bed, "writes of 4 to 256 B", [write(n) for n in lengths], 1.02))

    # As many bytes are asked for as are written: a read of 512 B for two writes.
    reads = [read(128) for _ in range(many // 16)]
    each = SEGMENT_COUNT / 16
    both = [*(write(64) for _ in range(many // 8)), *reads]
    rows.append(await send(bed, "256 B writes, 512 B reads", both, 1.02, reads=each))
    rows.append(
        await send(bed, "256 B writes across beats, 512 B reads", [*odd, *reads], 1.05, reads=each)
    )
    answers = [completion(32) for _ in range(many // 8)]
    rows.append(
        await send(
            bed, "256 B writes, 128 B completions, reads", [*both, *answers], 1.02, reads=each
        )
    )
    _restart(bed)
    for _ in range(many):
        bed.hand_over(read())
    bed.reads.pause = chance(0.0)
    await bed.drain()
    rows.append(
        ("reads alone", "cycles per read", round(bed.link.sink.span / many, 3), 1.01, "cycles")
    )

    for title, make, dwords, sink in (
        ("64 B completions received", completion, 16, bed.completions),
        ("256 B completions received", completion, 64, bed.completions),
        ("256 B writes received", write, 64, bed.requests),
    ):
        tlps = [make(dwords) for _ in range(8 * many // dwords)]
        rows.append(await receive(bed, title, tlps, sink))
    write_rows(rows)
