"""cocotb testbench of hdl.roce.Merge."""

import os
import random
from collections import Counter

import cocotb

from ..stream import StreamSink, StreamSource, chance, reset, start

INPUTS = int(os.environ["INPUTS"])
BITS = int(os.environ["BITS"])
#: The upper bits of a payload are its input's number, the others count.
COUNT_BITS = BITS - 4


class Bed:
    """Sources and a sink."""

    def __init__(self, dut, *, pause=0.0, stall=0.0):
        self.sources = [StreamSource(dut, f"i__{n}", pause=chance(pause)) for n in range(INPUTS)]
        self.sink = StreamSink(dut, "o", pause=chance(stall))
        self.sent: Counter[int] = Counter()

    def send(self, number: int) -> None:
        """Send the next payload of an input."""
        self.sources[number].send_value(number << COUNT_BITS | self.sent[number])
        self.sent[number] += 1

    async def take(self) -> list[int]:
        """Take all that was sent; return whose payloads came, in order."""
        order, seen = [], Counter()
        for _ in range(self.sent.total()):
            value = await self.sink.received.get()
            number, count = value >> COUNT_BITS, value & ((1 << COUNT_BITS) - 1)
            assert count == seen[number], f"input {number}: {count} after {seen[number] - 1}"
            seen[number] += 1
            order.append(number)
        assert self.sink.received.empty()
        assert seen == self.sent
        return order


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(pause=[0.0, 0.5, 0.9], stall=[0.0, 0.5])
async def each_stream_keeps_its_order(dut, pause, stall):
    """Whatever stalls, each payload leaves once, behind those that came before on its input."""
    bed = Bed(dut, pause=pause, stall=stall)
    await start(dut)
    for _ in range(300):
        bed.send(random.randrange(INPUTS))
    await bed.take()


@cocotb.test(timeout_time=100, timeout_unit="us")
async def all_take_turns_in_every_cycle(dut):
    """With payloads on all inputs, one leaves each cycle, and each input has its turn."""
    bed = Bed(dut)
    await start(dut)
    for _ in range(40):
        for number in range(INPUTS):
            bed.send(number)
    order = await bed.take()
    assert bed.sink.span == bed.sink.accepted == 40 * INPUTS
    assert bed.sink.first - min(source.first for source in bed.sources) == 1
    for begin in range(len(order) - INPUTS + 1):
        assert len(set(order[begin : begin + INPUTS])) == INPUTS, begin


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(alone=list(range(INPUTS)))
async def one_alone_has_every_cycle(dut, alone):
    """Nobody waits for a turn of somebody who has nothing."""
    bed = Bed(dut)
    await start(dut)
    for _ in range(30):
        bed.send(alone)
    assert await bed.take() == [alone] * 30
    assert bed.sink.span == 30


@cocotb.test(timeout_time=100, timeout_unit="us")
async def reset_forgets_what_waits(dut):
    """After a reset nothing of before leaves."""
    bed = Bed(dut, stall=0.9)
    await start(dut)
    for number in range(INPUTS):
        bed.send(number)
        bed.send(number)
    await reset(dut, *bed.sources, bed.sink)
    bed.sent.clear()
    bed.send(INPUTS - 1)
    assert await bed.take() == [INPUTS - 1]
