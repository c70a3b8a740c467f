"""Scenarios between two models, and cards that are wrong in one thing: each is found."""

from dataclasses import replace

import pytest

from sim.peer import CARD, GUEST, SCENARIOS, TOOLS, model_card
from sim.peer.model_card import ModelCard
from sim.peer.pair import WrongError
from tb.peer import TwoCards

#: Where Linux answers otherwise than the specification has it.
OF_LINUX = {"send-too-long-engine", "lost-uc-middle-engine"}
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def card(kind=ModelCard, me=CARD, peer=GUEST):
    return kind(mac=me.mac, peer_mac=peer.mac, addresses=(me.address_4, me.address_6))


def play(name: str, engine=None):
    two = TwoCards(engine or model_card(), card(me=GUEST, peer=CARD), seconds=40)
    two.play(BY_NAME[name])


def test_every_name_is_there_once():
    names = [item.name for item in (*SCENARIOS, *TOOLS)]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and " " not in name for name in names)


def test_both_sides_ask_for_everything_that_there_is():
    askers = {"engine": set(), "linux": set()}
    for item in (*SCENARIOS, *TOOLS):
        name, _, asker = item.name.rpartition("-")
        askers[asker].add(name)
    assert askers["engine"] == askers["linux"]
    wanted = {f"rc-mtu-{mtu}-ip{ip}" for mtu in (256, 512, 1024, 2048, 4096) for ip in (4, 6)}
    kinds = ["write", "write-immediate", "read", "send", "send-immediate"]
    wanted |= {f"rc-{kind}-ip4" for kind in [*kinds, "fetch-add", "compare-swap"]}
    wanted |= {"uc-write-ip4", "ud-send-ip6", "rnr", "wrong-key-write", "lost-write-middle"}
    assert wanted <= askers["engine"]


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - OF_LINUX))
def test_two_models(name):
    play(name)


class Scribbles(ModelCard):
    """Writes a byte where nobody asked for one."""

    def receive(self, frame, now):
        self.write(self.memory_address + 100_000, b"\0\0")
        return super().receive(frame, now)


class ForgetsImmediate(ModelCard):
    def received(self):
        return [replace(one, immediate=None) for one in super().received()]


class SaysItTwice(ModelCard):
    def sent(self):
        return [one for one in super().sent() for _ in range(2)]


class SaysNothing(ModelCard):
    def sent(self):
        return super().sent()[:0]


class ForgetsAtomics(ModelCard):
    """Executes an operation again that is asked for again."""

    def receive(self, frame, now):
        for queue_pair in self.engine.responder.queue_pairs.values():
            queue_pair.memory.clear()
        return super().receive(frame, now)


class SparesTheLastByte(ModelCard):
    """Leaves the last byte of the buffer as it was, whoever writes all of it."""

    def read(self, address, length):
        data = super().read(address, length)
        return data[:-1] + b"\0" if length == 1 << 17 else data


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (Scribbles, "rc-write-ip4-linux", "memory of engine: 2 bytes differ, .* offset 100000"),
        (Scribbles, "wrong-key-write-linux", "memory of engine"),
        (SparesTheLastByte, "rc-write-ip4-linux", "offset 131071"),
        (ForgetsImmediate, "rc-send-immediate-ip4-linux", "immediate=None"),
        (SaysItTwice, "rc-mtu-256-ip4-engine", "engine: Ended"),
        (SaysNothing, "rc-read-ip6-engine", "no completion"),
        (ForgetsAtomics, "lost-fetch-add-answer-linux", "RETRY_EXCEEDED"),
    ],
)
def test_a_card_that_is_wrong_is_found(kind, name, message, monkeypatch):
    monkeypatch.setattr("sim.peer.pair._POLL_SECONDS", 3)
    with pytest.raises(WrongError, match=message):
        play(name, card(kind))


def test_a_loss_that_does_not_happen_is_an_error():
    never = replace(BY_NAME["lost-read-request-engine"], play=_watch_nothing)
    two = TwoCards(model_card(), card(me=GUEST, peer=CARD), seconds=20)
    with pytest.raises(WrongError, match="the wire saw no unicorn"):
        two.play(never)


def _watch_nothing(pair):
    pair.watch(lambda packet: False, asked=True, losses=1, what="unicorn")
