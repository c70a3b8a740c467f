"""cocotb testbench of hdl.pcie.Switch: links that fail, resets, and ports that are stuck.

Environment: ``PORTS``; the switch has one segment a beat.
"""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.pcie import Kind, TlpClass

from .fault_bed import FaultBed
from .flows import completion, message, read, write
from .switch_bed import UNEVEN, starve_at_random
from .switch_port import Credits

PORTS = int(os.environ["PORTS"])
BRIDGE_CONTROL, SECONDARY_RESET = 0x3C, 1 << 22
WINDOW, BUSES = 0x20, 0x18
UNSUPPORTED_REQUEST = 1
LEAST = [Credits(1, 32), Credits(1, 2), Credits(1, 32)]


async def make_bed(dut, limits=None, **options) -> FaultBed:
    """Bed with all links up, configured as software would."""
    bed = FaultBed(dut, PORTS, limits=limits, **options)
    await bed.start()
    await bed.configure(bed.tree())
    for number in range(PORTS):
        bed.taken(number)
    return bed


def send_all_kinds(bed: FaultBed, sources, targets, count: int, dwords: int = 16) -> None:
    """Queue TLPs of all classes from each source to each target but itself."""
    for source in sources:
        for target in targets:
            for _ in range(count if source != target else 0):
                for make in (write, read, completion):
                    bed.send(source, make(source, target, dwords))


async def begin_flow(bed: FaultBed, flow: tuple[int, int], count: int = 300) -> None:
    """Begin to send writes without a pause, and wait until they come."""
    source, target = flow
    for number in flow:
        bed.ports[number].source.restart()
        bed.ports[number].sink.restart()
    for _ in range(count):
        bed.send(source, write(source, target, 64))
    while bed.ports[target].sink.beats < 50:
        await ClockCycles(bed.dut.clk, 1)


def check_flow(bed: FaultBed, target: int) -> None:
    """All that came since the flow began came without a pause."""
    sink = bed.ports[target].sink
    assert sink.span == sink.segments, f"{sink.span} cycles for {sink.segments} segments"


def plenty_but(stuck: int):
    """Partners with as many credits as there are, but for one with the least."""
    return lambda number: LEAST if number == stuck else [Credits(127, 2047)] * 3


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(victim=range(1, PORTS))
async def a_link_fails_while_all_wait_for_it(dut, victim):
    """Answer all requests, drop all else; others notice nothing."""
    others = [number for number in range(PORTS) if number != victim]
    bed = await make_bed(dut, limits=plenty_but(victim))
    bed.ports[victim].starve(*TlpClass)
    send_all_kinds(bed, others, [victim], 10)
    await ClockCycles(dut.clk, 600)
    bed.taken(victim)
    await begin_flow(bed, (0, others[1]))
    await drop_and_count(bed, victim, others)
    await bed.settle()
    check_flow(bed, others[1])
    for number in others:
        answers = [tlp for tlp in bed.taken(number) if tlp.is_completion]
        assert len(answers) >= 8, "the test must find requests that wait"
        assert {tlp.status for tlp in answers} == {UNSUPPORTED_REQUEST}

    # What is sent to it now is answered at once; after it is back nothing old comes.
    send_all_kinds(bed, others, [victim], 5)
    await bed.settle()
    assert all(len(bed.taken(number)) == 5 for number in others)
    await bed.lift(victim)
    bed.ports[victim].feed()
    await ClockCycles(dut.clk, 300)
    assert not bed.taken(victim)
    send_all_kinds(bed, range(PORTS), range(PORTS), 10)
    await bed.drain()
    assert len(bed.taken(victim)) == 60


