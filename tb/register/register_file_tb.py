"""cocotb testbench of hdl.register.RegisterFile with the example's table.

The bus master is cocotbext-axi's; the window's block is here.
"""

import itertools
import os
import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from sim.register import EXAMPLE_COUNTERS, EXAMPLE_FIELDS, EXAMPLE_WINDOW, RegisterFileModel
from tb.stream import StreamSink, StreamSource, chance, start

ADDRESS_BITS = int(os.environ["ADDRESS_BITS"])
WORDS = [address for address in range(0, 0x48, 4) if not 0x10 <= address < 0x20]
WINDOW = range(*EXAMPLE_WINDOW, 4)
# The holes of the table, and what lies behind it.
NOWHERE = [0x10, 0x1C, 0x48, 0x7C, 0xC0, 0x100, (1 << ADDRESS_BITS) - 4]
RESET = {port: init for *_, init, port in EXAMPLE_FIELDS}


class _Writes(StreamSink):
    """Take the window's writes."""

    def __init__(self, dut, memory: dict[int, int], pause):
        super().__init__(dut, "registers__rules__write", pause=pause)
        self.memory = memory

    def accept(self, value: int) -> None:
        self.memory[value & 15] = value >> 4


class _Reads(StreamSink):
    """Take the window's reads and answer them after some cycles."""

    def __init__(self, dut, memory: dict[int, int], pause):
        super().__init__(dut, "registers__rules__read", pause=pause)
        self.memory = memory
        self.answers = StreamSource(dut, "registers__rules__read_data", pause=pause)

    def accept(self, value: int) -> None:
        self.answers.send_value(self.memory.get(value, 0))


class _Bench:
    """Everything around the register file: master, block and the checks that always hold."""

    def __init__(self, dut, *, bus_stall: float, block_stall: float):
        self.dut = dut
        self.model = RegisterFileModel()
        self.memory: dict[int, int] = {}
        self.pulses: dict[str, list[int]] = {
            port: [] for _, _, _, access, _, port in EXAMPLE_FIELDS if access == "pulse"
        }
        for _, _, _, access, _, port in EXAMPLE_FIELDS:
            if access in ("ro", "w1c"):
                dut[f"registers__{port}"].value = 0
        for _, port in EXAMPLE_COUNTERS:
            dut[f"registers__{port}"].value = 0
        self.writes = _Writes(dut, self.memory, chance(block_stall))
        self.reads = _Reads(dut, self.memory, chance(block_stall))
        self.master: Any = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "bus_"), dut.clk, dut.rst)
        if bus_stall:
            for channel in self.channels:
                channel.set_pause_generator(random.random() < bus_stall for _ in itertools.count())
        self.handshakes = {name: [] for name in ("aw", "w", "b", "ar", "r")}
        cocotb.start_soon(self._watch())

    @property
    def channels(self):
        """Channels of the master, which may be paused."""
        write, read = self.master.write_if, self.master.read_if
        return [
            write.aw_channel,
            write.w_channel,
            write.b_channel,
            read.ar_channel,
            read.r_channel,
        ]

    async def _watch(self) -> None:
        """Check events, pulses and AXI's rule that an offer stays; note the handshakes."""
        dut, edge = self.dut, RisingEdge(self.dut.clk)
        w1c = [port for _, _, _, access, _, port in EXAMPLE_FIELDS if access == "w1c"]
        events = {port: 0 for port in w1c}
        offers: dict[str, tuple[int, ...] | None] = {"b": None, "r": None}
        for cycle in itertools.count():
            await edge
            if dut.rst.value:
                events = {port: 0 for port in w1c}
                offers = {"b": None, "r": None}
                continue
            for port in w1c:
                pending = int(dut[f"registers__{port}_pending"].value)
                assert pending & events[port] == events[port], f"{port}: an event was lost"
                events[port] = int(dut[f"registers__{port}"].value)
            for port, pulses in self.pulses.items():
                if pulse := int(dut[f"registers__{port}"].value):
                    pulses.append(pulse)
            for name, payload in (("b", ["bresp"]), ("r", ["rdata", "rresp"])):
                offer = tuple(int(dut[f"bus__{signal}"].value) for signal in payload)
                valid = bool(dut[f"bus__{name}valid"].value)
                assert offers[name] is None or (valid and offer == offers[name]), (
                    f"{name} changed what was refused"
                )
                refused = valid and not dut[f"bus__{name}ready"].value
                offers[name] = offer if refused else None
            for name, cycles in self.handshakes.items():
                if dut[f"bus__{name}valid"].value and dut[f"bus__{name}ready"].value:
                    cycles.append(cycle)

    async def read(self, address: int) -> tuple[int, int]:
        """Read the word that holds ``address``."""
        answer = await self.master.read(address & ~3, 4)
        return int.from_bytes(answer.data, "little"), int(answer.resp)

    async def read_word(self, address: int) -> int:
        """Read a word that is there."""
        data, response = await self.read(address)
        assert response == 0, f"response {response} at {address:#x}"
        return data

    async def write(self, address: int, data: bytes) -> int:
        """Write bytes within one word."""
        return int((await self.master.write(address, data)).resp)

    def event(self, port: str, bits: int) -> None:
        """Give events for one cycle, when nothing is under way."""
        self.model.values[port] |= bits
        self.dut[f"registers__{port}"].value = bits

    def check_ports(self) -> None:
        """Compare everything that the block sees with the model."""
        for _, _, _, access, _, port in EXAMPLE_FIELDS:
            if access == "rw":
                assert int(self.dut[f"registers__{port}"].value) == self.model.values[port], port
            if access == "w1c":
                pending = int(self.dut[f"registers__{port}_pending"].value)
                assert pending == self.model.values[port], port
        assert self.pulses == self.model.pulses
        assert self.memory == self.model.memory


