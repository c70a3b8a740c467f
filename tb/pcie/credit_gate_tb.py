"""cocotb testbench of hdl.pcie.CreditGate."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from hdl.pcie.parts import CreditAmountsLayout
from hdl.pcie.port import CreditCountsLayout
from sim.pcie import CreditGateModel
from tb.stream import start

from .credit_amounts import KINDS, pack, unpack

LIMITS = CreditCountsLayout()
AVAILABLE = CreditAmountsLayout(13, 17)
SPEND = CreditAmountsLayout(3, 11)
MOST = {"headers": 4, "data": 1024}


class Bench:
    """The gate beside its model; limits as a list of six, changed by the test at will."""

    def __init__(self, dut):
        self.dut = dut
        self.edge = RisingEdge(dut.clk)
        self.limits = [0] * 6

    async def bring_up(self, scale: int, infinite: list[bool]) -> None:
        """Raise the link together with what InitFC found; some cycles of it down before."""
        self.scale, self.infinite = scale, infinite
        self.dut.link_up.value = 0
        for _ in range(3):
            await self.step([0] * 6)
        assert self.available == [0] * 6
        self.dut.scale.value = scale
        self.dut.infinite.value = sum(bit << n for n, bit in enumerate(infinite))
        self.model = CreditGateModel(scale, infinite)
        self.dut.link_up.value = 1
        for _ in range(2):
            await self.step([0] * 6)
            assert self.available == [0] * 6
            # What was negotiated holds, whatever is said later.
            self.dut.scale.value = random.getrandbits(2)
            self.dut.infinite.value = random.getrandbits(6)

    async def step(self, spend: list[int]) -> None:
        """One cycle; ``available`` is what the gate showed in it."""
        self.dut.limits.value = pack(
            LIMITS, [limit % (4096, 65536)[n % 2] for n, limit in enumerate(self.limits)]
        )
        self.dut.spend.value = pack(SPEND, spend)
        await self.edge
        self.available = unpack(AVAILABLE, int(self.dut.available.value))

    def garbage(self, index: int) -> int:
        """Bits above the partner's field."""
        return random.getrandbits(8) * self.model.ranges[index]


