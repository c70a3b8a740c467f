"""cocotb tests of hdl.dma.Endpoint.

Environment: ``SEGMENT_COUNT``, ``MAX_PAYLOAD_BYTES``.
"""

import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.pcie.tlp import Tlp, TlpClass

from ..pcie.segments import to_segments
from ..pcie.switch_port import Credits
from ..stream import chance
from .endpoint_bed import (
    ENOUGH,
    MAX_PAYLOAD_DWORDS,
    SEGMENT_COUNT,
    EndpointBed,
    anything,
    completion,
    message,
    read,
    some_dwords,
    write,
)


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(client_stall=[0.0, 0.3], link_stall=[0.0, 0.5])
async def everything_is_sent_in_an_order_that_is_allowed(dut, client_stall, link_stall):
    """TLPs of all classes, on few credits that come back late."""
    bed = EndpointBed(
        dut,
        limits=ENOUGH,
        client_stall=client_stall,
        client_gap=client_stall,
        link_stall=link_stall,
        return_delay=lambda: random.randint(0, 60),
    )
    await bed.begin()
    for tlp in bed.mixed(600):
        bed.hand_over(tlp)
    await bed.drain(60000)
    assert len(bed.sent) == 600
    bed.order.check_drained()


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def every_length_is_sent(dut):
    """Send writes and completions of each length up to four beats, and the longest."""
    bed = EndpointBed(dut, scale=2)
    await bed.begin()
    lengths = [*range(1, min(32 * SEGMENT_COUNT, MAX_PAYLOAD_DWORDS) + 1), MAX_PAYLOAD_DWORDS]
    for dwords in lengths:
        bed.hand_over(write(dwords))
        bed.hand_over(completion(dwords))
        bed.hand_over(read(dwords))
    await bed.drain()
    assert len(bed.sent) == 3 * len(lengths)


