"""Tests of Protocol: packets of any kind, each against what the golden model does about it."""

import os
import random
from collections import Counter
from typing import Any

import cocotb

from hdl.roce.layouts import ActionKind, EventKind
from hdl.roce.task import AsyncEventKind, AsyncEventLayout
from sim.roce import (
    CompletionStatus,
    QueuePairState,
    Responder,
    RocePacket,
)

from ..stream import start
from .protocol_bed import Bed
from .protocol_world import CARD, CONFIG, Expected, World, receive_queue

PACKETS = int(os.environ["PACKETS"])
#: Packets that are put in back to back.
BATCH = 25


@cocotb.test(timeout_time=60, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5], pause=[0.0, 0.3])
async def each_packet_has_the_model_s_effect(dut, stall, pause):
    """Actions, jobs and events are what the model does, packet by packet."""
    world = World()
    bed = Bed(dut, world, stall=stall, pause=pause)
    await start(dut)
    for region in world.regions:
        bed.set_key(region)
    for index in range(16):
        bed.set_queue_pair(index)
    await bed.settle()
    for _ in range(16):
        action = await bed.action()
        assert action.revive and action.event.kind == EventKind.RESET.value
    kinds: Counter = Counter()
    for _ in range(PACKETS // 4 // BATCH):
        await one_batch(bed, world, kinds)
    assert sum(kinds.values()) - kinds["NOTHING"] > PACKETS // 20, kinds
    for wanted in ("NOTHING", "ACK", "SEQUENCE_NAK", "RNR_NAK", "FATAL_NAK", "JOB"):
        assert kinds[wanted] > 5, kinds


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pairs=[8, 1])
async def a_packet_every_two_cycles(dut, pairs):
    """Packets of several queue pairs take 2 cycles each, of one 4; with narrow beats all 8."""
    world = World()
    bed = Bed(dut, world, stall=0, pause=0)
    await start(dut)
    region = world.regions[0]
    bed.set_key(region)
    # Reliable ones of the region's protection domain.
    numbers = [n for n in range(16) if n % 4 == 0 and n < 12][:pairs]
    for index in numbers:
        world.model.queue_pairs[0x500 | index].domain = region.domain
        bed.set_queue_pair(index)
    await bed.settle()
    for _ in numbers:
        await bed.action()
    bed.actions.restart()
    count = 120
    for number in range(count):
        qp = world.model.queue_pairs[0x500 | numbers[number % len(numbers)]]
        bth = {"opcode": 0x0A, "dest_qp": qp.number, "psn": qp.expected, "p_key": qp.p_key | 0x8000}
        reth = {"virtual_address": region.base, "r_key": region.key, "dma_length": 64}
        card = CARD if len(qp.peer) == 4 else bytes(15) + b"\xc8"
        packet = RocePacket(card, qp.peer, {"bth": bth, "reth": reth}, bytes(64))
        bed.send(world.put("rate", packet, 0))
    for _ in range(count):
        assert (await bed.action()).kind == ActionKind.WRITE.value
    each = 8 if CONFIG.is_narrow else 2 if len(numbers) > 1 else 4
    assert bed.actions.span <= each * (count - 1) + 1, bed.actions.span


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_limit_is_told_once(dut):
    """Of two queue pairs that take turns at a shared queue, back to back, one brings it below."""
    world = World()
    bed = Bed(dut, world, stall=0, pause=0)
    await start(dut)
    model = world.model
    pair = [model.queue_pairs[0x500 | index] for index in (4, 5)]
    for qp in pair:
        bed.set_queue_pair(qp.number & 15)
    await bed.settle()
    for _ in pair:
        await bed.action()
    for limit in range(1, CONFIG.receive_depth):
        while len(world.shared.requests) < CONFIG.receive_depth:
            world.post(pair[0])
        bed.post()
        world.shared.limit = limit
        bed.set_limit(pair[0])
        await bed.settle()
        told = len(model.events)
        sent = []
        for number in range(CONFIG.receive_depth):
            qp = pair[number % 2]
            bth = {"opcode": 0x04, "dest_qp": qp.number, "psn": qp.expected}
            bth["p_key"] = qp.p_key | 0x8000
            card = CARD if len(qp.peer) == 4 else bytes(15) + b"\xc8"
            sent.append(world.put("limit", RocePacket(card, qp.peer, {"bth": bth}, b""), 0))
            bed.send(sent[-1])
        for expected in sent:
            bed.check(await bed.action(), expected)
        await bed.settle()
        assert len(model.events) == told + 1
        await check_told(bed, model, told, len(model.congested))


