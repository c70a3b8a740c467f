"""cocotb campaign of the whole responder: random traffic against the golden model.

Environment: ``ROCE_CONFIG``, the engine's sizes as JSON; ``MESSAGES``; ``RANDOM_SEED`` of the
run, which the campaign's own numbers come from. What is random: :mod:`tb.roce.requester`.
"""

import os
import random
from collections import Counter

import cocotb

from .oracle import FrameStep, Oracle
from .player import Player
from .ports import Stalls
from .requester import Campaign
from .responder_bed import Bed, config_from_environment
from .world import CARD_V4, CARD_V6

_MESSAGES = int(os.environ["MESSAGES"])
_QUEUE_PAIRS = 12
#: Messages after which all is compared.
_CHECK = 500
#: Of which one in so many is sent with a pause behind each packet.
_PATIENT_SHARE = 20
_NAKS = (
    "sequence NAK came late, with a later PSN",
    "NAK overtaken by the answer to what it asked for",
)


async def _campaign(dut, *, stall: float, latency: tuple[int, int], messages: int, patient: bool):
    config = config_from_environment()
    bed = Bed(dut, config, stalls=Stalls(stall), latency=latency, card_v4=CARD_V4, card_v6=CARD_V6)
    await bed.start()
    oracle = Oracle()
    campaign = Campaign(
        random.getrandbits(32),
        oracle,
        queue_pairs=_QUEUE_PAIRS,
        scatter_entries=config.scatter_entries,
        # At 8 bytes a beat 1 MiB takes longer than all the rest.
        longest=1 << 20 if config.data_bytes >= 64 and not patient else 1 << 16,
    )
    player = Player(bed, oracle, is_patient=patient)
    await player.play(campaign.world.set_up())
    await player.check()
    frames, answers = 0, Counter()
    due = _CHECK
    for step in campaign.traffic():
        if isinstance(step, FrameStep):
            frames += 1
            for answer in step.answers:
                syndrome = answer.headers.get("aeth", {}).get("syndrome", 0)
                answers[
                    answer.bth["opcode"], syndrome if syndrome >= 0x60 else syndrome & 0x20
                ] += 1
        elif step.kind == "queue_pair":
            # All has settled: what went wrong is found where it did.
            await player.check(memory=False)
        await player.play([step])
        if campaign.messages >= min(due, messages):
            due += _CHECK
            await player.check(memory=campaign.messages >= messages)
            dut._log.info("%d messages, cycle %d", campaign.messages, bed.later.cycle)
            if campaign.messages >= messages:
                break
    assert not bed.damaged
    assert not bed.queue_errors, "a completion queue overflowed"
    dut._log.info(
        "%d messages, %d frames, %d cycles; answers %s; freedoms %s; waits %s",
        campaign.messages,
        frames,
        bed.later.cycle,
        {f"{code:#x} {kind:#x}": count for (code, kind), count in sorted(answers.items())},
        dict(player.freedoms),
        dict(player.waits),
    )
    naks = answers[0x11, 0x60] + answers[0x11, 0x20]
    assert 2 * sum(player.freedoms[name] for name in _NAKS) <= naks, "most NAKs are to be sent"


@cocotb.test(timeout_time=100, timeout_unit="sec")
@cocotb.parametrize(stall=[0.0, 0.15])
async def random_traffic(dut, stall):
    """Whatever comes, answers, memory, completions and events are the model's."""
    latency = (4, 200) if stall else (10, 20)
    await _campaign(dut, stall=stall, latency=latency, messages=_MESSAGES // 2, patient=False)


@cocotb.test(timeout_time=100, timeout_unit="sec")
async def random_traffic_with_pauses(dut):
    """Whoever waits for each answer gets exactly the model's, without any freedom."""
    messages = max(50, _MESSAGES // _PATIENT_SHARE)
    await _campaign(dut, stall=0.0, latency=(4, 60), messages=messages, patient=True)
