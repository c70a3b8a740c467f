"""The responder's campaigns on a stand-in for the hardware: they pass, and notice mistakes."""

import asyncio
import dataclasses

import pytest

from tb.roce.fake_engine import FakeEngine
from tb.roce.hostile import Assault, Attack
from tb.roce.oracle import FrameStep, Oracle
from tb.roce.player import Player
from tb.roce.requester import Campaign

MESSAGES = 400


async def play(engine: FakeEngine, seed: int, messages: int = MESSAGES, **options) -> Player:
    oracle = Oracle()
    campaign = Campaign(seed, oracle, queue_pairs=12, scatter_entries=4, longest=1 << 15)
    player = Player(engine, oracle, **options)
    await player.play(campaign.world.set_up())
    await player.check()
    for step in campaign.traffic():
        await player.play([step])
        if campaign.messages >= messages:
            break
    await player.check()
    return player


@pytest.mark.parametrize("seed", range(4))
def test_campaign(seed):
    player = asyncio.run(play(FakeEngine(seed=seed), seed))
    assert player.freedoms["acknowledgement covered by a later answer"] > 5
    assert player.waits["writes what is to be read"] + player.waits["key is taken away"]


def test_patient_campaign():
    player = asyncio.run(play(FakeEngine(), 9, 150, is_patient=True))
    assert not player.freedoms


def test_campaign_has_everything():
    """Each answer, each end of a receive request and each reason to refuse comes up."""
    oracle = Oracle()
    campaign = Campaign(5, oracle, queue_pairs=12, scatter_entries=4, longest=1 << 15)
    for _ in campaign.world.set_up():
        pass
    answers, lengths = set(), set()
    for step in campaign.traffic():
        if isinstance(step, FrameStep):
            lengths.add(len(step.frame))
            for answer in step.answers:
                syndrome = answer.headers.get("aeth", {}).get("syndrome", 0)
                answers.add((answer.bth["opcode"], syndrome if syndrome > 0x5F else syndrome >> 5))
        if campaign.messages > 2500:
            break
    model = oracle.model
    assert {code for code, _ in answers} >= {0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12, 0x81}
    assert {(0x11, 0x60), (0x11, 0x61), (0x11, 0x62), (0x11, 1)} <= answers
    assert {event for event, _ in model.events} == {"access", "request", "limit"}
    assert {completion.status.name for completion in model.completions} >= {
        "SUCCESS",
        "LOCAL_LENGTH",
        "FLUSHED",
    }
    assert set(model.dropped) >= {
        "ICRC",
        "INVALID_REQUEST",
        "P_Key",
        "no receive request",
        "sequence",
        "state",
    }
    assert model.congested
    assert len(lengths) > 300


class Mistake:
    """Does something wrong once, at the first frame after some at which it can."""

    def __init__(self, what):
        self.what, self.frames, self.done = what, 0, False

    def __call__(self, engine, frame):
        self.frames += 1
        if self.frames < 150 or self.done:
            return frame
        self.done = bool(self.what(engine))
        return frame


def answer_twice(engine):
    if engine.answers:
        engine.answers.append(engine.answers[-1])
    return engine.answers


def forget_answer(code, syndromes):
    def mistake(engine):
        for n, answer in enumerate(engine.answers):
            syndrome = answer.headers["aeth"]["syndrome"] if "aeth" in answer.headers else 0
            if answer.bth["opcode"] == code and syndrome in syndromes:
                del engine.answers[n]
                return True
        return False

    return mistake


def swap_answers(engine):
    """Change the order of a READ response and what was answered before, of one queue pair."""
    last = {}
    for n, answer in enumerate(engine.answers):
        peer = answer.bth["dest_qp"]
        before = last.get(peer)
        if before is not None and answer.bth["opcode"] == 0x0E:
            engine.answers[before], engine.answers[n] = answer, engine.answers[before]
            return True
        last[peer] = n
    return False


def change_data(engine):
    for n, answer in enumerate(engine.answers):
        if answer.payload:
            engine.answers[n] = dataclasses.replace(answer, payload=answer.payload[:-1] + b"?")
            return True
    return False


def write_outside(engine):
    engine.memory.write(1, 0x12345678, b"\1")
    return True


def forget_completion(engine):
    engine.poll()
    queue = engine.completions[0]  # that of the good ones in an assault
    return bool(queue) and queue.pop() is not None


def change_completion(engine):
    engine.poll()
    queue = engine.completions[0]
    for n, completion in enumerate(queue):
        if completion.byte_length:
            queue[n] = dataclasses.replace(completion, byte_length=completion.byte_length + 1)
            return True
    return False


def tell_of_nothing(engine):
    engine.events.append(("access", 3))
    return True


MISTAKES = {
    "answer twice": answer_twice,
    "change completion": change_completion,
    "change data": change_data,
    "forget completion": forget_completion,
    "forget fatal NAK": forget_answer(0x11, {0x61, 0x62}),
    "forget response": forget_answer(0x10, range(32)),
    "forget sequence NAK": forget_answer(0x11, {0x60}),
    "swap answers": swap_answers,
    "tell of nothing": tell_of_nothing,
    "write outside": write_outside,
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_noticed(name):
    mistake = Mistake(MISTAKES[name])
    with pytest.raises(AssertionError):
        # Of answers that fall together, a NAK may be one.
        is_patient = "NAK" in name
        asyncio.run(play(FakeEngine(spoil=mistake), 3, 4 * MESSAGES, is_patient=is_patient))
    assert mistake.done, "the campaign ended before it could be made"


def assault(spoil=None, packets=1000) -> Assault:
    attack = Attack(1, Oracle(), 4)
    found = Assault(FakeEngine(spoil=spoil), attack, lambda: 0, 128)
    asyncio.run(found.run(packets))
    return found


def test_assault():
    found = assault()
    assert found.messages > 100
    dropped = found.attack.oracle.memory
    assert dropped is not found.engine.memory


@pytest.mark.parametrize("name", ["write outside", "forget completion", "change completion"])
def test_mistakes_in_an_assault_are_noticed(name):
    mistake = Mistake(MISTAKES[name])
    with pytest.raises(AssertionError):
        assault(spoil=mistake)
    assert mistake.done