async def attach(dut, *, bus_stall: float = 0.0, block_stall: float = 0.0) -> _Bench:
    """Attach the bench and release reset."""
    bench = _Bench(dut, bus_stall=bus_stall, block_stall=block_stall)
    await start(dut)
    await ClockCycles(dut.clk, 2)
    return bench


@cocotb.test(timeout_time=50, timeout_unit="us")
async def reset_values_are_the_tables(dut):
    """After reset, ports and reads give what the table says."""
    bench = await attach(dut)
    bench.check_ports()
    for address in (*WORDS, *NOWHERE):
        assert await bench.read(address) == bench.model.read(address), hex(address)


@cocotb.test(timeout_time=50, timeout_unit="us")
@cocotb.parametrize(bus_stall=[0.0, 0.5], block_stall=[0.0, 0.8])
async def accesses_agree_with_the_model(dut, bus_stall, block_stall):
    """Random reads and writes of bytes to words, of all there is and of what is not there."""
    bench = await attach(dut, bus_stall=bus_stall, block_stall=block_stall)
    model = bench.model
    for _ in range(400):
        address = random.choice([random.choice(part) for part in (WORDS, WORDS, WINDOW, NOWHERE)])
        if random.random() < 0.5:
            assert await bench.read(address) == model.read(address), hex(address)
        else:
            size = random.choice([1, 2, 3, 4, 4, 4])
            first = random.randint(0, 4 - size)
            data = random.randbytes(size)
            strobe = ((1 << size) - 1) << first
            expected = model.write(address, int.from_bytes(data, "little") << 8 * first, strobe)
            assert await bench.write(address + first, data) == expected, hex(address)
        action = random.random()
        if action < 0.2:
            _, _, bits, access, _, port = random.choice(EXAMPLE_FIELDS)
            if access == "ro":
                model.values[port] = random.getrandbits(bits)
                dut[f"registers__{port}"].value = model.values[port]
        elif action < 0.4:
            port, bits = random.choice([("events__overflow", 1), ("events__error", 3)])
            bench.event(port, random.getrandbits(bits))
            await RisingEdge(dut.clk)
            dut[f"registers__{port}"].value = 0
        elif action < 0.6:
            _, port = random.choice(EXAMPLE_COUNTERS)
            increment = random.getrandbits(31)
            model.counters[port] += increment
            dut[f"registers__{port}"].value = increment
            await RisingEdge(dut.clk)
            dut[f"registers__{port}"].value = 0
        await ClockCycles(dut.clk, 4)
        bench.check_ports()


@cocotb.test(timeout_time=50, timeout_unit="us")
async def one_access_a_cycle(dut):
    """Long reads and writes of registers move a word in every cycle, both at once."""
    bench = await attach(dut)
    data = random.randbytes(16)
    addresses = [0x20] * 20
    writes = [bench.master.init_write(address, data) for address in addresses]
    reads = [bench.master.init_read(address, 16) for address in addresses]
    for event in (*writes, *reads):
        await event.wait()
    for name, cycles in bench.handshakes.items():
        assert len(cycles) == 80, name
        assert cycles[-1] - cycles[0] + 1 == 80, f"{name} paused"
    first = {name: cycles[0] for name, cycles in bench.handshakes.items()}
    assert first["r"] - first["ar"] == 4
    assert first["b"] - max(first["aw"], first["w"]) == 3


@cocotb.test(timeout_time=50, timeout_unit="us")
@cocotb.parametrize(late=["aw", "w"])
async def write_address_and_data_come_in_any_order(dut, late):
    """When one of the two channels is paused for long, writes still meet their addresses."""
    bench = await attach(dut)
    write = bench.master.write_if
    channel = write.aw_channel if late == "aw" else write.w_channel
    channel.pause = True
    values = [random.getrandbits(32) for _ in range(4)]
    writes = [
        bench.master.init_write(0x20 + 4 * number, value.to_bytes(4, "little"))
        for number, value in enumerate(values)
    ]
    await ClockCycles(dut.clk, 30)
    early = "w" if late == "aw" else "aw"
    assert len(bench.handshakes[early]) == 2
    assert not bench.handshakes[late] and not bench.handshakes["b"]
    channel.pause = False
    for event in writes:
        await event.wait()
    assert [await bench.read_word(0x20 + 4 * number) for number in range(4)] == values


