"""cocotb testbench of hdl.dma.Completions."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.dma import ReadEnd

from ..pcie.segments import changed, to_segments
from .completion_campaign import attach, campaign
from .completion_makers import REQUESTER, completions_of, every_boundary, random_boundaries
from .completions_bed import (
    SEGMENT_COUNT,
    SLOT_BYTES,
    TAG_COUNT,
    random_read,
)
from .host_completions import HostMemory

# With one segment a beat there is no idle lane within one.
CUTS = ["sop", "orphans", *(["idle"] if SEGMENT_COUNT > 1 else [])]
# A completion that goes on behind a whole beat, whatever its address.
CUTS += ["failed"] if SLOT_BYTES > 64 * SEGMENT_COUNT else []
READS = int(os.environ.get("READS", "600"))


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(pause=[0.0, 0.4], gap=[0.0, 0.4])
async def reads_get_what_was_sent(dut, pause, gap):
    """Completions split and shuffled in every way bring each read its bytes."""
    bed = await attach(dut, pause=pause, gap=gap)
    await campaign(bed, reads=READS, spoil=0.0, fails=0.0)
    assert all(ended.end == ReadEnd.OK for ended in bed.told)
    assert not bed.unexpected


@cocotb.test(timeout_time=4000, timeout_unit="us")
@cocotb.parametrize(pause=[0.0, 0.3], spoil=[0.05, 0.4])
async def wrong_completions_hurt_no_other_read(dut, pause, spoil):
    """Each read ends as the model says, whatever completions are wrong, late or come twice."""
    bed = await attach(dut, pause=pause, gap=pause)
    await campaign(bed, reads=READS, spoil=spoil, fails=spoil / 8)
    assert {ended.end for ended in bed.told} >= {ReadEnd.OK, ReadEnd.ABORT, ReadEnd.UNSUPPORTED}


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(gap=[0.0, 0.3])
async def reads_that_fail_meanwhile_disturb_no_other(dut, gap):
    """Words of failures come in any cycle, also within the completions of other reads."""
    bed = await attach(dut, gap=gap)
    victims = range(TAG_COUNT - 2, TAG_COUNT)
    for tag in victims:
        await bed.ask(tag, 0, 64)
        bed.model.fail(tag, ReadEnd.TIMEOUT)  # from here on they are followed here
        bed.victims[tag] = 1

    async def fail_at_random():
        while True:
            await ClockCycles(dut.clk, random.choice([1, 1, 2, 3, 10, 30]))
            if bed.fail.idle:
                # After the first time nothing happens.
                bed.fail.send_value(bed.failure(random.choice(victims), ReadEnd.TIMEOUT))

    failing = cocotb.start_soon(fail_at_random())
    await campaign(bed, reads=READS // 2, spoil=0.0, fails=0.0, tags=range(TAG_COUNT - 2))
    failing.cancel()
    await bed.drain()
    assert set(bed.victims.values()) == {0}
    assert all(ended.end == ReadEnd.OK for ended in bed.told)


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(choose=[every_boundary, lambda boundaries: []])
async def every_alignment_at_both_ends(dut, choose):
    """Every first and last byte of a DW, at every DW of a bank: all bytes are where they belong."""
    bed = await attach(dut)
    ends = [(a, b) for a in range(0, 40) for b in (a, a + 1, a + 2, a + 3, 63, 64, 65, 67, 128)]
    tag = 0
    for begin, end in ends:
        if not begin <= end <= SLOT_BYTES:
            continue
        while not bed.is_free(tag):
            await RisingEdge(dut.clk)
        await bed.ask(tag, begin, end - begin)
        await bed.settle()
        for tlp in completions_of(tag, begin, end - begin, choose=choose):
            bed.send(tlp)
        tag = (tag + 1) % TAG_COUNT
    await bed.drain()
    assert all(ended.end == ReadEnd.OK for ended in bed.told)


@cocotb.test(timeout_time=1000, timeout_unit="us")
@cocotb.parametrize(rcb_128=[False, True], split=[False, True])
async def a_root_complexes_completions_bring_its_memory(dut, rcb_128, split):
    """Each read gets its bytes, however cocotbext-pcie splits them at any Max_Payload_Size."""
    bed = await attach(dut)
    memory = random.randbytes(0x4000)
    for max_payload in range(6):
        host = HostMemory(memory, REQUESTER, max_payload=max_payload, rcb_128=rcb_128, split=split)
        for _ in range(30):
            tag = random.randrange(TAG_COUNT)
            while not bed.is_free(tag):
                await RisingEdge(dut.clk)
            address, length = random_read()
            address %= len(memory)
            await bed.ask(tag, address, length)
            await bed.settle()
            for tlp in host.read(tag, address, length):
                bed.send(tlp)
    await bed.drain()
    assert len(bed.told) == 180
    for ended in bed.told:
        assert ended.end == ReadEnd.OK
        assert ended.data == memory[ended.address : ended.address + len(ended.data)]


@cocotb.test(timeout_time=100, timeout_unit="us")
async def four_kilobytes_have_byte_count_0(dut):
    """Byte Count 0 means 4096; each end of a slot's row holds its byte."""
    bed = await attach(dut)
    if SLOT_BYTES < 4096:
        # Then 0 bytes are never what is missing.
        await bed.ask(0, 0, SLOT_BYTES)
        await bed.settle()
        first, *_ = completions_of(0, 0, SLOT_BYTES)
        bed.send(first.with_changes(byte_count=0))
        await bed.drain()
        assert [ended.end for ended in bed.told] == [ReadEnd.ABORT]
        return
    await bed.ask(0, 0x7000, 4096)
    await bed.settle()
    (whole,) = completions_of(0, 0x7000, 4096, choose=lambda boundaries: [])
    assert (whole.byte_count, whole.length) == (0, 1024)
    bed.send(whole)
    await bed.drain()
    assert [ended.end for ended in bed.told] == [ReadEnd.OK]


