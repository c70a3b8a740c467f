"""cocotb testbench of hdl.dma.NarrowRead: responses stay behind their packets."""

import os
import random
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hdl.dma import MemoryResponseLayout
from sim.dma import beats_before_responses
from sim.stream import Packet

from ..stream import PacketSink, PacketSource, StreamSink, StreamSource, chance, start
from .fields import FieldReader, pack_fields

I_BYTES = int(os.environ["I_BYTES"])
O_BYTES = int(os.environ["O_BYTES"])
_RESPONSE = MemoryResponseLayout()
_FIELDS = FieldReader(_RESPONSE)


class _Flagged:
    """Payload of a stream with the signal beside it as its top bit."""

    def __init__(self, payload: Any, flag: Any):
        self.payload = payload
        self.flag = flag

    @property
    def value(self) -> int:
        return int(self.flag.value) << _RESPONSE.size | int(self.payload.value)

    @value.setter
    def value(self, value: int) -> None:
        self.payload.value = value & (1 << _RESPONSE.size) - 1
        self.flag.value = value >> _RESPONSE.size


class _Answers(StreamSink):
    """Take responses, and remember how many beats had been taken by then."""

    def __init__(self, dut: Any, beats: PacketSink, pause: Callable[[], bool]):
        self.beats = beats
        self.taken: list[int] = []
        super().__init__(dut, "o_response", pause=pause)

    def accept(self, value: int) -> None:
        self.taken.append(self.beats.accepted)
        self.received.put_nowait(_FIELDS.read(value))


class Bed:
    """What gives packets and responses, and what takes them."""

    def __init__(self, dut: Any, *, stall: float = 0.0, response_stall: float = 0.0):
        self.dut = dut
        self.source = PacketSource(dut, "i", I_BYTES, pause=chance(stall))
        self.sink = PacketSink(dut, "o", O_BYTES, pause=chance(stall))
        self.responses = StreamSource(dut, "i_response")
        self.responses.payload = _Flagged(self.responses.payload, dut.has_packet)  # pyright: ignore[reportAttributeAccessIssue]
        self.answers = _Answers(dut, self.sink, chance(response_stall))

    async def send(self, packets: list[Packet]) -> None:
        """Give packets, and each response once the last beat of its packet has been taken."""
        beats = 0
        for packet in packets:
            if packet.data:
                self.source.send(packet)
        for number, packet in enumerate(packets):
            beats += -(-len(packet.data) // I_BYTES)
            while self.source.accepted < beats:
                await RisingEdge(self.dut.clk)
            value = pack_fields(_RESPONSE, tag=number % 256, status=2 * packet.error)
            self.responses.send_value(bool(packet.data) << _RESPONSE.size | value)


def packets_of(lengths: list[int]) -> list[Packet]:
    """Make packets; one of eight fails."""
    return [Packet(random.randbytes(n), bool(n) and random.random() < 0.125) for n in lengths]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5], response_stall=[0.0, 0.9])
async def responses_wait(dut, stall, response_stall):
    """Give each response when its packet is out, never before; in order, unchanged."""
    bed = Bed(dut, stall=stall, response_stall=response_stall)
    await start(dut)
    most = 3 * I_BYTES
    lengths = [random.choice([0, 1, O_BYTES, I_BYTES, random.randint(1, most)]) for _ in range(150)]
    packets = packets_of(lengths)
    cocotb.start_soon(bed.send(packets))
    for number, packet in enumerate(packets):
        response = await bed.answers.received.get()
        assert (response.tag, response.status) == (number % 256, 2 * packet.error)
        if packet.data:
            assert await bed.sink.received.get() == packet
    needed = beats_before_responses(lengths, O_BYTES)
    assert len(bed.answers.taken) == len(needed)
    early = [
        n for n, (was, must) in enumerate(zip(bed.answers.taken, needed, strict=True)) if was < must
    ]
    assert not early, f"responses {early} were early"


@cocotb.test(timeout_time=100, timeout_unit="us")
async def data_do_not_wait(dut):
    """Move a narrow beat in each cycle, whatever the responses do meanwhile."""
    bed = Bed(dut)
    await start(dut)
    lengths = [O_BYTES, I_BYTES, I_BYTES + 1] * 40
    packets = packets_of(lengths)
    cocotb.start_soon(bed.send(packets))
    for _ in packets:
        await bed.answers.received.get()
    beats = beats_before_responses(lengths, O_BYTES)[-1]
    assert bed.sink.span == beats, f"{bed.sink.span} cycles for {beats} beats"


@cocotb.test(timeout_time=100, timeout_unit="us")
async def no_response_waits_for_later_packets(dut):
    """Take no packet before the response of the one before: all goes on."""
    bed = Bed(dut)
    ahead = 0
    bed.sink.pause = lambda: bed.sink.received.qsize() > ahead
    await start(dut)
    packets = packets_of([1, I_BYTES, 2 * I_BYTES + 1, 1, 1] * 10)
    cocotb.start_soon(bed.send(packets))
    for _ in packets:
        await bed.answers.received.get()
        ahead += 1
