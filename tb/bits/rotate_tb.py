"""cocotb testbench of hdl.bits.Rotate."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.bits import rotate_lanes
from tb.stream import StreamSink, StreamSource, chance, start

LANE_COUNT = int(os.environ["LANE_COUNT"])
LANE_BITS = int(os.environ["LANE_BITS"])
TAG_BITS = int(os.environ["TAG_BITS"])
STAGES = int(os.environ["STAGES"])
DIRECTION = os.environ["DIRECTION"]
LANES_BITS = LANE_COUNT * LANE_BITS
AMOUNT_BITS = LANE_COUNT.bit_length() - 1


def as_int(lanes: list[int]) -> int:
    """Lanes side by side, lane 0 lowest."""
    return sum(lane << (n * LANE_BITS) for n, lane in enumerate(lanes))


def transfer(amount: int) -> tuple[int, int]:
    """Input payload with random lanes and tag, and the output payload the model makes of it."""
    lanes = [random.getrandbits(LANE_BITS) for _ in range(LANE_COUNT)]
    tag = random.getrandbits(TAG_BITS) if TAG_BITS else 0
    given = as_int(lanes) | amount << LANES_BITS | tag << (LANES_BITS + AMOUNT_BITS)
    return given, as_int(rotate_lanes(lanes, amount, DIRECTION)) | tag << LANES_BITS


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5])
async def every_amount_rotates_like_the_model(dut, source_stall, sink_stall):
    """Every amount, in order and then at random; without stalls one transfer a cycle."""
    amounts = [*range(LANE_COUNT), *(random.randrange(LANE_COUNT) for _ in range(100))]
    source = StreamSource(dut, "i", pause=chance(source_stall))
    sink = StreamSink(dut, "o", pause=chance(sink_stall))
    transfers = [transfer(amount) for amount in amounts]
    await start(dut)
    for given, _ in transfers:
        source.send_value(given)
    for number, (_, expected) in enumerate(transfers):
        assert await sink.received.get() == expected, f"transfer {number}"
    if not source_stall and not sink_stall:
        assert sink.span == len(transfers)
        assert sink.first - source.first == STAGES


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_refused_output_lets_every_stage_fill(dut):
    """While the output is refused, exactly one transfer for each stage is accepted."""
    source = StreamSource(dut, "i")
    holding = True
    sink = StreamSink(dut, "o", pause=lambda: holding)
    transfers = [transfer(random.randrange(LANE_COUNT)) for _ in range(3 * STAGES)]
    await start(dut)
    for given, _ in transfers:
        source.send_value(given)
    await ClockCycles(dut.clk, 2 * STAGES + 4)
    assert source.accepted == STAGES
    holding = False
    for _, expected in transfers:
        assert await sink.received.get() == expected
