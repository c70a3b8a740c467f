"""cocotb testbench of hdl.pcie.BridgeFunction: registers, state and resets.

Every output is compared with the model in every cycle; what a test says besides is what must be.
"""

import random

import cocotb

from sim.pcie import Bridge

from .bridge_bed import PARAMETERS, BridgeBench, random_events

PORT, PORT_COUNT = PARAMETERS["port"], PARAMETERS["port_count"]
DOWNSTREAM = PORT > 0
REGISTERS = [n for n in range(1024) if 4 * n < 0xA0 or 0x100 <= 4 * n < 0x170]


async def begin(dut) -> BridgeBench:
    """Bench after reset."""
    bench = BridgeBench(dut)
    await bench.start()
    return bench


@cocotb.test(timeout_time=100, timeout_unit="us")
async def after_reset_every_window_is_closed(dut):
    """All 1024 DW read what the model has after reset, at full rate, and nothing is open."""
    bench = await begin(dut)
    for register in range(1024):
        await bench.cycle(read=register)
    await bench.idle()
    state = bench.model.state()
    assert state == Bridge(device=PORT - 1 if DOWNSTREAM else 0)
    for megabyte in (0, 1, 0xFFF, 0x1000, (1 << 44) - 1):
        assert not state.holds_address(megabyte << 20)
    assert not any(state.claims_bus(bus) for bus in range(256))


@cocotb.test(timeout_time=100, timeout_unit="us")
async def capabilities_are_found_as_software_looks_for_them(dut):
    """Follow both lists as an operating system does; each has what a port must have."""
    bench = await begin(dut)
    assert await bench.read(0x08) >> 8 == 0x060400
    assert await bench.read(0x0C) >> 16 & 0x7F == 1
    assert await bench.read(0x04) >> 20 & 1, "Status says that there are no capabilities"
    found, address = {}, await bench.read(0x34) & 0xFC
    while address and len(found) < 48:
        assert 0x40 <= address < 0x100
        header = await bench.read(address)
        found[header & 0xFF] = address
        address = header >> 8 & 0xFC
    assert set(found) == {0x01, 0x05, 0x10}
    express = await bench.read(found[0x10])
    assert express >> 16 & 0xF == 2 and express >> 20 & 0xF == (6 if DOWNSTREAM else 5)
    assert await bench.read(found[0x05]) >> 16 & 0x18E == 0x180, "64 bits, mask, one vector"
    extended, address = {}, 0x100
    while address and len(extended) < 48:
        header = await bench.read(address)
        extended[header & 0xFFFF] = address
        address = header >> 20 & 0xFFC
    assert set(extended) == ({0x0001, 0x000D, 0x001D} if DOWNSTREAM else {0x0001})


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_register_keeps_exactly_what_it_may(dut):
    """Ones, zeros and noise with every combination of byte enables, to every register."""
    bench = await begin(dut)
    for register in REGISTERS:
        for enables in range(16):
            for data in (0xFFFFFFFF, 0, random.getrandbits(32)):
                await bench.cycle(write=(register, data, enables))
                await bench.cycle(read=register)
    for register in set(range(1024)) - set(REGISTERS):
        await bench.cycle(write=(register, 0xFFFFFFFF, 15))
        await bench.cycle(read=register)
    for register in REGISTERS:
        await bench.cycle(read=register)
    await bench.idle()


