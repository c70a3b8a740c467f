"""The models of both sides talk to each other, whatever the wire does."""

import random

import pytest

from sim.network import Faults, Link
from sim.roce import (
    QueuePairState,
    ReceiveRequest,
    SendKind,
    SendRequest,
    SendState,
    Service,
)
from tb.roce.conversation import Conversation, converse

KINDS = [SendKind.SEND, SendKind.WRITE, SendKind.READ, SendKind.COMPARE_SWAP, SendKind.FETCH_ADD]
SECOND = 10**9


def lengths(rng: random.Random, mtu: int) -> int:
    """Length of a message: small, or near a whole number of packets."""
    near = rng.choice([1, 2, 3, 17, 40]) * mtu + rng.randint(-1, 1)
    return rng.choice([0, 1, 3, 64, rng.randint(0, 300), near])


def talk(seed: int, faults: Faults, requests: int, **fields) -> tuple[Conversation, list[Link]]:
    """Let two cards ask for random things, over links of these faults, and check what came."""
    talked = Conversation(seed, [Service.RC] * 3, timeout=200_000, **fields)
    rng = random.Random(seed)
    for _ in range(requests):
        mine, number = rng.randrange(2), rng.randrange(3)
        mtu = talked.cards[0].responder.queue_pairs[number].mtu
        talked.ask(mine, number, rng.choice(KINDS), lengths(rng, mtu))
    links = [
        Link(seed=seed + n, bits_per_second=10**10, delay=1000, faults=faults, lateness=30_000)
        for n in range(2)
    ]
    converse(talked.cards, links, limit=20 * SECOND)
    talked.check()
    return talked, links


def test_without_faults_nothing_is_sent_twice():
    talked, links = talk(1, Faults(), 60)
    packets = sum(q.end - q.psn for c in talked.cards for q in c.requester.queue_pairs.values())
    assert sum(link.fates["sent"] for link in links) <= 2 * packets
    for card in talked.cards:
        assert card.requester.dropped == []
        assert card.responder.dropped == []


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["drop", "duplicate", "reorder", "corrupt"])
def test_faults(seed, kind):
    _, links = talk(seed, Faults(**{kind: 0.02}), 30)
    assert sum(sum(link.fates.values()) - link.fates["sent"] for link in links) > 0


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fields", [{"reads": 1}, {"window": 3}, {"has_credits": True}])
def test_limits(seed, fields):
    talk(seed, Faults(drop=0.01, reorder=0.01), 30, **fields)


@pytest.mark.parametrize("seed", range(4))
def test_windows(seed):
    talked = Conversation(seed, [Service.RC] * 3, timeout=200_000)
    rng = random.Random(seed)
    pairs = [(mine, number) for mine in range(2) for number in range(3)]
    links = [
        Link(seed=seed + n, bits_per_second=10**10, delay=1000, faults=Faults(drop=0.02))
        for n in range(2)
    ]
    for pair in pairs:
        talked.bind(*pair)
    now = converse(talked.cards, links, limit=SECOND)
    for _ in range(30):
        talked.ask(*rng.choice(pairs), rng.choice(KINDS), lengths(rng, 1024))
    now = converse(talked.cards, links, limit=20 * SECOND, now=now)
    talked.check()
    keys = [talked.unbind(*pair) for pair in pairs]
    now = converse(talked.cards, links, limit=21 * SECOND, now=now)
    talked.check()
    fields = {"remote_key": keys[pairs.index((1, 0))], "signalled": True}
    talked.ask(0, 0, SendKind.WRITE, 8, immediate=None, **fields)
    converse(talked.cards, links, limit=22 * SECOND, now=now)
    assert talked.cards[0].requester.completions[-1].status.name == "REMOTE_ACCESS"


def join(service: Service) -> Conversation:
    """Let a card ask for what the other one refuses, while both wait for SENDs."""
    talked = Conversation(1, [service], timeout=200_000)
    for card in talked.cards:
        request = ReceiveRequest(77, ((0, 0, 64),))
        card.responder.queue_pairs[0].receives.requests.append(request)
    asks, _ = talked.cards
    wrong = SendRequest(1, SendKind.WRITE, inline=b"no", remote_key=0x9900)
    if service is Service.UC:
        wrong = SendRequest(1, SendKind.READ)  # not of this service
    asks.requester.post(0, wrong)
    converse(talked.cards, [Link(seed=n) for n in range(2)], limit=SECOND)
    assert [c.status.name for c in asks.requester.completions] == [
        "REMOTE_ACCESS" if service is Service.RC else "LOCAL_OPERATION"
    ]
    return talked


def test_an_error_ends_both_halves_at_both_ends():
    talked = join(Service.RC)
    for card in talked.cards:
        assert card.requester.queue_pairs[0].state is SendState.ERROR
        assert card.responder.queue_pairs[0].state is QueuePairState.ERROR
        assert [c.status.name for c in card.responder.completions] == ["FLUSHED"]
        card.requester.post(0, SendRequest(2, SendKind.SEND))
        assert card.requester.completions[-1].status.name == "FLUSHED"


def test_an_unreliable_queue_pair_still_receives():
    talked = join(Service.UC)
    for card in talked.cards:
        assert card.responder.queue_pairs[0].state is QueuePairState.READY
        assert card.responder.completions == []