@cocotb.test(timeout_time=100, timeout_unit="us")
async def flushes_are_answered_as_one_byte(dut):
    """Byte count 1, one DW that means nothing; whatever lower address bits 1:0 say."""
    bed = await attach(dut)
    for tag, low in enumerate([0, 1, 2, 3]):
        await bed.ask(tag, 0x1237C, 0)
        await bed.settle()
        (answer,) = completions_of(tag, 0x1237C, 0)
        assert (answer.byte_count, answer.length) == (1, 1)
        bed.send(answer.with_changes(lower_address=0x7C | low))
    await bed.drain()
    assert [ended.end for ended in bed.told] == [ReadEnd.OK] * 4
    await ClockCycles(dut.clk, 20)
    await bed.ask(0, 0x1237C, 0)
    await bed.settle()
    (answer,) = completions_of(0, 0x1237C, 0)
    bed.send(answer.with_changes(lower_address=0x78))
    await bed.drain()
    assert bed.told[-1].end == ReadEnd.ABORT


@cocotb.test(timeout_time=100, timeout_unit="us")
async def a_nullified_completion_has_not_come(dut):
    """If the sender takes one back and sends it again, it counts once, also if it is the last."""
    bed = await attach(dut, gap=0.2)
    for round_number in range(8):
        while not bed.is_free(round_number % 2):
            await RisingEdge(dut.clk)
        length = SLOT_BYTES if round_number < 4 else 1
        await bed.ask(round_number % 2, 0, length)
        await bed.settle()
        for tlp in completions_of(round_number % 2, 0, length, choose=random_boundaries):
            bed.send(tlp.with_changes(nullified=True, data=random.randbytes(4 * tlp.length)))
            bed.send(tlp)
    await bed.drain()
    assert [ended.end for ended in bed.told] == [ReadEnd.OK] * 8
    assert not bed.unexpected


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(cut=CUTS)
async def a_completion_that_is_cut_off_ends_nothing(dut, cut):
    """No eop, no sop, or a read that fails in the middle of a completion: the next is not hurt."""
    bed = await attach(dut)
    for shift in range(8):
        while not (bed.is_free(0) and bed.is_free(1)):
            await RisingEdge(dut.clk)
        begin = 4 * shift
        await bed.ask(0, begin, SLOT_BYTES - begin)
        await bed.ask(1, begin, SLOT_BYTES - begin)
        await bed.settle()
        (broken,) = completions_of(0, begin, SLOT_BYTES - begin, choose=lambda boundaries: [])
        (good,) = completions_of(1, begin, SLOT_BYTES - begin, choose=lambda boundaries: [])
        segments: list[int | None] = [*to_segments(broken)]
        kept = random.randint(1, len(segments) - 1)
        if cut == "failed":
            # An idle lane would cut it off before.
            kept = max(SEGMENT_COUNT, kept // SEGMENT_COUNT * SEGMENT_COUNT)
        if cut == "failed":
            bed.source.send_lanes(segments[:kept])
            await ClockCycles(dut.clk, 20)
            bed.fail_read(0, ReadEnd.TIMEOUT)
            await ClockCycles(dut.clk, random.randint(1, 20))
            bed.source.send_lanes(segments[kept:])
            bed.model.unexpected += 1  # what comes too late
        elif cut == "orphans":
            bed.source.send_lanes([*segments[kept:]])
        else:
            bed.source.send_lanes(segments[:kept] + [None] * (cut == "idle"))
            if cut == "idle":
                bed.source.send_lanes(segments[kept:])
        bed.send(good)
        await bed.drain()
        if cut != "failed":
            bed.send(broken)  # it comes again, whole
            await bed.drain()
    ends = [ended.end for ended in bed.told]
    assert ends == ([ReadEnd.TIMEOUT, ReadEnd.OK] if cut == "failed" else [ReadEnd.OK] * 2) * 8


@cocotb.test(timeout_time=100, timeout_unit="us")
async def more_segments_than_the_header_says_are_not_written(dut):
    """One that is longer ends its read with ABORT and leaves the next slots alone."""
    bed = await attach(dut)
    for tag in range(1, 3):
        await bed.ask(tag, 0, SLOT_BYTES)
    await bed.ask(0, SLOT_BYTES - 64, 64)
    await bed.settle()
    for tlp in [tlp for tag in (1, 2) for tlp in completions_of(tag, 0, SLOT_BYTES)[:-1]]:
        bed.send(tlp)
    (short,) = completions_of(0, SLOT_BYTES - 64, 64)
    assert short.data is not None
    bed.send(short.with_changes(data=short.data + random.randbytes(4096)))
    await bed.drain()
    assert [ended.end for ended in bed.told] == [ReadEnd.ABORT]
    for tag in (1, 2):
        *_, last = completions_of(tag, 0, SLOT_BYTES)
        bed.send(last)
    await bed.drain()
    assert [ended.end for ended in bed.told[1:]] == [ReadEnd.OK] * 2


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_read_ends_once_when_it_fails_as_it_completes(dut):
    """Whichever of the two comes first; the other one finds nothing."""
    bed = await attach(dut)
    bed.follows_model = False
    ends = set()
    for delay in range(14):
        tag = delay % TAG_COUNT
        while not bed.is_free(tag):
            await RisingEdge(dut.clk)
        await bed.ask(tag, 0, 32)
        await bed.settle()
        bed.model.fail(tag, ReadEnd.TIMEOUT)  # which of them is first the cycles decide
        (tlp,) = completions_of(tag, 0, 32)
        bed.source.send_lanes(to_segments(tlp))
        for cycle in range(30):
            if cycle == delay:
                bed.fail.send_value(bed.failure(tag, ReadEnd.TIMEOUT))
            await RisingEdge(dut.clk)
        told = [status for _, status in bed.seen]
        seen = bed.unexpected
        bed.seen.clear()
        bed.unexpected = 0
        assert len(told) == 1, f"after {delay}: {told}"
        assert seen == (told == [ReadEnd.TIMEOUT])
        ends.add(told[0])
    assert ends == {ReadEnd.OK, ReadEnd.TIMEOUT}


@cocotb.test(timeout_time=100, timeout_unit="us")
async def reset_forgets_the_reads(dut):
    """After a reset in the middle of a completion nothing is out, and reads work."""
    bed = await attach(dut)
    for tag in range(4):
        await bed.ask(tag, 0, SLOT_BYTES)
    await bed.settle()
    (tlp,) = completions_of(0, 0, SLOT_BYTES, choose=lambda boundaries: [])
    bed.source.send_lanes(to_segments(tlp)[:-1])
    await ClockCycles(dut.clk, 6)
    dut.rst.value = 1
    bed.source.flush()
    for tag in bed.model.out:
        bed.model.fail(tag, ReadEnd.LINK_DOWN)
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    bed.send(tlp)
    await bed.drain()
    assert bed.unexpected == 1
    await campaign(bed, reads=20, spoil=0.0, fails=0.0)


@cocotb.test(timeout_time=50, timeout_unit="us")
async def another_requesters_completion_is_unexpected(dut):
    """Our tag, but another function: it is dropped, and the read goes on."""
    bed = await attach(dut)
    await bed.ask(1, 0, 64)
    await bed.settle()
    (tlp,) = completions_of(1, 0, 64)
    assert changed(to_segments(tlp)[0], header__requester=0) != to_segments(tlp)[0]
    bed.send(tlp.with_changes(requester=REQUESTER + 1, data=random.randbytes(64)))
    bed.send(tlp)
    await bed.drain()
    assert bed.unexpected == 1
    assert [ended.end for ended in bed.told] == [ReadEnd.OK]
    assert SEGMENT_COUNT in (1, 2, 4)
