"""cocotb testbench of hdl.stream.Realign."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.stream import SlotLayout
from sim.stream import Slot, realign_slots

from . import PacketSink, StreamSource, chance, reset, start
from .header_port import beat_count

DATA_BYTES = int(os.environ["DATA_BYTES"])
HAS_BASE = bool(int(os.environ["HAS_BASE"]))
LATENCY = 3 if DATA_BYTES <= 16 else 4
LAYOUT = SlotLayout(DATA_BYTES, has_base=HAS_BASE)


def payload(slot: Slot) -> int:
    """Value of ``i.payload`` that carries ``slot``, with random bytes where it has none."""
    fields = {
        "data": int.from_bytes(slot.data.ljust(DATA_BYTES, b"?"), "little"),
        "keep": (1 << len(slot.data)) - 1,
        "offset": slot.offset,
        "emit": slot.emit,
        "last": slot.last,
        "error": slot.error,
    }
    if HAS_BASE:
        base = (slot.base or b"").ljust(DATA_BYTES, b"?")
        fields["base"] = int.from_bytes(base, "little")
        fields["restart"] = slot.base is not None
    return sum(int(value) << LAYOUT[key].offset for key, value in fields.items())


def chunks(size: int) -> list[bytes]:
    """Random bytes, cut into beats."""
    data = random.randbytes(size)
    return [data[start : start + DATA_BYTES] for start in range(0, size, DATA_BYTES)]


def packet_behind_base(offset: int, size: int) -> list[Slot]:
    """Packet behind up to two whole beats and ``offset`` bytes, as who inserts has it."""
    slots = [
        Slot(b"", DATA_BYTES, True, base=random.randbytes(DATA_BYTES))
        for _ in range(random.randint(0, 2))
    ]
    beats = chunks(size)
    error = random.random() < 0.1
    for number, beat in enumerate(beats):
        base = None if number else random.randbytes(offset)
        slots.append(Slot(beat, offset, True, number == len(beats) - 1, error, base))
    return slots


def packet_cut(offset: int, size: int) -> list[Slot]:
    """Packet that begins with bytes to drop, as who removes has it."""
    slots = [Slot(b"", offset, False) for _ in range(random.randint(0, 2))]
    beats = chunks(size)
    error = random.random() < 0.1
    for number, beat in enumerate(beats):
        slots.append(Slot(beat, offset, number > 0, number == len(beats) - 1, error))
    return slots


def every_packet() -> list[list[Slot]]:
    """Packets of every offset; of every length to four beats where there are few, else of some."""
    longest = 4 * DATA_BYTES
    sizes = range(1, longest + 1)
    packets = []
    for offset in range(DATA_BYTES + 1):
        for size in sizes if DATA_BYTES <= 8 else random.sample(sizes, 5):
            if offset:
                packets.append(packet_cut(offset, size))
            if HAS_BASE and offset < DATA_BYTES:
                packets.append(packet_behind_base(offset, size))
    random.shuffle(packets)
    return packets


class Empties:
    """Count the pulses of ``empty``."""

    def __init__(self, dut):
        self.dut = dut
        self.count = 0
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            self.count += int(self.dut.empty.value)


async def exchange(dut, source, sink, empties, packets) -> int:
    """Send the slots of ``packets`` and check what leaves; return the beats due."""
    empties.count = 0
    expected = [realign_slots(slots, DATA_BYTES)[0] for slots in packets]
    for slots in packets:
        for slot in slots:
            source.send_value(payload(slot))
    for number, packet in enumerate(expected):
        if packet is not None:
            assert await sink.received.get() == packet, f"packet {number}: {packets[number]}"
    while not source.idle:
        await RisingEdge(dut.clk)
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()
    assert empties.count == expected.count(None)
    return sum(beat_count(len(packet.data), DATA_BYTES) for packet in expected if packet)


async def attach(dut, source_stall: float = 0, sink_stall: float = 0):
    """Attach a driver to every stream and release reset."""
    source = StreamSource(dut, "i", pause=chance(source_stall))
    sink = PacketSink(dut, "o", DATA_BYTES, pause=chance(sink_stall))
    await start(dut)
    return source, sink, Empties(dut)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5])
async def slots_make_the_models_packets(dut, source_stall, sink_stall):
    """Every offset and length, both of packets behind a base and of packets cut."""
    ports = await attach(dut, source_stall, sink_stall)
    await exchange(dut, *ports, every_packet())


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def cut_packets_take_a_slot_a_cycle(dut):
    """Where no packet is behind a base, no slot waits."""
    source, sink, empties = await attach(dut)
    packets = [packet_cut(1 + n % DATA_BYTES, n % (4 * DATA_BYTES) + 1) for n in range(300)]
    await exchange(dut, source, sink, empties, packets)
    assert source.span == source.accepted


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def latency_is_as_stated(dut):
    """Beats leave LATENCY cycles after their slot, or one later where they are kept."""
    source, sink, empties = await attach(dut)
    for emit in (True, False):
        source.restart()
        sink.restart()
        beats = chunks(3 * DATA_BYTES)
        slots = [Slot(beat, DATA_BYTES, emit or n > 0, n == 2) for n, beat in enumerate(beats)]
        if emit and not HAS_BASE:
            continue
        slots[0] = Slot(beats[0], DATA_BYTES, emit, base=b"?" * DATA_BYTES if emit else None)
        await exchange(dut, source, sink, empties, [slots])
        assert sink.first - source.first == LATENCY + (not emit)


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(cycles=range(1, 9))
async def reset_in_mid_packet_forgets_it(dut, cycles):
    """After a reset at any time nothing of the packets before it is left."""
    source, sink, empties = await attach(dut)
    for _ in range(4):
        for slot in packet_cut(1, 3 * DATA_BYTES + 1):
            source.send_value(payload(slot))
    await ClockCycles(dut.clk, cycles)
    await reset(dut, source, sink)
    packets = [packet_cut(1 + n % DATA_BYTES, n + 1) for n in range(4)]
    await exchange(dut, source, sink, empties, packets)
