"""cocotb testbench of hdl.bits.ChecksumUpdate."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from hdl.bits import ChecksumUpdateLayout
from sim.bits import internet_checksum, update_checksum
from tb.stream import chance, start

from .strobe_port import StrobeSink, StrobeSource

WORD_COUNT = int(os.environ["WORD_COUNT"])
LATENCY = int(os.environ["LATENCY"])
LAYOUT = ChecksumUpdateLayout(WORD_COUNT)
Update = tuple[int, list[tuple[int, int]]]


async def results(dut, updates: list[Update], stall: float = 0.0) -> list[int]:
    """Results of ``updates``, each exactly LATENCY cycles after it was sent."""
    source, sink = StrobeSource(dut, LAYOUT.size, pause=chance(stall)), StrobeSink(dut)
    await start(dut)
    for checksum, changes in updates:
        padded = changes + [(0, 0)] * (WORD_COUNT - len(changes))
        words = {
            "checksum": checksum,
            "old": sum(old << 16 * number for number, (old, _) in enumerate(padded)),
            "new": sum(new << 16 * number for number, (_, new) in enumerate(padded)),
        }
        source.queue.append(sum(words[key] << LAYOUT[key].offset for key in words))
    await source.drain()
    await ClockCycles(dut.clk, LATENCY + 2)
    assert [cycle for cycle, _ in sink.received] == [cycle + LATENCY for cycle, _ in source.sent]
    return [value for _, value in sink.received]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5])
async def random_updates(dut, stall):
    """Random words and words of zeros and ones give the model's checksum."""

    def word() -> int:
        return random.choice([0, 0xFFFF, random.getrandbits(16)])

    updates = [(word(), [(word(), word()) for _ in range(WORD_COUNT)]) for _ in range(500)]
    assert await results(dut, updates, stall) == [update_checksum(*update) for update in updates]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def equals_the_checksum_anew(dut):
    """Words of a header changed: the update is the checksum of the new header."""
    updates, anew = [], []
    for _ in range(200):
        header = [random.getrandbits(16) for _ in range(9)]
        places = random.sample(range(9), min(WORD_COUNT, 9))
        changed = list(header)
        for place in places:
            changed[place] = random.choice([0, 0xFFFF, random.getrandbits(16)])
        before, after = (
            internet_checksum(b"".join(w.to_bytes(2, "big") for w in words))
            for words in (header, changed)
        )
        updates.append((before, [(header[place], changed[place]) for place in places]))
        anew.append(after)
    assert await results(dut, updates) == anew


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def rfc_1624_example(dut):
    """Section 4: dd2f, 5555 becomes 3285; equation 3 gives 0000 where RFC 1141 gave ffff."""
    assert await results(dut, [(0xDD2F, [(0x5555, 0x3285)])]) == [0x0000]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def no_change_keeps_zero(dut):
    """No change keeps a checksum of 0000, whatever the word is."""
    updates = [(0x0000, [(word, word)]) for word in (0, 1, 0x7FFF, 0xFFFF)]
    assert await results(dut, updates) == [0x0000] * 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def change_between_the_two_zeros(dut):
    """From 0000 to ffff, the other zero, or back: no checksum changes."""
    updates = [(0x1234, [(0x0000, 0xFFFF)]), (0x1234, [(0xFFFF, 0x0000)])]
    assert await results(dut, updates) == [0x1234, 0x1234]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def checksum_of_ffff(dut):
    """From ffff, of all zeros, a change counts; without one it becomes the other zero."""
    updates = [(0xFFFF, [(0x0000, 0x0001)]), (0xFFFF, [(0x0000, 0x0000)])]
    assert await results(dut, updates) == [0xFFFE, 0x0000]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_forgets_updates(dut):
    """Reset empties the pipeline."""
    source, sink = StrobeSource(dut, LAYOUT.size), StrobeSink(dut)
    await start(dut)
    source.queue.extend([0] * 20)
    await ClockCycles(dut.clk, 4)
    source.queue.clear()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    assert source.sent
    await ClockCycles(dut.clk, LATENCY + 2)
    assert sink.received == []
