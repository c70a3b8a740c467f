"""The golden model of the requester sends what Soft-RoCE sent, in every recording."""

from collections import Counter

import pytest

from headrace.capture import read_frames
from sim.roce import KeyTable, Memory, Requester
from tb.roce.captured_requests import AskingSide
from tb.roce.recordings import BEHIND_A_NAK, FAILED, NAMES, TIMERS, VERBS, path_of, recorded, says
from tb.roce.recordings import load as load_frames

PSNS = 1 << 24


def load(name: str) -> list[AskingSide]:
    """Give the hosts of a recording."""
    return load_frames(name, read_frames(path_of(name)))


def replay(side: AskingSide) -> tuple[Requester, Counter]:
    """Let the model send whenever the host did, and compare; what it used besides."""
    requester = Requester(Memory(), KeyTable())
    side.set_up(requester)
    used = Counter()
    now = 0
    for frame, packet in side.frames:
        now += 1000
        if packet is None:
            continue
        if side.is_answer(packet):
            requester.receive(frame, now)
        if not side.is_request(packet):
            continue
        number = side.queue_pair(packet)
        asked = side.requests[number]
        while asked and (packet.psn - asked[0][0]) % PSNS < PSNS // 2:
            requester.post(number, asked.pop(0)[1])
        ours = next(requester.transmit(number, now), None)
        if ours is None and (time := requester.deadline(number)) is not None:
            used["timer"] += 1
            now = max(now, time)
            requester.expire(number, now)
            ours = next(requester.transmit(number, now), None)
        if ours is None:
            used["behind a NAK"] += 1
        else:
            assert says(ours) == says(packet)
            used["packets"] += 1
    for number in side.contexts:
        # As the program did at the end of a recording in which nothing came back.
        while (time := requester.deadline(number)) is not None:
            now = max(now, time)
            requester.expire(number, now)
            assert list(requester.transmit(number, now)) == []
    return requester, used


@pytest.mark.parametrize("name", NAMES)
def test_packets(name):
    used = Counter()
    for side in load(name):
        count = len(list(side.sent()))
        requester, more = replay(side)
        assert more["packets"] + more["behind a NAK"] == count
        used += more
        statuses = {completion.status.name for completion in requester.completions}
        assert statuses == {FAILED.get(name, "SUCCESS")}
        assert not any(side.requests.values())
        for queue_pair in requester.queue_pairs.values():
            assert not queue_pair.started
            assert not queue_pair.waiting
    assert used["packets"] > 0
    assert used["behind a NAK"] == BEHIND_A_NAK.get(name, 0)
    assert used["timer"] == TIMERS.get(name, 0)


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith(("v_", "f_"))])
def test_completions(name):
    (side,) = load(name)
    requester, _ = replay(side)
    ours = [(c.identifier, VERBS[c.status.name], c.byte_length) for c in requester.completions]
    assert ours == recorded(side.about)


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("v_rc_all") or "_read_re" in n])
def test_what_reads_bring(name):
    (side,) = load(name)
    asked = [request for _, request in side.requests[next(iter(side.contexts))]]
    requester, _ = replay(side)
    reads = [request for request in asked if request.kind.name == "READ"]
    assert reads
    for request in reads:
        data = b"".join(requester.memory.read(0, *piece[1:]) for piece in request.gather)
        assert data == side.wanted(request)


def test_what_atomics_bring():
    (side,) = load("v_rc_atomics")
    asked = [request for _, request in side.requests[next(iter(side.contexts))]]
    requester, _ = replay(side)
    found = [
        int.from_bytes(requester.memory.read(0, *request.gather[0][1:]), "little")
        for request in asked
    ]
    assert found == [int(op["orig"].split()[-1], 0) for op in side.about["ops"]]
