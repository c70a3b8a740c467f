"""cocotb testbench of hdl.memory's RAMs: KIND is single, simple or true."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.memory import RamModel, RamRow, RamUse
from tb.stream import start

KIND = os.environ["KIND"]
WIDTH = int(os.environ["WIDTH"])
DEPTH = int(os.environ["DEPTH"])
LANE_COUNT = int(os.environ["LANE_COUNT"])
LATENCY = int(os.environ["LATENCY"])
BYPASS = os.environ.get("BYPASS") == "True"
PORT_COUNT = {"single": 1, "simple": 2, "true": 2}[KIND]
ALL_LANES = (1 << LANE_COUNT) - 1


def drive(dut, port: int, use: RamUse | None) -> None:
    """Put on the pins of a port what it does; of a simple RAM, port 0 writes and 1 reads."""
    if KIND == "simple" and port == 1:
        dut.read_en.value = int(use is not None)
        dut.read_address.value = use.address if use else random.randrange(DEPTH)
        return
    lanes = use.lanes if use else random.randint(0, ALL_LANES)
    address = use.address if use else random.randrange(DEPTH)
    data = use.data if use else random.getrandbits(WIDTH)
    if KIND == "simple":
        dut.write_lanes.value = use.lanes if use else 0
        dut.write_address.value = address
        dut.write_data.value = data
        return
    prefix = "port" if KIND == "single" else f"port__{port}"
    dut[f"{prefix}__en"].value = int(use is not None)
    dut[f"{prefix}__write_lanes"].value = lanes
    dut[f"{prefix}__address"].value = address
    dut[f"{prefix}__write_data"].value = data


class Bench:
    """The RAM and its model, cycle by cycle; what is read is compared in every cycle."""

    def __init__(self, dut):
        self.dut = dut
        self.model = RamModel(width=WIDTH, lane_count=LANE_COUNT, bypass=BYPASS)
        outputs = {"single": ["port__read_data"], "simple": [None, "read_data"]}
        names = outputs.get(KIND, ["port__0__read_data", "port__1__read_data"])
        self.outputs = [dut[name] if name else None for name in names]
        self.coming: list[list[RamRow | None]] = [[None] * PORT_COUNT for _ in range(LATENCY)]
        self.shown: list[RamRow] = [RamRow() for _ in range(PORT_COUNT)]
        self.edge = RisingEdge(dut.clk)
        self.compared = 0

    async def step(self, *uses: RamUse | None) -> None:
        """Spend one cycle in which each port does what is said; idle where nothing is."""
        uses += (None,) * (PORT_COUNT - len(uses))
        for port, use in enumerate(uses):
            drive(self.dut, port, use)
        await self.edge
        for port, row in enumerate(self.coming.pop(0)):
            self.shown[port] = row or self.shown[port]
            output = self.outputs[port]
            if output is not None:
                shown = self.shown[port]
                self.compared += bool(row and row.known)
                assert int(output.value) & shown.known == shown.value, f"port {port}"
        self.coming.append(self.model.step(uses))

    def read(self, address: int, port: int = -1) -> list[RamUse | None]:
        """Make the uses of a cycle in which only ``port`` reads, by default the last."""
        uses: list[RamUse | None] = [None] * PORT_COUNT
        uses[port] = RamUse(address)
        return uses

    async def finish(self, least: int) -> None:
        """See what is still coming; at least ``least`` reads must have found something."""
        for _ in range(LATENCY):
            await self.step()
        assert self.compared >= least, self.compared


async def begin(dut) -> Bench:
    """Release reset with idle ports."""
    for port in range(PORT_COUNT):
        drive(dut, port, None)
    await start(dut)
    return Bench(dut)


def random_use(port: int, address: int) -> RamUse | None:
    """Make a use that ``port`` is able to."""
    can_write = KIND != "simple" or port == 0
    can_read = KIND != "simple" or port == 1
    if random.random() < 0.2:
        return None
    if can_write and (not can_read or random.random() < 0.5):
        lanes = random.choice([ALL_LANES, random.randint(1, ALL_LANES)])
        return RamUse(address, random.getrandbits(WIDTH), lanes)
    return RamUse(address)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def every_row_keeps_its_own_value(dut):
    """Write every row, then read every row, one a cycle each."""
    bench = await begin(dut)
    for address in range(DEPTH):
        await bench.step(RamUse(address, random.getrandbits(WIDTH), ALL_LANES))
    for address in random.sample(range(DEPTH), DEPTH):
        await bench.step(*bench.read(address))
    await bench.finish(least=DEPTH)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def each_lane_is_written_alone(dut):
    """Overwrite one lane of a row at a time and read it in the next cycle."""
    bench = await begin(dut)
    await bench.step(RamUse(1, (1 << WIDTH) - 1, ALL_LANES))
    for lane in range(LANE_COUNT):
        await bench.step(RamUse(1, 0, 1 << lane))
        await bench.step(*bench.read(1))
    await bench.finish(least=LANE_COUNT)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def read_data_is_kept(dut):
    """After a read, cycles without one leave what it found, whatever is written."""
    bench = await begin(dut)
    for address in range(2):
        await bench.step(RamUse(address, random.getrandbits(WIDTH), ALL_LANES))
    await bench.step(*bench.read(1))
    for _ in range(5):
        await bench.step(RamUse(random.randrange(2), random.getrandbits(WIDTH), ALL_LANES))
    await bench.finish(least=1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(spread=[1, 3, DEPTH])
async def random_uses(dut, spread):
    """Use every port at random, at rows so few that ports and cycles meet, with resets."""
    bench = await begin(dut)
    for number in range(2000):
        address = random.randrange(spread)
        uses = [
            random_use(port, address if random.random() < 0.5 else random.randrange(spread))
            for port in range(PORT_COUNT)
        ]
        await bench.step(*uses)
        if number % 500 == 499:
            await bench.finish(least=1)
            dut.rst.value = 1
            await ClockCycles(dut.clk, 3)
            dut.rst.value = 0
    await bench.finish(least=200)