async def one_batch(bed: Bed, world: World, kinds: Counter) -> None:
    """Put some packets in, back to back, among them those of one queue pair."""
    model = world.model
    for qp in list(model.queue_pairs.values()):
        if qp.state is QueuePairState.ERROR and random.random() < 0.9:
            world.add_queue_pair(qp.number & 15)
            bed.set_queue_pair(qp.number & 15)
        for _ in range(random.randrange(3)):
            world.post(qp)
    bed.post()
    for qp in random.sample(list(model.queue_pairs.values()), 4):
        qp.receives.limit = random.randrange(1, CONFIG.receive_depth)
        bed.set_limit(qp)
    await bed.settle()
    await bed.tick(random.randrange(3))
    flushed: Counter = Counter()
    wanted: list[Expected] = []
    congested = len(model.congested)
    told = len(model.events)
    favourite = random.choice(list(model.queue_pairs.values()))
    for _ in range(BATCH):
        everyone = list(model.queue_pairs.values())
        ready = [qp for qp in everyone if qp.state is QueuePairState.READY]
        qp = random.choice(ready if ready and random.random() < 0.95 else everyone)
        if favourite.state is QueuePairState.READY and random.random() < 0.5:
            qp = favourite
        about, packet = world.packet(qp)
        expected = world.put(about, packet, bed.time)
        for completion in expected.completions[:]:
            if completion.status is CompletionStatus.FLUSHED:
                expected.completions.remove(completion)
                flushed[completion.queue_pair, completion.identifier] += 1
        wanted.append(expected)
        bed.send(expected)
    for expected in wanted:
        action = await bed.action()
        while not action.has_packet:
            flush_of(action, flushed)
            action = await bed.action()
        bed.frame = expected.frame
        bed.check(action, expected)
        kinds[EventKind(action.event.kind).name] += 1
    while flushed:
        action = await bed.action()
        assert not action.has_packet
        flush_of(action, flushed)
    await bed.settle()
    while not bed.actions.received.empty():
        flush_of(await bed.action(), flushed)
    await check_told(bed, model, told, congested)


def flush_of(action: Any, flushed: Counter) -> None:
    """Count off what a flush gave back."""
    assert not action.has_packet
    assert action.kind == ActionKind.DROP.value
    if action.revive:
        assert action.event.kind == EventKind.RESET.value
        return
    assert action.event.kind == EventKind.NOTHING.value
    found = action.completion
    if found.valid:
        assert found.status == CompletionStatus.FLUSHED.value
        key = (found.queue_pair, found.handle)
        assert flushed[key], key
        flushed[key] -= 1
        if not flushed[key]:
            del flushed[key]


async def check_told(bed: Bed, model: Responder, told: int, congested: int) -> None:
    """Compare events and congestion notifications of a batch."""
    kinds = {"access": AsyncEventKind.ACCESS, "request": AsyncEventKind.REQUEST}
    wanted: Counter = Counter()
    for kind, number in model.events[told:]:
        if kind == "limit":
            queue = receive_queue(model.queue_pairs[number])
            wanted[AsyncEventKind.LIMIT.value, queue] += 1
        else:
            wanted[kinds[kind].value, number] += 1
    found: Counter = Counter()
    while not bed.async_events.received.empty():
        event = AsyncEventLayout().from_bits(await bed.async_events.received.get())
        found[event.kind, event.number] += 1
    assert found == wanted
    numbers = []
    while not bed.congested.received.empty():
        numbers.append(0x500 | await bed.congested.received.get())
    assert numbers == model.congested[congested:]