@cocotb.test(timeout_time=50, timeout_unit="us")
@cocotb.parametrize(bus_stall=[0.0, 0.6])
async def counters_are_never_torn(dut, bus_stall):
    """While the low word rolls over all the time, both halves are of one total that was true."""
    bench = await attach(dut, bus_stall=bus_stall)
    totals = {port: [0] for _, port in EXAMPLE_COUNTERS}

    async def count():
        edge = RisingEdge(dut.clk)
        while True:
            for port, history in totals.items():
                increment = random.choice([0, (1 << 31) - 1, random.getrandbits(31)])
                dut[f"registers__{port}"].value = increment
                history.append((history[-1] + increment) % 2**64)
            await edge

    cocotb.start_soon(count())
    for _ in range(100):
        low, port = random.choice(EXAMPLE_COUNTERS)
        before = len(totals[port]) - 4
        word = await bench.read_word(low)
        if random.random() < 0.5:
            # Other reads in between change nothing.
            await bench.read_word(random.choice([0x00, 0x04, 0x80]))
        word |= await bench.read_word(low + 4) << 32
        assert word in totals[port][max(before, 0) :], "no total was ever this"


@cocotb.test(timeout_time=50, timeout_unit="us")
async def a_high_word_alone_is_refused(dut):
    """Read high words that no read of their low words kept: an error, not a guess."""
    bench = await attach(dut)
    for low, _ in EXAMPLE_COUNTERS:
        assert await bench.read(low + 4) == (0, 2)
    assert await bench.read(0x30) == (0, 0)
    assert await bench.read(0x3C) == (0, 2)
    assert await bench.read(0x34) == (0, 0)
    assert await bench.read(0x34) == (0, 0)


@cocotb.test(timeout_time=50, timeout_unit="us")
async def an_event_beside_its_clearing_stays(dut):
    """Give an event in each cycle around a clearing write: it is never lost.

    The monitor sees that an event shows in the cycle after; here, that a later one outlives the
    write and an earlier one does not.
    """
    bench = await attach(dut)
    pending = []
    for cycle in range(12):
        write = bench.master.init_write(0x0C, b"\xff\xff\xff\xff")
        for now in range(12):
            dut.registers__events__error.value = 5 if now == cycle else 0
            await RisingEdge(dut.clk)
        dut.registers__events__error.value = 0
        await write.wait()
        await ClockCycles(dut.clk, 3)
        pending.append(int(dut.registers__events__error_pending.value))
        assert await bench.write(0x0D, b"\x07") == 0
    assert pending == sorted(pending)
    assert set(pending) == {0, 5}


@cocotb.test(timeout_time=50, timeout_unit="us")
async def a_pulse_lasts_a_cycle_per_write(dut):
    """Give one cycle to each of the pulses that are written back to back, in order."""
    bench = await attach(dut)
    values = [1, 2, 3, 0, 1, 1, 3]
    writes = [bench.master.init_write(0x05, bytes([value])) for value in values]
    for event in writes:
        await event.wait()
    await ClockCycles(dut.clk, 4)
    assert bench.pulses == {"control__restart": [value for value in values if value]}


@cocotb.test(timeout_time=50, timeout_unit="us")
async def a_slow_window_holds_nothing_else_up(dut):
    """While the window takes neither write nor read, the other direction still works."""
    bench = await attach(dut)
    bench.writes.pause = lambda: True
    write = bench.master.init_write(0x80, bytes(4))
    await ClockCycles(dut.clk, 20)
    assert await bench.read_word(0x00) == 0x48520003
    bench.writes.pause = lambda: False
    await write.wait()
    bench.reads.pause = lambda: True
    read = bench.master.init_read(0x80, 4)
    await ClockCycles(dut.clk, 20)
    assert await bench.write(0x20, b"abcd") == 0
    bench.reads.pause = lambda: False
    await read.wait()


@cocotb.test(timeout_time=50, timeout_unit="us")
async def reset_amid_accesses_begins_anew(dut):
    """Reset with requests under way: nothing is left of them, and registers are as at first."""
    bench = await attach(dut, block_stall=0.9)
    for address in (0x20, 0x80, 0x0C, 0x84):
        bench.master.init_write(address, random.randbytes(4))
        bench.master.init_read(address, 4)
    await ClockCycles(dut.clk, 9)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    for port in (bench.writes, bench.reads, bench.reads.answers):
        port.flush()
    bench.memory.clear()
    dut.rst.value = 0
    await ClockCycles(dut.clk, 10)
    for port, pulses in bench.pulses.items():
        assert not pulses, port
    bench.check_ports()
    for address in (*WORDS, *NOWHERE):
        assert await bench.read(address) == bench.model.read(address), hex(address)
