"""cocotb testbench of hdl.pcie.TlpBuffer, behind TlpCheck and beside ReceiveCredits."""

import os
import random
from collections import Counter

import cocotb
from cocotb.triggers import RisingEdge

from hdl.pcie.parts import CreditAmountsLayout
from hdl.pcie.port import CreditCountsLayout
from sim.pcie import Kind, Tlp, TlpCheckModel, Verdict
from tb.stream import start

from .hostile import good_tlp, hostile_lanes, to_model
from .segments import SEGMENT_WIDTH, field_of, to_segments

SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
MAX_PAYLOAD_BYTES = int(os.environ["MAX_PAYLOAD_BYTES"])
ADVERTISED = [int(word) for word in os.environ["ADVERTISED"].split(",")]
MOST_DWORDS = MAX_PAYLOAD_BYTES // 4
LATENCY = 5
RETURNED = CreditAmountsLayout(3, 11)
KINDS = ("headers", "data")


def cost(first: int) -> tuple[int, int]:
    """Class and data credits by a TLP's first segment."""
    segment = to_model(first)
    assert segment is not None
    return segment.header.tlp_class, segment.header.data_credits


class Bench:
    """The chain; a sender that may or may not count credits; a user that returns them."""

    def __init__(self, dut, *, honest: bool = True):
        self.dut = dut
        self.honest = honest
        self.edge = RisingEdge(dut.clk)
        self.cycle = 0
        self.link_up = True
        self.holds = 0.0  # how readily the user keeps credits
        self.waiting: list[list[int | None]] = []
        self.lanes: list[int | None] = []
        self.sent = [0] * 6
        self.allocated = list(ADVERTISED)
        self.open: list[int] = []
        self.last_output = -1  # cycles in which a TLP ended, and in which there was a beat
        self.last_beat = -1
        self.received: list[tuple[int, list[int]]] = []
        self.held: list[list[int]] = []
        self.returns = [0] * 6
        self.model = TlpCheckModel(MAX_PAYLOAD_BYTES)
        self.passes: list[list[object]] = []

    def _next_lanes(self, gap: float) -> list[int | None]:
        """Lanes of the next beat; an honest sender begins a TLP only with credits for it."""
        while len(self.lanes) < SEGMENT_COUNT and self.waiting:
            if random.random() < gap:
                self.lanes.append(None)
                continue
            first = self.waiting[0][0]
            if self.honest and first is not None:
                tlp_class, units = cost(first)
                index = 2 * tlp_class
                after = [self.sent[index] + 1, self.sent[index + 1] + units]
                if any(a > b for a, b in zip(after, self.allocated[index:], strict=False)):
                    break
                self.sent[index : index + 2] = after
            self.lanes += self.waiting.pop(0)
        lanes = self.lanes[:SEGMENT_COUNT]
        del self.lanes[:SEGMENT_COUNT]
        return [*lanes, *[None] * (SEGMENT_COUNT - len(lanes))]

    async def step(self, *, pause: float = 0.0, gap: float = 0.0) -> None:
        """One cycle."""
        lanes: list[int | None] = [None] * SEGMENT_COUNT
        if self.link_up and random.random() >= pause:
            lanes = self._next_lanes(gap)
        value = 0
        for number, segment in enumerate(lanes):
            if segment is not None:
                value |= segment << SEGMENT_COUNT + number * SEGMENT_WIDTH | 1 << number
        checked = (
            self.model.receive([to_model(segment) for segment in lanes], [1 << 20] * 6)
            if self.link_up
            else self.model.flush()
        )
        self.passes += [
            [segment.name for segment in tlp.segments]
            for tlp in checked
            if tlp.verdict == Verdict.GOOD
        ]
        self.dut.i.value = value
        self.dut.link_up.value = int(self.link_up)
        amounts = [0] * 6
        for _ in range(min(4, len(self.held))):
            if random.random() >= self.holds:
                segments = self.held.pop(random.randrange(len(self.held)))
                tlp_class, units = cost(segments[0])
                amounts[2 * tlp_class] += 1
                amounts[2 * tlp_class + 1] += units
        pairs = [dict(zip(KINDS, amounts[2 * n : 2 * n + 2], strict=True)) for n in range(3)]
        self.dut.returned.value = RETURNED.const(pairs).as_bits()
        await self.edge
        self._look()
        self.cycle += 1

    def _look(self) -> None:
        view = CreditCountsLayout().from_bits(int(self.dut.allocated.value))
        for index in range(6):
            size = (4096, 65536)[index % 2]
            now = view[index // 2][KINDS[index % 2]]
            if self.link_up:
                step = (now - self.allocated[index]) % size
                assert step < size // 2, "credits taken back"
                self.allocated[index] += step
                if self.honest:
                    free = self.allocated[index] - self.sent[index]
                    assert free <= ADVERTISED[index], "more given than there is"
            else:
                self.allocated[index] = now
                self.sent[index] = 0
        value = int(self.dut.o.value)
        valid = value & (1 << SEGMENT_COUNT) - 1
        value >>= SEGMENT_COUNT
        assert valid or not self.open, "a pause within a TLP"
        if valid:
            self.last_beat = self.cycle
        for number in range(SEGMENT_COUNT):
            if not valid:
                break
            if not valid >> number & 1:
                assert not self.open, "an idle lane within a TLP"
                continue
            segment = value >> number * SEGMENT_WIDTH & (1 << SEGMENT_WIDTH) - 1
            assert field_of(segment, "sop") == (not self.open)
            self.open.append(segment)
            if field_of(segment, "eop"):
                self.received.append((self.cycle, self.open))
                self.held.append(self.open)
                self.open = []
                self.last_output = self.cycle

    async def drain(self, **how: float) -> None:
        """Send all that waits and let it out, then return all credits."""
        idle = 0
        while idle < 20:
            busy = bool(self.waiting or self.lanes)
            await self.step(**how)
            idle = 0 if busy or self.last_beat == self.cycle - 1 else idle + 1
        self.holds = 0.0
        while self.held:
            await self.step()
        for _ in range(10):
            await self.step()


async def begin(dut, *, honest: bool = True) -> Bench:
    """Release reset; bring the link up."""
    dut.i.value = dut.link_up.value = dut.returned.value = 0
    await start(dut)
    bench = Bench(dut, honest=honest)
    await take_down(bench)
    return bench


async def take_down(bench: Bench, cycles: int = 8) -> None:
    """Drop the link for some cycles, and raise it again."""
    bench.link_up = False
    bench.waiting, bench.lanes = [], []
    for _ in range(cycles):
        await bench.step()
    bench.link_up = True


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize((("pause", "gap"), [(0.0, 0.0), (0.5, 0.3)]), ("holds", [0.0, 0.95]))
async def good_tlps_come_out_whole(dut, pause, gap, holds):
    """In order, without gaps, unchanged; credits bound the sender and all come back."""
    bench = await begin(dut)
    bench.holds = holds
    tlps = [to_segments(good_tlp(MOST_DWORDS)) for _ in range(100)]
    bench.waiting = [list(tlp) for tlp in tlps]
    await bench.drain(pause=pause, gap=gap)
    assert [tlp for _, tlp in bench.received] == tlps
    assert dut.drained.value
    free = [a - s for a, s in zip(bench.allocated, bench.sent, strict=True)]
    assert free == ADVERTISED


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def latency(dut):
    """Let a TLP that is alone leave 5 cycles after its last beat came."""
    bench = await begin(dut, honest=False)
    for segments in range(1, SEGMENT_COUNT + 1):
        for lane in range(SEGMENT_COUNT - segments + 1):
            tlp = Tlp(Kind.COMPLETION, data=bytes(32 * segments), length=8 * segments)
            bench.received = []
            came = bench.cycle
            bench.lanes = [*[None] * lane, *to_segments(tlp)]
            await bench.drain()
            assert [cycle - came for cycle, _ in bench.received] == [LATENCY]
    # Of several beats, the first leaves then.
    for segments in range(SEGMENT_COUNT + 1, min(MOST_DWORDS // 8, 4 * SEGMENT_COUNT) + 1):
        tlp = Tlp(Kind.COMPLETION, data=bytes(32 * segments), length=8 * segments)
        bench.received = []
        beats = -(-segments // SEGMENT_COUNT)
        came = bench.cycle + beats - 1
        bench.lanes = list(to_segments(tlp))
        await bench.drain()
        assert [cycle - came for cycle, _ in bench.received] == [LATENCY + beats - 1]


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(segments=[1, 2, 3, 5, 8, "longest", "mix"])
async def one_beat_a_cycle(dut, segments):
    """Saturated, whatever the lengths: as many beats come out in as many cycles as went in."""
    bench = await begin(dut, honest=False)
    most = MOST_DWORDS // 8
    size = {"longest": most, "mix": None}.get(segments, segments)
    waiting = []
    for _ in range(60 * SEGMENT_COUNT):
        count = min(most, size or random.randint(1, min(most, 40)))
        tlp = Tlp(
            random.choice([Kind.COMPLETION, Kind.MEMORY]),
            data=random.randbytes(32 * count),
            length=8 * count,
            first_be=15,
            last_be=15,
        )
        waiting.append(list(to_segments(tlp)))
        if sum(map(len, waiting)) > 260 * SEGMENT_COUNT:
            break
    # The end of the last beat is filled, so that no lane is left over.
    while sum(map(len, waiting)) % SEGMENT_COUNT:
        waiting.append(list(to_segments(Tlp(Kind.COMPLETION))))
    bench.waiting = list(waiting)
    needed = sum(map(len, waiting)) // SEGMENT_COUNT
    begun = bench.cycle
    await bench.drain()
    assert [tlp for _, tlp in bench.received] == waiting
    # The longest TLP's beats are the delay of a buffer that lets out whole TLPs.
    longest = 1 + -(-(max(map(len, waiting)) - 1) // SEGMENT_COUNT)
    used = bench.last_output - begun + 1 - LATENCY
    assert needed <= used <= needed + longest


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize((("pause", "gap"), [(0.0, 0.0), (0.3, 0.1)]))
async def hostile_sender(dut, pause, gap):
    """Pass whole what the model of TlpCheck passes, and nothing else; all credits come back."""
    bench = await begin(dut, honest=False)
    for _ in range(8):
        for _ in range(30):
            bench.waiting.append(affordable())
        await bench.drain(pause=pause, gap=gap)
        assert dut.drained.value
    assert [tlp for _, tlp in bench.received] == bench.passes
    assert len(bench.passes) > 100


def affordable() -> list[int | None]:
    """Hostile lanes that do not cost more than a class has for thirty of them."""
    while True:
        lanes = hostile_lanes(random.choice([4, 16, MOST_DWORDS]))
        if sum(cost(s)[1] for s in lanes if s is not None and field_of(s, "sop")) <= 256:
            return lanes


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def overflow_is_dropped(dut):
    """Lose TLPs of a sender that does not count, but no credits and nothing of the others."""
    bench = await begin(dut, honest=False)
    bench.holds = 0.97
    sent = []
    for _ in range(300):
        sent.append(to_segments(good_tlp(MOST_DWORDS)))
    bench.waiting = [list(tlp) for tlp in sent]
    await bench.drain()
    assert dut.drained.value
    received = [tuple(tlp) for _, tlp in bench.received]
    assert 10 < len(received) < len(sent)
    order = iter(tuple(tlp) for tlp in sent)
    assert all(tlp in order for tlp in received), "out of order, or changed"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def link_down(dut):
    """TLPs inside keep their credits: a new link gets what is free, the rest as it comes."""
    bench = await begin(dut)
    for _ in range(12):
        bench.holds = random.choice([0.5, 0.95, 1.0])
        tlps = [to_segments(good_tlp(MOST_DWORDS)) for _ in range(30)]
        bench.waiting = [list(tlp) for tlp in tlps]
        for _ in range(random.randint(1, 60)):
            await bench.step()
        # What is inside comes out meanwhile, and is held by the user.
        bench.holds = 1.0
        await take_down(bench, MOST_DWORDS // 8 // SEGMENT_COUNT + random.randint(12, 20))
        free = [most - held for most, held in zip(ADVERTISED, held_credits(bench), strict=True)]
        assert bench.allocated == free
        assert bool(dut.drained.value) == (not bench.held)
    await bench.drain()
    assert dut.drained.value


def held_credits(bench: Bench) -> list[int]:
    """Credits of TLPs that came out and were not returned."""
    held: Counter[int] = Counter()
    for segments in bench.held:
        tlp_class, units = cost(segments[0])
        held[2 * tlp_class] += 1
        held[2 * tlp_class + 1] += units
    return [held[index] for index in range(6)]


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_in_mid_tlp(dut):
    """Forget everything in a reset, whatever was on its way."""
    for _ in range(5):
        bench = await begin(dut)
        tlps = [to_segments(good_tlp(MOST_DWORDS)) for _ in range(20)]
        bench.waiting = [list(tlp) for tlp in tlps]
        await bench.drain(pause=0.1)
        assert [tlp for _, tlp in bench.received] == tlps
        bench.honest = False
        longest = Tlp(Kind.COMPLETION, data=bytes(MAX_PAYLOAD_BYTES), length=MOST_DWORDS)
        bench.lanes = [*to_segments(longest)[:-1]]
        for _ in range(random.randint(1, 20)):
            await bench.step()
