"""cocotb testbench of the test library: drivers of both kinds, on ports joined by tb.pcie.Wire."""

import os
import random
import time

import cocotb
from cocotb.triggers import ClockCycles

from sim.pcie.tlp import Kind, Tlp, TlpClass

from ..stream import chance, start
from . import Credits, SwitchPort, TlpSink, changed, random_tlp, to_segments

SEGMENTS = int(os.environ["SEGMENTS"])

WRITE = Tlp(kind=Kind.MEMORY, data=bytes(range(64)), length=16, first_be=15, last_be=15)
READ = Tlp(kind=Kind.MEMORY, length=1024, first_be=15, last_be=15, address=0x1000)


async def attach(dut, **options) -> list[SwitchPort]:
    """Make both ports, release reset, and let the links come up."""
    ports = [SwitchPort(dut, f"ports__{number}", SEGMENTS, **options) for number in range(2)]
    await start(dut)
    for port in ports:
        port.link()
    return ports


async def exchange(ports: list[SwitchPort], count: int) -> None:
    """Send random TLPs both ways, and check that they arrive and nothing else does."""
    sent = [[random_tlp() for _ in range(count)] for _ in ports]
    for port, tlps in zip(ports, sent, strict=True):
        for tlp in tlps:
            port.send(tlp)
    for port, tlps in zip(reversed(ports), sent, strict=True):
        arrived = [await port.received.get() for _ in tlps]
        for flow in TlpClass:  # between classes, the sender may change the order
            assert [tlp for tlp in arrived if tlp.tlp_class == flow] == [
                tlp for tlp in tlps if tlp.tlp_class == flow
            ]
        assert port.received.empty()


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(stall=[0.0, 0.4], scale=[0, 2], aligned=[False, True])
async def every_kind_passes(dut, stall, scale, aligned):
    """Get on one side what the other sends; credits keep in step, and all come home."""
    ports = await attach(
        dut,
        scale=scale,
        aligned=aligned,
        source_pause=chance(stall),
        gap=chance(stall),
        sink_pause=chance(stall),
        return_delay=lambda: random.randint(0, 40) if stall else 0,
    )
    begun = time.monotonic()
    await exchange(ports, 400)
    dut._log.info("%.0f TLPs a second", 800 / (time.monotonic() - begun))
    await ClockCycles(dut.clk, 5)
    assert all(port.is_whole for port in ports)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def lanes_are_packed(dut):
    """Without pauses, no lane is idle while TLPs wait."""
    near, far = await attach(dut, limits=[Credits(128, 1024)] * 3)
    for _ in range(20):
        near.send(WRITE)
    for _ in range(20):
        assert await far.received.get() == WRITE
    assert near.source.segments == 40
    assert near.source.beats == near.source.span == 40 // SEGMENTS
    assert far.sink.span == 40 // SEGMENTS


@cocotb.test(timeout_time=100, timeout_unit="us")
async def starved_class_waits(dut):
    """Without credits of a class its TLPs wait, and go when it is fed."""
    near, far = await attach(dut, limits=[Credits(8, 64)] * 3)
    far.starve(TlpClass.NON_POSTED)
    for _ in range(20):
        near.send(READ)
    await ClockCycles(dut.clk, 200)
    # As many as a whole beat needs, since the wire does not divide beats.
    assert far.received.qsize() == 8
    far.feed()
    for _ in range(20):
        assert await far.received.get() == READ


@cocotb.test(timeout_time=100, timeout_unit="us")
async def the_sender_keeps_the_order_that_it_must(dut):
    """Without credits to send reads, posted writes pass them; completions do not pass writes."""
    near, far = await attach(dut)
    far.starve(*TlpClass)
    answer = Tlp(kind=Kind.COMPLETION, byte_count=4)
    for _ in range(200):
        near.send(READ)
        near.send(answer)
    near.send(WRITE)
    near.send(answer.with_changes(tag=1))
    await ClockCycles(dut.clk, 300)
    available = [near.source.available(flow).headers for flow in TlpClass]
    assert available[TlpClass.NON_POSTED] == 0
    assert available[TlpClass.POSTED] < 32, "the write did not pass"


@cocotb.test(timeout_time=100, timeout_unit="us")
async def link_down_begins_again(dut):
    """After going down in mid-traffic, a link has forgotten all, and works again."""
    ports = await attach(dut)
    await exchange(ports, 20)
    for _ in range(50):
        ports[0].send(WRITE)
    await ClockCycles(dut.clk, 20)
    for port in ports:
        port.link(False)
    await ClockCycles(dut.clk, 400)
    for port in ports:
        while not port.received.empty():
            port.received.get_nowait()
        port.link()
    await exchange(ports, 20)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def broken_rules_are_found(dut):
    """Each rule of beats, broken, fails the sink that watches."""
    first, middle, last = to_segments(WRITE.with_changes(data=bytes(96), length=24))
    broken: dict[str, list[int | None]] = {
        "without sop": [middle],
        "within a TLP": [first, first],
        "DW behind a header": [first, last],
        "DW behind": [first, middle, changed(last, empty=1)],
    }
    if SEGMENTS > 1:
        broken["is idle within"] = [first, None, middle, last]
    near = SwitchPort(dut, "ports__0", SEGMENTS)
    await start(dut)
    near.link()
    sink = TlpSink(dut, "ports__0__rx", SEGMENTS, running=False)
    for message, lanes in broken.items():
        sink.flush()
        near.send_lanes([*lanes, *[None] * (-len(lanes) % SEGMENTS)])
        try:
            for _ in range(30):
                await ClockCycles(dut.clk, 1)
                sink.step()
        except AssertionError as error:
            assert message in str(error)
        else:
            raise AssertionError(f"not found: {message}")
        await ClockCycles(dut.clk, 10)


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(scale=[0, 1])
async def a_sender_without_credits_is_found(dut, scale):
    """One TLP more than there are credits for, in headers or in data, fails the test."""
    _, far = await attach(dut, limits=[Credits(8, 16)] * 3, scale=scale)
    far.starve(*TlpClass)
    for tlp, most in ((READ, 8), (WRITE, 4)):
        for _ in range(most):
            far.take_credits(tlp)
        try:
            far.take_credits(tlp)
        except AssertionError as error:
            assert "credit" in str(error)
        else:
            raise AssertionError("not found")


@cocotb.test(timeout_time=100, timeout_unit="us")
async def credits_without_limit(dut):
    """With infinite credits, as many pass as there are."""
    near, far = await attach(dut, infinite=0b111111, limits=[Credits(0, 0)] * 3)
    for _ in range(100):
        near.send(WRITE)
    for _ in range(100):
        assert await far.received.get() == WRITE
