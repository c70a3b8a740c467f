"""cocotb testbench of hdl.roce.engine: whatever frame is lost, everything happens once, in time."""

import os
import random
from collections import deque

import cocotb

from .engine_bed import EngineBed
from .exchange import Exchange, Pair, Plan, World, random_script, short_script
from .responder_bed import config_from_environment

_CONFIG = config_from_environment()
_LONG = "LONG" in os.environ
#: Exchanges at a time; queue pair numbers differ in their low 4 bits.
_PAIRS = 7
#: Cycles of a work request beside those of others, and what a lost frame adds: a timeout of 2048,
#: and a look.
_LIMIT, _LOSS = 800, 2200


def limit(plan: Plan) -> int:
    """Give the cycles in which an exchange has to end."""
    losses = sum(len(drops) for drops in plan.drops)
    return _LIMIT * max(len(script) for script in plan.scripts) + _LOSS * losses


async def begin(dut) -> World:
    """Give a device, whose time goes on by a tick a cycle."""
    bed = EngineBed(dut, _CONFIG, queue_shift=10)
    await bed.start()
    dut.tick.value = 1
    world = World(bed)
    await world.begin()
    return world


async def work(world: World, pair: Pair, plans: deque[Plan], took: list[int]) -> None:
    """Let a pair have one exchange after the other."""
    while plans:
        plan = plans.popleft()
        took.append(await Exchange(world, pair, plan).run(limit=limit(plan)))


async def all_of(world: World, plans: list[Plan]) -> list[int]:
    """Let all pairs work on the plans; give the cycles of each."""
    waiting = deque(plans)
    took: list[int] = []
    pairs = [Pair((16 + 2 * n, 17 + 2 * n)) for n in range(_PAIRS)]
    tasks = [cocotb.start_soon(work(world, pair, waiting, took)) for pair in pairs]
    for task in tasks:
        await task
    assert len(took) == len(plans)
    cocotb.log.info("%d exchanges, of up to %d cycles", len(took), max(took))
    return took


async def frames_of(world: World, plan: Plan) -> list[int]:
    """Count the frames of a plan without losses, by direction."""
    exchange = Exchange(world, Pair((30, 31)), plan)
    await exchange.run(limit=limit(plan))
    return [link.fates["sent"] for link in exchange.links]


@cocotb.test()
@cocotb.parametrize(has_credits=[False, True], is_late=[False, True])
async def any_frame_may_be_lost(dut, has_credits, is_late):
    """Each frame of an exchange is lost in its turn."""
    world = await begin(dut)
    scripts = (short_script(), short_script()[::-1])
    if _LONG:
        scripts = (random_script(random.Random(0), 16), random_script(random.Random(1), 16))
    plan = Plan(scripts, has_credits=has_credits, is_late=is_late)
    counts = await frames_of(world, plan)
    assert min(counts) > 15
    plans = [
        Plan(scripts, (drops, ()) if way == 0 else ((), drops), has_credits, is_late)
        for way, count in enumerate(counts)
        for drops in ([n] for n in range(count))
    ]
    await all_of(world, plans)


def few(rng: random.Random) -> list[int]:
    """Draw up to three numbers of frames."""
    return [rng.randrange(30) for _ in range(rng.randrange(4))]


@cocotb.test()
async def any_few_frames_may_be_lost(dut):
    """Lose some frames of an exchange, those that are sent again too."""
    world = await begin(dut)
    rng = random.Random(random.getrandbits(32))
    plans = []
    for _ in range(1000 if _LONG else 30):
        drops = (few(rng), few(rng))
        scripts = (random_script(rng, 8), random_script(rng, 8))
        plans.append(Plan(scripts, drops, rng.random() < 0.5, rng.random() < 0.3))
    await all_of(world, plans)
