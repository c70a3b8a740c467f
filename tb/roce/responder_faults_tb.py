"""cocotb tests of the whole responder that the model cannot say: memory that refuses, and time.

Environment: ``ROCE_CONFIG``, the engine's sizes as JSON.
"""

import random
from dataclasses import replace
from itertools import pairwise

import cocotb

from sim.roce import CompletionStatus, RocePacket, build

from .coalesced import is_notification
from .oracle import Oracle
from .player import Player
from .requester import Campaign
from .responder_bed import Bed, config_from_environment
from .responder_driver import REMOTE_OPERATION
from .world import CARD_V4, CARD_V6, Line

_REMOTE_OPERATIONAL_ERROR = 0x63
_PORTS = {"WRITE": "writes", "SEND": "writes", "READ": "reads", "FETCH_ADD": "atomic_reads"}


async def _start(dut) -> tuple[Bed, Campaign, Player]:
    config = config_from_environment()
    bed = Bed(dut, config, card_v4=CARD_V4, card_v6=CARD_V6)
    await bed.start()
    while True:
        oracle = Oracle()
        campaign = Campaign(
            random.getrandbits(32),
            oracle,
            queue_pairs=2,
            scatter_entries=config.scatter_entries,
            longest=1 << 14,
        )
        actions = list(campaign.world.set_up())
        # A SEND of some bytes has room.
        if all(line.qp.receives.requests[0].length for line in campaign.world.lines):
            break
    player = Player(bed, oracle)
    await player.play(actions)
    return bed, campaign, player


def _message(campaign: Campaign, line: Line, kind: str) -> list[RocePacket]:
    """Make a message that touches memory, and asks to be acknowledged."""
    requests = line.qp.receives.requests
    while True:
        before = line.psn
        packets = campaign.message(line, kind, requests[0].length if requests else 0)
        size = packets[0].headers.get("reth", {}).get("dma_length", len(packets[0].payload))
        if size or kind == "FETCH_ADD":
            last = packets[-1]
            bth = {**last.bth, "ack_req": 1}
            return [*packets[:-1], replace(last, headers={**last.headers, "bth": bth})]
        line.psn = before


def _syndromes(bed: Bed, line: Line) -> list[int]:
    return [
        answer.headers["aeth"]["syndrome"]
        for answer in bed.answers
        if answer.bth["dest_qp"] == line.qp.peer_queue_pair and "aeth" in answer.headers
    ]


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(kind=list(_PORTS))
async def memory_that_refuses(dut, kind):
    """Fail the queue pair, with one NAK and one event; nobody else notices; it can begin anew."""
    bed, campaign, player = await _start(dut)
    healthy, line = campaign.world.lines
    posted = [request.identifier for request in line.qp.receives.requests]
    port = {**bed.reads, **bed.writes}[_PORTS[kind]]
    port.refuses = lambda space, address, length: not bed.is_own(space, address)
    for packet in _message(campaign, line, kind):
        await bed.send(build(packet))
    await bed.settle()
    port.refuses = lambda space, address, length: False
    syndromes = _syndromes(bed, line)
    assert [s for s in syndromes if s >= 0x20] == [_REMOTE_OPERATIONAL_ERROR], syndromes
    assert bed.events == [("operation", line.qp.number)]
    bed.poll()
    completions = [c for queue in bed.completions.values() for c in queue]
    assert sorted(c.identifier for c in completions) == sorted(posted)
    # An entry may be written before memory has refused what it is about.
    early = {CompletionStatus.SUCCESS} if kind == "SEND" else set()
    statuses = {c.status for c in completions}
    assert statuses <= {CompletionStatus.FLUSHED, REMOTE_OPERATION} | early, statuses
    assert sum(c.status is CompletionStatus.SUCCESS for c in completions) <= 1
    bed.answers.clear()
    for other in (healthy, line):
        if other is line:
            line.qp.receives.requests.clear()
            await player.play(campaign.world.connect(line))
        for packet in _message(campaign, other, "WRITE"):
            await bed.send(build(packet))
        await bed.settle()
        assert _syndromes(bed, other)[-1] < 0x20, "is acknowledged"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def notifications_keep_their_interval(dut):
    """Of many marked packets, one in each interval draws a CNP; each queue pair for itself."""
    bed, campaign, player = await _start(dut)
    interval, ticks, cycles = 40, 300, 50
    dut.cnp_interval.value = interval
    sent = {line.qp.peer_queue_pair: [] for line in campaign.world.lines}
    for tick in range(ticks):
        dut.tick.value = 1
        await bed.wait(1)
        dut.tick.value = 0
        line = campaign.world.lines[tick % 2]
        if tick % 5 < 2:
            cnp_free = _message(campaign, line, "WRITE")[:1]
            duplicate = replace(cnp_free[0], ecn=3)
            line.psn = cnp_free[0].psn
            bth = {**duplicate.bth, "psn": (duplicate.psn - 9) % (1 << 24)}
            headers = {**duplicate.headers, "bth": bth}
            await bed.send(build(replace(duplicate, headers=headers)))
        await bed.wait(cycles)
        for answer in bed.answers:
            if is_notification(answer):
                sent[answer.bth["dest_qp"]].append(tick)
        bed.answers.clear()
    for times in sent.values():
        gaps = [later - earlier for earlier, later in pairwise(times)]
        # A packet takes a few ticks through the engine, some more than others.
        assert all(interval - 15 <= gap <= interval + 35 for gap in gaps), times
        assert len(times) >= ticks // (interval + 35), times
    assert player.engine is bed
