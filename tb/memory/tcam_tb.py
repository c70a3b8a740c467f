"""cocotb testbench of hdl.memory.Tcam."""

import os
import random

import cocotb

from sim.memory import TcamModel

from .lookup import LookupBench

KEY_BITS = int(os.environ["KEY_BITS"])
ENTRY_COUNT = int(os.environ["ENTRY_COUNT"])
LATENCY = int(os.environ["LATENCY"])
ALL_BITS = (1 << KEY_BITS) - 1


def model() -> TcamModel:
    """Make an empty model."""
    return TcamModel(KEY_BITS, ENTRY_COUNT)


async def begin(dut) -> LookupBench:
    """Release reset."""
    return await LookupBench(dut, model(), LATENCY, masked=True).begin()


@cocotb.test(timeout_time=100, timeout_unit="us")
async def longest_prefix_first(dut):
    """Prefixes sorted by length, as a routing table holds them: the longest is found."""
    bench = await begin(dut)
    address = random.getrandbits(KEY_BITS)
    count = min(KEY_BITS, ENTRY_COUNT - 1)
    for index in range(count + 1):
        mask = ALL_BITS & ~((1 << index) - 1) if index < count else 0
        write = {"index": index, "key": address ^ (ALL_BITS & ~mask), "mask": mask, "valid": 1}
        await bench.step(write=write)
    for bit in range(KEY_BITS):
        await bench.step(key=address ^ 1 << bit)
    await bench.step(key=address)
    await bench.finish(hits=KEY_BITS + 1, misses=0)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def one_bit_is_compared(dut):
    """Entries that care about one bit, each alone valid in turn."""
    bench = await begin(dut)
    for bit in range(KEY_BITS):
        index = bit % ENTRY_COUNT
        write = {"index": index, "key": ALL_BITS, "mask": 1 << bit, "valid": 1}
        await bench.step(write=write)
        await bench.step(key=1 << bit)
        await bench.step(key=ALL_BITS ^ 1 << bit)
        await bench.step(key=1 << bit, write={**write, "valid": 0})
        await bench.step(key=1 << bit)
    await bench.finish(hits=2 * KEY_BITS, misses=2 * KEY_BITS)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(lookups=[0.3, 1.0])
async def random_uses(dut, lookups):
    """Look up and write related keys with any masks; reset in between."""
    bench = await begin(dut)
    keys = [random.getrandbits(KEY_BITS) for _ in range(4)]
    for number in range(2000):
        write = {
            "index": random.randrange(1 << (ENTRY_COUNT - 1).bit_length()),
            "key": random.choice(keys) ^ 1 << random.randrange(KEY_BITS),
            "mask": ALL_BITS ^ 1 << random.randrange(KEY_BITS) ^ 1 << random.randrange(KEY_BITS),
            "valid": random.random() < 0.6,
        }
        if random.random() < 0.05:
            write["mask"] = random.getrandbits(KEY_BITS) & random.getrandbits(KEY_BITS)
        key = random.choice(keys)
        if random.random() < 0.5:
            key ^= 1 << random.randrange(KEY_BITS)
        await bench.step(
            key=key if random.random() < lookups else None,
            write=write if random.random() < 0.5 else None,
        )
        if number % 700 == 699:
            await bench.reset(model())
    await bench.finish(hits=100, misses=50)
