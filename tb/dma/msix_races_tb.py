"""cocotb testbench of hdl.dma.Msix: two things at once, at each distance in cycles."""

import cocotb
from cocotb.triggers import ClockCycles

from ..stream import chance
from ..stream.stream_port import never
from .msix_bed import ROUND, SOME, TICK_CYCLES, VECTORS, MsixBed, begin, entry_of

#: Distances in cycles; fewer where a round takes long.
DELAYS = range(0, 24, 1 if VECTORS < 100 else 3)


def _count(bed: MsixBed, vector: int) -> int:
    return sum(message[0] == vector for message in bed.messages)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def race_of_event_and_mask(dut):
    """Mask or unmask a vector around an event: one message, when it may be."""
    bed = await begin(dut, 0, VECTORS - 1)
    vector = VECTORS - 1
    for masked in (True, False):
        for delay in DELAYS:
            await bed.mask(vector, not masked)
            before = _count(bed, vector)
            access = cocotb.start_soon(bed.mask(vector, masked))
            await ClockCycles(dut.clk, delay) if delay else None
            bed.send(vector)
            await access
            await bed.idle(30 + ROUND)
            if not masked:
                assert _count(bed, vector) == before + 1
            elif _count(bed, vector) == before:
                assert await bed.read_pending() == 1 << vector
            await bed.mask(vector, False)
            await bed.idle(20)
            assert _count(bed, vector) == before + 1, (masked, delay)
    await bed.finish()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def race_of_event_and_rewritten_entry(dut):
    """Rewrite an entry, unmasked, by 8 bytes, around an event: a message of one time."""
    bed = await begin(dut, VECTORS - 1)
    vector = VECTORS - 1
    seen = set()
    for delay in DELAYS:
        words = entry_of(vector, delay + 1).words()
        before = len(bed.messages)
        access = cocotb.start_soon(bed.write_entry(vector, (0, 1), words[:2]))
        await ClockCycles(dut.clk, delay) if delay else None
        bed.send(vector)
        await access
        await bed.idle(30 + ROUND)
        ((_, data, _),) = bed.messages[before:]
        seen.add(bed.written[-1][0] >> 32 & 0xFF == delay + 1)
        await bed.write_entry(vector, (2, 3), words[2:])
        assert bed.messages[before:] == [(vector, data, bed.messages[-1][2])]
    assert seen == {True, False}, "messages of both the old and the new entry were to be seen"
    await bed.finish()


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.6])
async def race_of_event_and_cleared_pending_bit(dut, stall):
    """Two events 1 to 20 cycles apart: the second is never lost, wherever the first one is."""
    bed = await begin(dut, VECTORS - 1)
    bed.pause = chance(stall)
    vector = VECTORS - 1
    shared = set()
    for gap in list(range(1, 21)) * (3 if stall else 1):
        before = len(bed.messages)
        bed.send(vector)
        await ClockCycles(dut.clk, gap)
        bed.send(vector)
        await bed.idle(30 + ROUND)
        messages = len(bed.messages) - before
        assert messages in (1, 2)
        shared.add(messages)
    assert shared == {1, 2}
    await bed.finish()


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(gate=["function_mask", "enable", "bus_master", "link_up"])
async def race_of_gate_and_message(dut, gate):
    """Close 0 to 15 cycles after events: what is offered stays, no more begins."""
    some = SOME[:3]
    bed = await begin(dut, *some)
    closed = int(gate == "function_mask")
    for delay in range(16):
        bed.pause = lambda: True
        before = len(bed.messages)
        bed.send(*some)
        await ClockCycles(dut.clk, delay + 1)
        bed.set(**{gate: closed})
        await ClockCycles(dut.clk, 40)
        begun = len(bed.messages) - before
        assert begun <= 1, "the memory takes nothing"
        bed.pause = never
        await ClockCycles(dut.clk, 60 + ROUND)
        assert len(bed.messages) - before == begun
        bed.set(**{gate: 1 - closed})
        await bed.idle(20)
        assert sorted(message[0] for message in bed.messages[before:]) == some
    await bed.finish()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def race_of_message_and_end_of_hold(dut):
    """End a hold by events in each cycle of the timer's round: the next hold is a whole one."""
    bed = await begin(dut, VECTORS - 1)
    vector = VECTORS - 1
    # Of other sizes, holds are too short for a message in them, or the round is too long.
    if VECTORS == 64:
        await bed.moderate(vector, 2, 2)
        for distance in range(VECTORS):
            await ClockCycles(dut.clk, 4 * VECTORS - bed.cycle % (4 * VECTORS))
            bed.send(vector)
            await ClockCycles(dut.clk, 2 * TICK_CYCLES + 16 + distance)
            bed.send(vector, vector)
            await ClockCycles(dut.clk, 14)
            bed.send(vector)
    await bed.finish()