@cocotb.test(timeout_time=1000, timeout_unit="us")
@cocotb.parametrize(starved=list(TlpClass))
async def a_class_without_credits_holds_up_only_what_must_stay_behind(dut, starved):
    """Let others go on; without posted credits, only what was taken before those TLPs."""
    bed = EndpointBed(dut, limits=ENOUGH)
    await bed.begin()
    bed.link.starve(starved)
    make = {
        TlpClass.POSTED: lambda: write(some_dwords()),
        TlpClass.NON_POSTED: read,
        TlpClass.COMPLETION: lambda: completion(some_dwords()),
    }
    for _ in range(60):
        bed.hand_over(make[starved]())
    await ClockCycles(dut.clk, 3000)
    stuck = bed.sent_of(starved)
    assert 0 < stuck <= 6
    others = [c for c in TlpClass if c != starved]
    for c in others:
        for _ in range(200):
            bed.hand_over(make[c]())
    await ClockCycles(dut.clk, 12000)
    for c in others:
        assert bed.sent_of(c) == (0 if starved == TlpClass.POSTED else 200), c
    assert bed.sent_of(starved) == stuck
    bed.link.feed()
    await bed.drain(30000)
    assert len(bed.sent) == 460


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def reads_without_credits_are_passed_for_ever_and_still_go_behind_their_writes(dut):
    """While reads stand still, writes go by many times more than any count of rows holds."""
    bed = EndpointBed(dut, limits=(Credits(60, 1000), Credits(2, 2), Credits(60, 1000)))
    await bed.begin()
    bed.link.starve(TlpClass.NON_POSTED)
    for number in range(1500):
        bed.hand_over(write(random.randint(1, 8)))
        if number % 50 == 0:
            bed.hand_over(read())
    await ClockCycles(dut.clk, 4000)
    assert bed.sent_of(TlpClass.POSTED) == 1500
    assert bed.sent_of(TlpClass.NON_POSTED) == 2
    for _ in range(40):
        bed.link.starve(TlpClass.POSTED)
        for _ in range(random.randint(1, 80)):
            bed.hand_over(write(random.randint(1, 8)))
        bed.link.feed()
        bed.link.starve(TlpClass.NON_POSTED)
        bed.hand_over(read())
        await ClockCycles(dut.clk, random.randint(1, 200))
    bed.link.feed()
    await bed.drain()


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def writes_whose_beats_never_end_with_a_tlp_let_others_go(dut):
    """Completions handed over beside such writes go while most of these still wait."""
    bed = EndpointBed(dut)
    await bed.begin()
    count = 400
    bed.hand_over(write(1))
    for _ in range(count):
        bed.hand_over(write(8 * SEGMENT_COUNT))
    for number in range(20):
        bed.hand_over(completion(some_dwords(), tag=number))
    for number in range(20):
        bed.hand_over(read(tag=number))
    await ClockCycles(dut.clk, count // 2)
    assert bed.sent_of(TlpClass.COMPLETION) == 20
    assert bed.sent_of(TlpClass.NON_POSTED) == 20
    assert bed.sent_of(TlpClass.POSTED) < count * 3 // 4
    await bed.drain()


@cocotb.test(timeout_time=1000, timeout_unit="us")
@cocotb.parametrize(slow=[TlpClass.POSTED, TlpClass.COMPLETION])
async def a_client_that_pauses_within_a_tlp_holds_up_its_class_only(dut, slow):
    """Half a TLP is handed over, then nothing for long; the others go on."""
    bed = EndpointBed(dut)
    await bed.begin()
    is_slow = False
    source = bed.writes if slow == TlpClass.POSTED else bed.answers
    source.pause = lambda: is_slow
    make = write if slow == TlpClass.POSTED else completion
    bed.hand_over(make(8 * SEGMENT_COUNT - 1 if SEGMENT_COUNT > 1 else 1))
    bed.hand_over(make(MAX_PAYLOAD_DWORDS))
    while source.beats < 2:
        await ClockCycles(dut.clk, 1)
    is_slow = True
    others = [tlp for tlp in bed.mixed(200) if tlp.tlp_class != slow]
    for tlp in others:
        bed.hand_over(tlp)
    await ClockCycles(dut.clk, 4000)
    assert len(bed.sent) == len(others) + 1
    is_slow = False
    await bed.drain()


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(request_stall=[0.0, 0.5], completion_stall=[0.0, 0.5])
async def everything_received_is_handed_on(dut, request_stall, completion_stall):
    """TLPs of every kind, whole, in order, apart by class, while the endpoint sends, too."""
    bed = EndpointBed(
        dut,
        request_stall=chance(request_stall),
        completion_stall=chance(completion_stall),
        gap=chance(0.2),
    )
    await bed.begin()
    for tlp in bed.mixed(500):
        bed.link.send(anything())
        bed.hand_over(tlp)
    await bed.drain(60000)
    assert len(bed.handed_on) == 500


def spread(tlp: Tlp) -> list[int | None]:
    """Lanes that take the most rows: the begin in a last lane, idle lanes behind the end."""
    idle: list[int | None] = [None] * (SEGMENT_COUNT - 1)
    lanes = [*idle, *to_segments(tlp)]
    return lanes + [None] * (-len(lanes) % SEGMENT_COUNT)


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(stuck=["completion", "request"])
async def a_stalled_output_keeps_all_that_has_credits_and_holds_up_the_other_in_nothing(dut, stuck):
    """All credits are used, in as many rows as can be; meanwhile the other output goes on."""
    is_stuck = True
    bed = EndpointBed(
        dut,
        completion_stall=lambda: is_stuck and stuck == "completion",
        request_stall=lambda: is_stuck and stuck == "request",
    )
    await bed.begin()
    bed.link.source.read_credits()
    kept = 0
    for c in (TlpClass.COMPLETION,) if stuck == "completion" else (0, 1):
        free = bed.link.source.available(TlpClass(c))
        for number in range(free.headers):
            # Two data credits and a digest: two segments.
            long = 2 * number < free.data
            digest = random.randbytes(4) if long else None
            if c == TlpClass.NON_POSTED:
                tlp = read(digest=digest)
            elif c == TlpClass.POSTED:
                tlp = write(8, digest=digest) if long else message()
            else:
                tlp = completion(8 if long else 0, digest=digest)
            bed.link.source.queue(tlp, spread(tlp), cheat=False)
            kept += 1
    await ClockCycles(dut.clk, 1000)
    bed.link.source.read_credits()
    assert bed.link.source.idle
    assert not bed.handed_on
    for _ in range(300):
        bed.link.send(completion(some_dwords()) if stuck == "request" else write(some_dwords()))
    await ClockCycles(dut.clk, 10000)
    assert len(bed.handed_on) == 300
    is_stuck = False
    await bed.drain()
    assert len(bed.handed_on) == 300 + kept
