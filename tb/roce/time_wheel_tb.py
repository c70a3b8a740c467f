"""cocotb testbench of hdl.roce.TimeWheel."""

import os
import random

import cocotb
from cocotb.triggers import RisingEdge

from ..stream import StreamSink, StreamSource, chance, start

MEMBERS = int(os.environ["MEMBERS"])
SLOTS = int(os.environ["SLOTS"])
TIME_BITS = int(os.environ["TIME_BITS"])
GRAIN_BITS = int(os.environ["GRAIN_BITS"])
SLOT = 1 << GRAIN_BITS
MEMBER_BITS = (MEMBERS - 1).bit_length()
#: Farthest that anybody may wait: less than half of all times.
FARTHEST = (1 << (TIME_BITS - 1)) - 2 * SLOT * SLOTS


class Bed:
    """Time, who waits for it, and who comes out. Times here do not wrap."""

    def __init__(self, dut, *, pause: float = 0.0, stall: float = 0.0):
        self.dut = dut
        self.source = StreamSource(dut, "i", pause=chance(pause))
        self.sink = StreamSink(dut, "o", pause=chance(stall))
        # Soon all bits of the time wrap.
        self.now = random.randrange(1 << TIME_BITS) | 1 << TIME_BITS
        self.waits: dict[int, int] = {}
        self.lateness: list[int] = []
        dut.now.value = self.now % (1 << TIME_BITS)

    async def begin(self) -> None:
        """Release reset, and let time go on from then."""
        cocotb.start_soon(self._tick())
        cocotb.start_soon(self._watch())
        await start(self.dut)
        for _ in range(SLOTS + 2):
            await RisingEdge(self.dut.clk)

    async def _tick(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            self.now += 1
            self.dut.now.value = self.now % (1 << TIME_BITS)

    async def _watch(self) -> None:
        while True:
            member = await self.sink.received.get()
            assert member in self.waits, "nobody put it in"
            time = self.waits.pop(member)
            over = (time // SLOT + 1) * SLOT
            assert self.now >= over, "before its time"
            self.lateness.append(self.now - over)

    def put(self, member: int, time: int) -> None:
        """Let a member wait; it must not wait already."""
        assert member not in self.waits
        self.waits[member] = time
        self.source.send_value(time % (1 << TIME_BITS) << MEMBER_BITS | member)

    async def settle(self, cycles: int) -> None:
        """Wait until nobody waits, for so many cycles at most."""
        for _ in range(cycles):
            if not self.waits:
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError(f"lost: {sorted(self.waits)}")


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.5], stall=[0.0, 0.6], farthest=[3 * SLOT, FARTHEST])
async def each_comes_out_once_and_not_before_its_time(dut, pause, stall, farthest):
    """Any times, past ones, too, from all members, again and again."""
    bed = Bed(dut, pause=pause, stall=stall)
    await bed.begin()
    for _ in range(4 * MEMBERS + 100):
        idle = [member for member in range(MEMBERS) if member not in bed.waits]
        if idle and bed.source.idle and random.random() < 0.5:
            ahead = random.choice([-SLOT, 0, SLOT, random.randint(0, farthest)])
            bed.put(random.choice(idle), bed.now + ahead)
        for _ in range(random.randint(1, 8)):
            await RisingEdge(dut.clk)
    await bed.settle(farthest + 40 * MEMBERS + 2 * SLOT)
    assert len(bed.lateness) > MEMBERS
    if not stall and not pause:
        # A slot that is not over yet, its list, and as many that are walked or put before it.
        assert max(bed.lateness) <= 3 * SLOT + 6 + 8 * MEMBERS


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def one_alone_is_never_late(dut):
    """Somebody who waits alone comes out 5 cycles behind its slot, however far that is."""
    bed = Bed(dut)
    await bed.begin()
    for ahead in [2 * SLOT, SLOTS * SLOT - SLOT, SLOTS * SLOT, SLOTS * SLOT + 1, FARTHEST] * 2:
        bed.put(random.randrange(MEMBERS), bed.now + ahead + random.randrange(SLOT))
        await bed.settle(ahead + 4 * SLOT + 20)
    assert max(bed.lateness) <= 6


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_slot_comes_out_every_two_cycles(dut):
    """All members of one slot follow each other."""
    bed = Bed(dut)
    await bed.begin()
    while bed.now % SLOT:
        await RisingEdge(dut.clk)
    # No farther than there are slots, or they would be put back on their way.
    time = bed.now + min(SLOTS - 1, 5 * MEMBERS // (2 * SLOT) + 2) * SLOT
    for member in range(MEMBERS):
        bed.put(member, time + random.randrange(SLOT))
    await bed.settle(8 * MEMBERS + 8 * SLOT)
    # Each slot that ends meanwhile, without anybody in it, takes 2 cycles.
    assert bed.source.span <= 2 * MEMBERS + 2 * (bed.source.span // SLOT + 1)
    assert bed.sink.span <= 2 * MEMBERS
