"""cocotb testbench of hdl.roce.FrameMerge."""

import json
import os
import random
from collections import deque
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from hdl.roce.config import RoceConfig
from hdl.roce.send_layouts import FrameLayout
from sim.stream import Packet
from tb.stream import PacketSink, PacketSource, StreamSink, StreamSource, chance, reset, start

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
FRAME = FrameLayout(CONFIG)
BYTES_AT = FRAME["payload_bytes"].offset
DATA_BYTES = CONFIG.data_bytes


class Bed:
    """Two who send, and who takes it: data must follow in the frames' order."""

    def __init__(self, dut, *, frames=0.0, data=0.0, sink=0.0, data_sink=0.0):
        self.dut = dut
        self.frames = [StreamSource(dut, f"i__{n}", pause=chance(frames)) for n in range(2)]
        self.data = [
            PacketSource(dut, f"data__{n}", DATA_BYTES, pause=chance(data)) for n in range(2)
        ]
        self.sink = StreamSink(dut, "o", pause=chance(sink))
        self.data_sink = PacketSink(dut, "o_data", DATA_BYTES, pause=chance(data_sink))
        self.sent: list[deque[tuple[int, Packet | None]]] = [deque(), deque()]

    @property
    def ports(self) -> tuple[Any, ...]:
        """All drivers."""
        return (*self.frames, *self.data, self.sink, self.data_sink)

    def send(self, number: int, size: int) -> None:
        """Queue a frame of random fields with so many bytes of data."""
        packet = Packet(random.randbytes(size), random.random() < 0.2) if size else None
        value = random.getrandbits(BYTES_AT) | size << BYTES_AT
        self.frames[number].send_value(value)
        if packet is not None:
            self.data[number].send(packet)
        self.sent[number].append((value, packet))

    async def take(self) -> list[int]:
        """Take all that was sent, and their data; return whose frames came, in order."""
        order = []
        while any(self.sent):
            value = await self.sink.received.get()
            fits = [bool(some) and some[0][0] == value for some in self.sent]
            assert any(fits), f"frame {len(order)} is not the next one of anybody"
            order.append(fits.index(True))
            _, packet = self.sent[order[-1]].popleft()
            if packet is not None:
                found = await self.data_sink.received.get()
                assert found == packet, f"data of frame {len(order) - 1}"
        await ClockCycles(self.dut.clk, 20)
        assert self.sink.received.empty()
        assert self.data_sink.received.empty()
        return order


def some_size() -> int:
    """Length of data, perhaps none."""
    return random.choice([0, 1, DATA_BYTES, random.randint(1, 5 * DATA_BYTES)])


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(frames=[0.0, 0.8], data=[0.0, 0.5], sink=[0.0, 0.7], data_sink=[0.0, 0.5])
async def each_keeps_its_order_and_its_data(dut, frames, data, sink, data_sink):
    """Whatever stalls, each frame leaves once, in its sender's order, and its data in all's."""
    bed = Bed(dut, frames=frames, data=data, sink=sink, data_sink=data_sink)
    await start(dut)
    for _ in range(120):
        bed.send(random.randrange(2), some_size())
    await bed.take()


@cocotb.test(timeout_time=100, timeout_unit="us")
async def both_take_turns(dut):
    """With frames of both waiting, they alternate, one each cycle, and so do their data."""
    bed = Bed(dut)
    await start(dut)
    for _ in range(60):
        bed.send(0, random.randint(1, DATA_BYTES))
        bed.send(1, random.randint(1, DATA_BYTES))
    order = await bed.take()
    assert order in ([0, 1] * 60, [1, 0] * 60)
    assert bed.sink.span == bed.data_sink.span == bed.data_sink.accepted == 120
    assert bed.sink.first - min(source.first for source in bed.frames) == 1
    assert bed.data_sink.first - bed.sink.first == 2


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(alone=[0, 1])
async def one_alone_has_every_cycle(dut, alone):
    """Nobody waits for a turn of somebody who has nothing."""
    bed = Bed(dut)
    await start(dut)
    for _ in range(60):
        bed.send(alone, max(1, some_size()))
    await bed.take()
    assert bed.data_sink.span == bed.data_sink.accepted


@cocotb.test(timeout_time=100, timeout_unit="us")
async def no_data_pass_their_frame(dut):
    """While its frame is refused, a packet of data stays; behind its frame it goes."""
    bed = Bed(dut)
    await start(dut)
    bed.sink.pause = lambda: True
    for number in range(2):
        bed.send(number, 3 * DATA_BYTES)
    await ClockCycles(dut.clk, 30)
    assert not any(source.accepted for source in bed.data)
    bed.sink.pause = chance(0)
    await bed.take()


@cocotb.test(timeout_time=100, timeout_unit="us")
async def late_data_hold_up_only_what_is_behind(dut):
    """Frames go on while one's data do not come; data of the other one wait for their turn."""
    bed = Bed(dut)
    await start(dut)
    packet = Packet(random.randbytes(2 * DATA_BYTES))
    for number in range(2):
        bed.frames[number].send_value(len(packet.data) << BYTES_AT)
        await ClockCycles(dut.clk, 5)
    bed.data[1].send(packet)
    await ClockCycles(dut.clk, 30)
    assert bed.sink.accepted == 2
    assert bed.data_sink.accepted == 0
    bed.data[0].send(packet)
    for _ in range(2):
        assert await bed.data_sink.received.get() == packet


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(cycles=[3, 8, 21])
async def reset_forgets_what_waits(dut, cycles):
    """After a reset nothing of before leaves, and nobody's data are waited for."""
    bed = Bed(dut, sink=0.5, data_sink=0.5)
    await start(dut)
    for number in range(2):
        for _ in range(8):
            bed.send(number, 3 * DATA_BYTES)
    await ClockCycles(dut.clk, cycles)
    await reset(dut, *bed.ports)
    bed.sent = [deque(), deque()]
    for number in (1, 0, 1):
        bed.send(number, some_size())
    await bed.take()