@cocotb.test(timeout_time=100, timeout_unit="us")
async def other_functions_accesses_do_nothing(dut):
    """Nothing changes, and 0 is read, by requests that mean another function."""
    bench = await begin(dut)
    before = bench.model.state()
    for register in REGISTERS:
        for function in set(range(8)) - {PORT}:
            await bench.cycle(write=(register, 0xFFFFFFFF, 15), function=function)
            assert not await bench.cycle(read=register, function=function)
    await bench.idle()
    assert bench.model.state() == before


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(ready=[1.0, 0.2], chance=[0.02, 0.3])
async def accesses_and_events_agree_with_the_model(dut, ready, chance):
    """Back to back accesses, events, captured numbers, link changes and clears, all at once."""
    bench = await begin(dut)
    for n in range(2500):
        inputs: dict = {}
        register = random.choice(REGISTERS)
        action = random.random()
        if action < 0.4:
            inputs["read"] = register
        elif action < 0.9:
            data = random.choice([0, 0xFFFFFFFF, random.getrandbits(32), 1 << random.randrange(32)])
            enables = random.choice([15, random.getrandbits(4)])
            inputs["write"] = (register, data, enables)
        if random.random() < 0.1:
            inputs["function"] = random.randrange(8)
        if random.random() < 0.05:
            inputs["captured"] = (random.getrandbits(8), random.getrandbits(5))
        if random.random() < 0.02:
            bench.levels(
                link_up=random.random() < 0.8,
                link_speed=random.randint(1, 5),
                link_width=random.choice([1, 2, 4, 8, 16]),
                internal_bus=random.getrandbits(8),
            )
        await bench.cycle(
            **inputs,
            events=random_events(chance) if n % 3 else None,
            clear=random.random() < 0.002,
            ready=random.random() < ready,
        )
    await bench.idle(20)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def state_follows_the_registers(dut):
    """Software's writes of an enumeration are what the router gets."""
    bench = await begin(dut)
    bench.levels(link_up=True, link_speed=5, link_width=16, internal_bus=4)
    await bench.write(0x18, 0x00090504)
    await bench.write(0x20, 0xC0F0C000)
    await bench.write(0x24, 0x0010_0000)
    await bench.write(0x28, 0x12)
    await bench.write(0x2C, 0x13)
    await bench.write(0x04, 0x0006)
    await bench.write(0x68, 2 << 5)
    await bench.cycle(captured=(0x21, 0x03))
    await bench.idle(2)
    state = bench.model.state()
    assert (state.secondary, state.subordinate) == (5, 9)
    assert (state.memory_base, state.memory_limit) == (0xC00, 0xC0F)
    assert (state.prefetchable_base, state.prefetchable_limit) == (0x12000, 0x13001)
    assert state.memory_enable and state.bus_master_enable and state.link_up
    assert state.max_payload_bytes == 512
    assert (state.bus, state.device) == ((4, PORT - 1) if DOWNSTREAM else (0x21, 3))
    await bench.write(0x44, 3)
    state = bench.model.state()
    assert not state.memory_enable and not state.bus_master_enable, "awake in D3hot"
    await bench.write(0x44, 0)
    assert bench.model.state().memory_enable
    if DOWNSTREAM:
        await bench.write(0x88, 1 << 5)
        await bench.write(0x14C, 0x55 << 16)
        await bench.write(0x150, 0b10)
        state = bench.model.state()
        assert state.ari_forwarding
        assert state.acs.source_validation and not state.acs.translation_blocking
        assert state.acs.direct_translated and state.acs.egress_vector == 0b10


@cocotb.test(timeout_time=100, timeout_unit="us")
async def secondary_bus_reset_holds_what_is_below_in_reset(dut):
    """Secondary Bus Reset is hot_reset; it takes a downstream port's link down, no other."""
    bench = await begin(dut)
    bench.levels(link_up=True)
    await bench.idle(2)
    assert bench.model.state().link_up
    await bench.write(0x3C, 1 << 22)
    assert dut.hot_reset.value
    assert bench.model.state().link_up == (not DOWNSTREAM)
    await bench.write(0x3C, 0)
    assert not dut.hot_reset.value and bench.model.state().link_up
    if DOWNSTREAM:
        await bench.write(0x70, 1 << 4)
        assert dut.link_disable.value and not bench.model.state().link_up
        await bench.write(0x70, 0)
        assert not dut.link_disable.value and bench.model.state().link_up


@cocotb.test(timeout_time=100, timeout_unit="us")
async def clear_resets_all_but_the_sticky_registers(dut):
    """Hot reset from above: the state is that after reset, the first error is still told."""
    bench = await begin(dut)
    bench.levels(link_up=True)
    for address in (0x04, 0x18, 0x20, 0x24, 0x28, 0x2C, 0x54, 0x58, 0x68, 0x88, 0x14C, 0x150):
        await bench.write(address, 0x5A5A5A5A)
    await bench.write(0x10C, 1 << 20)
    await bench.cycle(captured=(7, 3))
    await bench.happen(malformed=True, poisoned=True)
    log = [await bench.read(address) for address in range(0x104, 0x13C, 4)]
    assert log[0] & 1 << 18
    for cycles in (1, 3):
        for _ in range(cycles):
            await bench.cycle(clear=True)
        assert await bench.cycle() == 0
        assert bench.model.state() == Bridge(device=PORT - 1 if DOWNSTREAM else 0, link_up=True)
        assert [await bench.read(address) for address in range(0x104, 0x13C, 4)] == log
    for register in range(1024):
        await bench.cycle(read=register)
    await bench.idle()


@cocotb.test(timeout_time=100, timeout_unit="us")
async def reset_amid_everything_begins_anew(dut):
    """Reset with an access, events and reports under way: nothing is left of them."""
    bench = await begin(dut)
    await bench.write(0x04, 0x0146)
    await bench.write(0x68, 0xF)
    for _ in range(3):
        await bench.cycle(write=(0x18 // 4, 0xFFFFFF, 15), events=random_events(0.8), ready=False)
    await bench.reset()
    for register in range(1024):
        await bench.cycle(read=register)
    await bench.idle()
    assert not bench.reports
