"""cocotb tests of hdl.dma.Endpoint: TLPs that end badly, links that fail, reset.

Environment: ``SEGMENT_COUNT``, ``MAX_PAYLOAD_BYTES``.
"""

import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.pcie.tlp import Tlp, TlpClass

from ..pcie.segments import changed, field_of, to_segments
from ..pcie.switch_port import counts
from ..stream import chance
from .endpoint_bed import (
    ENOUGH,
    MAX_PAYLOAD_DWORDS,
    SEGMENT_COUNT,
    EndpointBed,
    anything,
    completion,
    some_dwords,
    write,
)


class Counted:
    """Count TLPs that were received and ended badly."""

    def __init__(self, dut: Any):
        self.dut = dut
        self.counts = dict.fromkeys(("malformed", "overflow", "nullified"), 0)
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            for name in self.counts:
                self.counts[name] += int(self.dut[name].value)


def spoiled(tlp: Tlp) -> list[int]:
    """Lanes of a TLP whose payload is not as long as its header says; each ends by itself."""
    lanes = to_segments(tlp)
    way = random.randrange(4)
    if way == 0:
        lanes[-1] = changed(lanes[-1], eop=0)
    elif way == 1:
        lanes[-1] = changed(lanes[-1], eop=0)
        lanes.append(changed(0, eop=1))
    elif way == 2 and len(lanes) > 1:
        lanes.pop()
        lanes[-1] = changed(lanes[-1], eop=1)
    else:
        lanes[-1] = changed(lanes[-1], empty=(field_of(lanes[-1], "empty") + 1) % 8)
    return lanes


@cocotb.test(timeout_time=1000, timeout_unit="us")
@cocotb.parametrize(client_stall=[0.0, 0.3])
async def what_is_taken_back_is_not_sent_and_costs_nothing(dut, client_stall):
    """Nullified TLPs between good ones, whole or given up before their end, on few credits."""
    bed = EndpointBed(dut, limits=ENOUGH, client_stall=client_stall, client_gap=client_stall)
    await bed.begin()
    good = 0
    for tlp in bed.mixed(600):
        if tlp.tlp_class == TlpClass.NON_POSTED or random.random() < 0.6:
            bed.hand_over(tlp)
            good += 1
        else:
            lanes = to_segments(tlp)[: random.randint(1, tlp.segments)]
            lanes[-1] = changed(lanes[-1], eop=1, nullified=1)
            source = bed.writes if tlp.tlp_class == TlpClass.POSTED else bed.answers
            source.send_lanes(lanes)
    await bed.drain()
    assert len(bed.sent) == good


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def what_is_wrong_is_counted_and_dropped(dut):
    """Malformed, without credits, nullified: each is counted once, and nothing else is lost."""
    is_stuck = False
    bed = EndpointBed(dut, request_stall=lambda: is_stuck)
    await bed.begin()
    counted = Counted(dut)
    for _ in range(20):
        bed.link.send(completion(some_dwords()))
        bed.link.send(write(some_dwords()).with_changes(nullified=True))
        bed.link.send(write(some_dwords()))
        wrong = to_segments(write(3))
        bed.link.send_lanes([changed(wrong[0], header__length=2)])
        bed.link.consume(TlpClass.POSTED, 1, 1)
        await ClockCycles(dut.clk, 40)
    await bed.drain()
    is_stuck = True
    bed.link.source.read_credits()
    for _ in range(bed.link.source.available(TlpClass.POSTED).headers):
        bed.link.send(write(1))
    await ClockCycles(dut.clk, 200)
    bed.cheats = True
    for _ in range(5):
        bed.link.send(write(some_dwords()), cheat=True)
    await ClockCycles(dut.clk, 200)
    is_stuck = False
    await bed.drain()
    assert counted.counts == {"malformed": 20, "overflow": 5, "nullified": 20}


