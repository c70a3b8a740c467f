"""cocotb tests of the whole responder: every recording of Soft-RoCE, and what a driver sees.

Environment: ``ROCE_CONFIG``, the engine's sizes as JSON; ``RECORDINGS``, a JSON file: what was
recorded about each recording, and its frames in hexadecimal, by name.
"""

import json
import os
from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path

import cocotb

from sim.roce import QueuePairState

from .captured import Side, sides
from .coalesced import is_notification
from .compare import compare_answers
from .oracle import Oracle
from .player import Player
from .ports import Stalls
from .responder_bed import Bed, config_from_environment
from .responder_driver import ARM, ARM_SOLICITED

_RECORDINGS = json.loads(Path(os.environ["RECORDINGS"]).read_text())
#: Receive requests of a queue pair whose own ones nobody recorded: more than any needs.
_POSTED = 48


def _load(name: str) -> list[Side]:
    recording = _RECORDINGS[name]
    return sides(name, recording["about"], map(bytes.fromhex, recording["frames"]))


async def _replay(bed: Bed, side: Side, *, is_patient: bool) -> Counter:
    """Put all that came to a host into the engine; give the freedoms that it took."""
    bed.forget()
    bed.set_cards(side.address)
    oracle = Oracle()
    side.set_up(oracle.model)
    player = Player(bed, oracle, is_patient=is_patient)
    for block, data in oracle.memory.blocks():
        bed.memory.write(block[0], block[1] << 12, data)
    for region in side.regions:
        await player.play([oracle.add(region)])
    for context in side.contexts.values():
        await player.play([oracle.set_up(context)])
    posted = sorted(islice(side.receive_requests(), _POSTED), key=lambda item: item[0])
    for number, frame, packet in side.requests():
        while posted and posted[0][0] <= number:
            request = posted.pop(0)[1]
            for context in side.contexts.values():
                await player.play([oracle.post(context.receives, request)])
        if packet is not None:
            oracle.memory.take_log()
            side.remember(oracle.model, packet)
            for space, begin, end in oracle.memory.take_log()[1]:
                held = oracle.memory.read(space, begin, end - begin)
                if bed.memory.read(space, begin, end - begin) != held:
                    await bed.settle()
                    bed.memory.write(space, begin, held)
        await player.play([oracle.frame(frame)])
    await bed.settle()
    answers = defaultdict(list)
    for answer in bed.answers:
        assert not is_notification(answer)
        answers[answer.bth["dest_qp"]].append(answer)
    await player.check()
    freedoms = Counter(player.freedoms)
    for number, context in side.contexts.items():
        difference, used = compare_answers(answers[number], side.answers(number))
        assert difference is None, f"Soft-RoCE answered otherwise: {difference}"
        freedoms += used
        if context.state is not QueuePairState.ERROR:
            await bed.tear_down(number)
    for region in side.regions:
        await bed.remove(region.key)
    await bed.settle()
    return freedoms


async def _bed(dut, stall: float) -> Bed:
    bed = Bed(dut, config_from_environment(), stalls=Stalls(stall))
    await bed.start()
    return bed


@cocotb.test(timeout_time=100, timeout_unit="ms")
@cocotb.parametrize((("is_patient", "stall"), [(True, 0.0), (False, 0.0), (False, 0.2)]))
async def every_recording(dut, is_patient, stall):
    """Answers, memory and completions are Soft-RoCE's; patient: without coalescing."""
    bed = await _bed(dut, stall)
    used: Counter = Counter()
    count = 0
    for name in sorted(_RECORDINGS):
        for side in _load(name):
            dut._log.info("%s: %s", name, side.address.hex())
            bed.clear_memory()
            used += await _replay(bed, side, is_patient=is_patient)
            count += 1
    assert count
    dut._log.info("%d hosts; freedoms: %s", count, dict(used))


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def an_armed_queue_interrupts_once(dut):
    """Not armed: silent; armed: once; armed for what is solicited: not for other entries."""
    (side,) = _load("v_rc_all_ops_m1024")
    bed = await _bed(dut, 0.0)
    bed.set_cards(side.address)
    oracle = Oracle()
    side.set_up(oracle.model)
    player = Player(bed, oracle)
    for region in side.regions:
        await player.play([oracle.add(region)])
    ((number, context),) = side.contexts.items()
    await player.play([oracle.set_up(context)])
    for _, request in side.receive_requests():
        await player.play([oracle.post(context.receives, request)])
    queue = bed.completion_queue(number)
    interrupts = 0
    kinds = (None, ARM, ARM_SOLICITED)
    is_armed: int | None = None
    turn = 0
    for _, frame, packet in side.requests():
        before = len(oracle.model.completions)
        await player.play([oracle.frame(frame)])
        await bed.settle()
        for completion in oracle.model.completions[before:]:
            if is_armed == ARM or (is_armed == ARM_SOLICITED and completion.solicited):
                interrupts += 1
                is_armed = None
        assert bed.interrupts == [queue + 1] * interrupts, (turn, packet and packet.name)
        if len(oracle.model.completions) != before:
            bed.poll()
            turn += 1
            kind = kinds[turn % 3]
            if kind is not None:
                is_armed = kind
                bed.arm(queue, kind)
                await bed.settle()
    assert interrupts > 3