async def drop_and_count(bed: FaultBed, victim: int, others: list[int]) -> None:
    """Drop a link; all requests that waited for it are to be answered."""
    waiting = bed.waiting(victim)
    assert {tlp.tlp_class for tlp in waiting} == set(TlpClass)
    await bed.drop(victim)
    answers = [tlp for port in others for tlp in bed.waiting(port) if tlp.is_completion]
    requests = [tlp for tlp in waiting if tlp.tlp_class == TlpClass.NON_POSTED]
    assert len(answers) == len(requests)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_flow_without_event_has_no_pause(dut):
    """Measure what the flow beside a failing link is compared with."""
    bed = await make_bed(dut, limits=plenty_but(-1))
    for target in range(1, PORTS):
        await begin_flow(bed, (0, target))
        await bed.settle()
        check_flow(bed, target)
        assert bed.ports[target].sink.span == 8 * 300


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def links_fail_at_random(dut):
    """Also in the middle of TLPs, in both directions, and several at once."""
    bed = await make_bed(
        dut,
        limits=lambda _: [Credits(7, 64), Credits(3, 8), Credits(7, 64)],
        **UNEVEN,
    )
    cut_in = cut_out = 0
    for _ in range(60):
        victims = random.sample(range(1, PORTS), random.choice([1, 1, 2]))
        send_all_kinds(bed, range(PORTS), range(PORTS), 6, random.choice([1, 33, 128, 128]))
        starving = starve_at_random(bed.ports, dut)
        await ClockCycles(dut.clk, random.randint(1, 500))
        starving.cancel()
        for victim in victims:
            cut_in += bed.ports[victim].source.is_driving
            cut_out += bed.ports[victim].sink.reader.is_open
        await bed.drop(*victims, certain=False)
        for port in bed.ports:
            port.feed()
        await bed.calm()
        await bed.lift(*victims)
        send_all_kinds(bed, range(PORTS), range(PORTS), 1)
        await bed.drain()
    assert cut_in >= 5 and cut_out >= 5, f"links failed within TLPs: {cut_in} in, {cut_out} out"


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_link_is_back_at_once(dut):
    """Each request that waits is sent or answered, one of the two, however short it was down."""
    bed = await make_bed(dut, limits=lambda number: LEAST if number else [Credits(127, 2047)] * 3)
    for cycles in (0, 1, 2, 5, 20, 60):
        for victim in range(1, PORTS):
            others = [number for number in range(PORTS) if number != victim]
            bed.ports[victim].starve(*TlpClass)
            send_all_kinds(bed, others, [victim], 20, random.choice([1, 16]))
            await ClockCycles(dut.clk, 400)
            for number in range(PORTS):
                bed.taken(number)
            waiting = await bed.flap(victim, cycles)
            assert len(waiting) > 100
            bed.ports[victim].feed()
            await bed.calm(most_lost=len(waiting))
            sent = [tlp for tlp in bed.taken(victim) if tlp.tlp_class == TlpClass.NON_POSTED]
            answered = sum(len(bed.taken(number)) for number in others)
            requests = [tlp for tlp in waiting if tlp.tlp_class == TlpClass.NON_POSTED]
            assert len(sent) + answered == len(requests)
            send_all_kinds(bed, range(PORTS), range(PORTS), 2)
            await bed.drain()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def secondary_bus_reset(dut):
    """Hold one port in reset by a configuration write, and let it go."""
    bed = await make_bed(dut)
    for victim in range(1, PORTS):
        others = [number for number in range(PORTS) if number != victim]
        bed.ports[victim].starve(*TlpClass)
        send_all_kinds(bed, others, [victim], 70, 1)  # more than the partner has credits for
        await ClockCycles(dut.clk, 3000)
        await begin_flow(bed, (others[1], 0))
        bed.write(victim, BRIDGE_CONTROL, SECONDARY_RESET)
        await bed.until(f"ports__{victim}__hot_reset", 1)
        assert bed.give_up(victim), "the test must find requests that wait"
        # The partner goes on to send until it notices: none of that comes through.
        send_all_kinds(bed, [victim], others, 10, 1)
        await ClockCycles(dut.clk, 100)
        await bed.drop(victim)
        bed.ports[victim].feed()
        await bed.settle()
        check_flow(bed, 0)
        for number in range(PORTS):
            assert int(dut[f"ports__{number}__hot_reset"].value) == (number == victim)
            bed.taken(number)

        send_all_kinds(bed, others, [victim], 5)
        await bed.settle()
        assert all(len(bed.taken(number)) == 5 for number in others)
        bed.write(victim, BRIDGE_CONTROL, 0)
        await bed.until(f"ports__{victim}__hot_reset", 0)
        await bed.lift(victim)
        send_all_kinds(bed, range(PORTS), range(PORTS), 10)
        await bed.drain()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def the_upstream_link_fails(dut):
    """All below is reset, and all configuration is gone; then all begins anew."""
    bed = await make_bed(dut, limits=lambda _: [Credits(7, 64), Credits(3, 8), Credits(7, 64)])
    below = range(1, PORTS)
    for _ in range(6):
        for _ in range(4):
            send_all_kinds(bed, range(PORTS), range(PORTS), 3, random.choice([1, 16, 33]))
            bed.send(0, message(Kind.MESSAGE_BROADCAST, 0x7F))
        await ClockCycles(dut.clk, random.randint(50, 500))
        await bed.drop(0, certain=False)
        for number in below:
            await bed.until(f"ports__{number}__hot_reset", 1, cycles=10)
        await ClockCycles(dut.clk, 4)  # the last beat may come
        for number in below:
            bed.give_up(number, certain=False)
        await ClockCycles(dut.clk, random.randint(4, 60))
        await bed.drop(*below, certain=False)
        await bed.calm()
        for number in range(PORTS):
            await bed.until(f"ports__{number}__rx_drained", 1, cycles=1)
            bed.taken(number)

        await bed.lift(0)
        await bed.until("ports__1__hot_reset", 0)
        await bed.lift(*below)
        bed.send(0, write(0, 1, 4))
        bed.send(0, read(0, 1, 4))
        assert await bed.read(0, BUSES) == 0
        assert await bed.read(0, WINDOW) == 0x0000_FFF0
        refused = [tlp for tlp in bed.taken(0) if tlp.status == UNSUPPORTED_REQUEST]
        assert len(refused) == 1, "windows must be closed"
        await bed.configure(bed.tree())
        send_all_kinds(bed, range(PORTS), range(PORTS), 10)
        await bed.drain()
        assert all(len(bed.taken(number)) >= 60 for number in below)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def stuck_requests_hold_up_nothing_else(dut):
    """With requests stuck everywhere and no credits for more, all else still moves."""
    bed = await make_bed(dut, limits=lambda _: [Credits(64, 512), Credits(1, 2), Credits(64, 512)])
    for port in bed.ports:
        port.starve(TlpClass.NON_POSTED)
    for source in range(PORTS):
        for target in range(PORTS):
            for _ in range(80 if source != target else 0):
                bed.send(source, read(source, target, 1))
    await ClockCycles(dut.clk, 2000)
    for port in bed.ports:
        port.source.read_credits()
        assert port.source.available(TlpClass.NON_POSTED).headers == 0, "the queues must be full"
        assert not port.idle
    for number in range(PORTS):
        bed.taken(number)
    for source in range(PORTS):
        for target in range(PORTS):
            for _ in range(60 if source != target else 0):
                bed.send(source, write(source, target, 16))
                bed.send(source, completion(source, target, 16))
    await ClockCycles(dut.clk, 3000)
    for number in range(PORTS):
        taken = bed.taken(number)
        assert len(taken) == 2 * 60 * (PORTS - 1)
    assert {tlp.tlp_class for _, tlp in bed.order.waiting} == {TlpClass.NON_POSTED}
    await bed.drain()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_in_the_middle(dut):
    """Nothing of before comes after it, and all works as after the first."""
    bed = await make_bed(dut, sink_pause=lambda: random.random() < 0.2)
    for _ in range(10):
        send_all_kinds(bed, range(PORTS), range(PORTS), 10, random.choice([1, 16, 33, 128]))
        if random.random() < 0.5:
            random.choice(bed.ports).starve(*TlpClass)
        await ClockCycles(dut.clk, random.randint(10, 600))
        await bed.reset()
        for port in bed.ports:
            port.feed()
        assert await bed.read(0, BUSES) == 0
        await bed.configure(bed.tree())
        send_all_kinds(bed, range(PORTS), range(PORTS), 5)
        await bed.drain()