@cocotb.test(timeout_time=3000, timeout_unit="us")
@cocotb.parametrize(client_stall=[0.0, 0.3])
async def the_link_goes_down_and_up_in_the_middle_of_everything(dut, client_stall):
    """Forget what was there, hold up no client, and begin the next link as new."""
    bed = EndpointBed(dut, limits=ENOUGH, client_stall=client_stall, client_gap=client_stall)
    await bed.begin()
    for _ in range(25):
        for tlp in bed.mixed(100):
            bed.hand_over(tlp)
            bed.link.send(anything())
        await ClockCycles(dut.clk, random.randint(5, 600))
        await bed.interrupt(random.choice([4, 5, 6, 40, 1000]))
    await bed.drain(60000)
    for _ in range(2):
        before = len(bed.sent), len(bed.handed_on)
        for tlp in bed.mixed(100):
            bed.hand_over(tlp)
            bed.link.send(tlp)
        await bed.drain()
        assert (len(bed.sent), len(bed.handed_on)) == (before[0] + 100, before[1] + 100)


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def without_a_link_clients_are_not_held_up(dut):
    """Everything is taken at the full rate, and dropped."""
    bed = EndpointBed(dut)
    await bed.begin()
    bed.link.link(False)
    await ClockCycles(dut.clk, 4)
    for source in (bed.writes, bed.answers):
        source.restart()
    for tlp in bed.mixed(300):
        bed.hand_over(tlp)
    while not bed.is_idle:
        await ClockCycles(dut.clk, 1)
    for source in (bed.writes, bed.answers):
        assert source.span == source.beats
    bed.link.link()
    await ClockCycles(dut.clk, 20)
    for tlp in bed.mixed(100):
        bed.hand_over(tlp)
    await bed.drain()
    assert len(bed.sent) == 100


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def reset_in_the_middle_leaves_nothing(dut):
    """After a reset within TLPs of both ways, it is as new."""
    bed = EndpointBed(dut)
    await bed.begin()
    for tlp in bed.mixed(200):
        bed.hand_over(tlp)
        bed.link.send(tlp)
    await ClockCycles(dut.clk, 100)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 1)
    bed.forget()
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    bed.sent.clear()
    bed.handed_on.clear()
    await ClockCycles(dut.clk, 6)
    bed.link.link()
    await ClockCycles(dut.clk, 12)
    for tlp in bed.mixed(200):
        bed.hand_over(tlp)
        bed.link.send(tlp)
    await bed.drain()
    assert (len(bed.sent), len(bed.handed_on)) == (200, 200)


@cocotb.test(timeout_time=3000, timeout_unit="us")
@cocotb.parametrize(most=[8, MAX_PAYLOAD_DWORDS])
async def no_receive_credit_is_ever_lost(dut, most):
    """However TLPs end, and links: when all is quiet the partner may send what it might at first.

    Each round is a mix of TLPs that end well or badly; then the link fails in the middle of it,
    or all posted credits are used and TLPs for which there are none follow, whole and spoiled.
    """
    stall = 0.0
    bed = EndpointBed(
        dut,
        request_stall=lambda: random.random() < stall,
        completion_stall=lambda: random.random() < stall / 2,
        gap=chance(0.1),
    )
    await bed.begin()
    advertised = counts(int(dut.port__rx_credits.value))
    counted = Counted(dut)
    for number in range(9):
        stall = random.choice([0.0, 0.3, 0.9])
        for _ in range(80):
            tlp = random.choice([anything(), write(some_dwords(most)), completion(most)])
            ending = random.randrange(6)
            if ending == 0:
                bed.link.send(tlp.with_changes(nullified=True))
            elif ending == 1:
                bed.send_spoiled(tlp, spoiled(tlp))
            else:
                bed.link.send(tlp)
        if number % 3 == 2:
            await ClockCycles(dut.clk, random.randint(20, 300))
            await bed.interrupt(random.randint(4, 40))
        stall = 0.2
        await bed.drain()
        if number % 3 == 1:
            stall = 1.0
            for _ in range(advertised[TlpClass.POSTED].headers):
                bed.link.send(write(1))
            await ClockCycles(dut.clk, 200)
            bed.cheats = True
            for _ in range(20):
                bed.link.send_lanes(random.choice([to_segments, spoiled])(write(some_dwords(most))))
                bed.link.send(completion(some_dwords(most)).with_changes(nullified=True))
            while not bed.link.idle:
                await ClockCycles(dut.clk, 10)
            bed.cheats = False
            stall = 0.2
            await bed.drain()
        for c in TlpClass:
            assert bed.link.source.available(c) == advertised[c], c.name
    assert all(counted.counts.values()), counted.counts


@cocotb.test(timeout_time=1000, timeout_unit="us")
@cocotb.parametrize(slow=[TlpClass.POSTED, TlpClass.COMPLETION])
async def what_is_longer_than_the_longest_is_dropped_and_stops_nothing(dut, slow):
    """Let a client go on and on in a TLP, and take it back at last: it loses that only."""
    bed = EndpointBed(dut)
    await bed.begin()
    make = write if slow == TlpClass.POSTED else completion
    source = bed.writes if slow == TlpClass.POSTED else bed.answers
    longest = MAX_PAYLOAD_DWORDS // 8 + SEGMENT_COUNT
    for extra in (1, SEGMENT_COUNT, 12 * SEGMENT_COUNT, 100):
        bed.hand_over(make(some_dwords()))
        body = [changed(0, empty=0)] * (longest + extra)
        first = changed(to_segments(make(1))[0], eop=0)
        source.send_lanes([first, *body, changed(0, eop=1, nullified=1)])
        bed.hand_over(make(some_dwords()))
    good = bed.mixed(100)
    for tlp in good:
        bed.hand_over(tlp)
    await bed.drain()
    assert len(bed.sent) == len(good) + 8