async def begin(dut) -> Bench:
    """Release reset with the link down."""
    for name in ("limits", "infinite", "scale", "link_up", "spend"):
        dut[name].value = 0
    await start(dut)
    return Bench(dut)


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(scale=[0, 1, 2])
async def latencies_are_as_stated(dut, scale):
    """First limits 4 cycles after the link, later ones after 3, a spend after 1."""
    bench = await begin(dut)
    await bench.bring_up(scale, [False] * 6)
    unit = 4**scale
    bench.limits = [unit * 5] * 6
    for expected in (0, 0, 0, 5 * unit):
        await bench.step([0] * 6)
        assert bench.available == [expected] * 6
    bench.limits = [unit * 7] * 6
    for expected, spend in ((5 * unit, 1), (5 * unit - 1, 2), (5 * unit - 3, 1), (7 * unit - 4, 0)):
        await bench.step([spend] * 6)
        assert bench.available == [expected] * 6
    bench.dut.link_up.value = 0
    await bench.step([0] * 6)
    await bench.step([0] * 6)
    assert bench.available == [0] * 6


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(scale=[0, 1, 2])
async def limits_that_cannot_be_are_not_taken(dut, scale):
    """Limits backwards or more than half the range ahead change nothing; half of it counts."""
    bench = await begin(dut)
    await bench.bring_up(scale, [False] * 6)
    for _ in range(40):
        target = random.choice(["back", "far", "half", "near"])
        old = list(bench.model.limits)
        for index in range(6):
            size, left = bench.model.ranges[index], bench.model.available(index)
            unit = bench.model.unit
            room = (size // 2 - left) // unit  # units that still fit
            move = {
                "back": -random.randint(1, left // unit) if left >= unit else 0,
                "far": random.randint(room + 1, size // unit - 1 - left // unit),
                "half": room,
                "near": random.randint(0, room),
            }[target]
            limit = old[index] + move * unit
            taken = bench.model.update(index, limit)
            assert taken == (target in ("half", "near") or not move)
            bench.limits[index] = limit + bench.garbage(index) + random.randrange(unit)
        for _ in range(5):
            await bench.step([0] * 6)
        assert bench.available == [bench.model.available(index) for index in range(6)]
        spend = [min(left, MOST[KINDS[n % 2]]) for n, left in enumerate(bench.available)]
        spend = [random.randint(0, most) for most in spend]
        # The odd limit must not come true by what is spent meanwhile.
        bench.limits = list(bench.model.limits)
        await bench.step(spend)
        for index in range(6):
            bench.model.spend(index, spend[index])


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(scale=[0, 1, 2], greed=[0.2, 1.0])
async def honest_partner(dut, scale, greed):
    """Never more than the limit less what was spent, and after a rest exactly that; counts wrap."""
    bench = await begin(dut)
    infinite = [random.random() < 0.25 for _ in range(6)]
    await bench.bring_up(scale, infinite)
    model = bench.model
    wrapped = 0
    shown_next = [0] * 6
    for round_number in range(1500):
        resting = round_number % 50 >= 44
        if not resting and random.random() < 0.4:
            for index in range(6):
                size, left = model.ranges[index], model.available(index)
                if left is None:
                    bench.limits[index] = random.getrandbits(16)
                    continue
                step = random.randint(0, (size // 2 - model.unit - left) // model.unit)
                limit = model.limits[index] + step * model.unit
                wrapped += limit // size != model.limits[index] // size
                assert model.update(index, limit)
                bench.limits[index] = limit + bench.garbage(index)
        spend = [0] * 6
        if not resting and random.random() < greed:
            for index in range(6):
                most = min(MOST[KINDS[index % 2]], shown_next[index])
                spend[index] = random.choice([most, random.randint(0, most)])
        await bench.step(spend)
        for index, left in enumerate(model.available(index) for index in range(6)):
            if left is None:
                assert bench.available[index] == (8191, 131071)[index % 2]
                continue
            assert bench.available[index] <= left
            if round_number % 50 == 49:
                assert bench.available[index] == left
        # What the next cycle may spend: what was shown, less what goes now.
        shown_next = [a - s for a, s in zip(bench.available, spend, strict=True)]
        for index in range(6):
            model.spend(index, spend[index])
    assert wrapped > 6 or all(infinite)


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(scale=[0, 1, 2])
async def hostile_partner(dut, scale):
    """Limits at random: what is shown is always a limit that was given less what was spent."""
    bench = await begin(dut)
    for _ in range(10):
        await bench.bring_up(scale, [False] * 6)
        sizes = bench.model.ranges
        unit = bench.model.unit
        given = [{0, bench.limits[n] % sizes[n] // unit * unit} for n in range(6)]
        spent = [0] * 6
        left = [0] * 6
        for _ in range(200):
            for index in range(6):
                if random.random() < 0.5:
                    bench.limits[index] = random.getrandbits(16)
                field = bench.limits[index] % sizes[index]
                given[index].add(field // unit * unit)
            spend = [random.randint(0, min(a, MOST[KINDS[n % 2]])) for n, a in enumerate(left)]
            await bench.step(spend)
            for index in range(6):
                shown = bench.available[index]
                assert shown >= left[index] and shown <= sizes[index] // 2
                assert (shown + spent[index]) % sizes[index] in given[index]
                spent[index] += spend[index]
                left[index] = shown - spend[index]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_and_link_down_forget(dut):
    """After either, nothing is available until a new link gives it, and counts begin at 0."""
    bench = await begin(dut)
    for number in range(20):
        await bench.bring_up(random.randrange(3), [random.random() < 0.2 for _ in range(6)])
        for index in range(6):
            bench.limits[index] = random.randrange(1, 128) * bench.model.unit
        for _ in range(random.randint(1, 6)):
            await bench.step([0] * 6)
        await bench.step([min(a, 3) for a in bench.available])
        if number % 2:
            dut.rst.value = 1
            dut.link_up.value = 0
            await bench.step([0] * 6)
            dut.rst.value = 0
        dut.link_up.value = 0
        bench.limits = [random.getrandbits(16) for _ in range(6)]
