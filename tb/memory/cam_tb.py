"""cocotb testbench of hdl.memory.Cam."""

import os
import random

import cocotb

from sim.memory import CamModel

from .lookup import LookupBench

KEY_BITS = int(os.environ["KEY_BITS"])
ENTRY_COUNT = int(os.environ["ENTRY_COUNT"])
LATENCY = int(os.environ["LATENCY"])


async def begin(dut) -> LookupBench:
    """Release reset."""
    return await LookupBench(dut, CamModel(ENTRY_COUNT), LATENCY, masked=False).begin()


def random_key() -> int:
    """Make any key."""
    return random.getrandbits(KEY_BITS)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def every_entry_is_found_and_no_other(dut):
    """Fill the memory, then look up each key and each key with one bit turned."""
    bench = await begin(dut)
    await bench.step(key=0)
    keys = [random_key() for _ in range(ENTRY_COUNT)]
    for index, key in enumerate(keys):
        await bench.step(write={"index": index, "key": key, "valid": 1})
    for key in keys:
        await bench.step(key=key)
        await bench.step(key=key ^ 1 << random.randrange(KEY_BITS))
    await bench.finish(hits=ENTRY_COUNT, misses=1)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def lookup_sees_a_write_from_the_next_cycle_on(dut):
    """Look one key up in every cycle around writes that add it, move it and remove it."""
    bench = await begin(dut)
    key = random_key()
    other = key ^ 1
    writes = [(ENTRY_COUNT - 1, key, 1), (0, key, 1), (0, key, 0), (ENTRY_COUNT - 1, other, 1)]
    for index, held, valid in writes:
        await bench.step(key=key)
        await bench.step(key=key, write={"index": index, "key": held, "valid": valid})
        await bench.step(key=key)
    await bench.finish(hits=9, misses=3)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(lookups=[0.3, 1.0])
async def random_uses(dut, lookups):
    """Look up and write keys out of a few, entries with one key among them; reset in between."""
    bench = await begin(dut)
    keys = [random_key() for _ in range(ENTRY_COUNT)]
    for number in range(2000):
        index = random.randrange(1 << (ENTRY_COUNT - 1).bit_length())
        write = {"index": index, "key": random.choice(keys), "valid": random.random() < 0.6}
        await bench.step(
            key=random.choice(keys) if random.random() < lookups else None,
            write=write if random.random() < 0.5 else None,
        )
        if number % 700 == 699:
            await bench.reset(CamModel(ENTRY_COUNT))
    await bench.finish(hits=100, misses=50)
