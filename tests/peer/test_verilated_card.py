# amaranth: UnusedElaboratable=no
"""Scenarios between the Verilated engine and a model in the place of Linux."""

from contextlib import closing
from dataclasses import replace

import pytest

from sim.peer import CARD, GUEST, SCENARIOS
from sim.peer.card import CardLostError
from sim.peer.model_card import ModelCard
from sim.roce import Rights
from tb.peer import TwoCards, VerilatedCard

#: Times without an answer are doubled so often.
PATIENCE = 2
#: What is mended long before a time runs out, which is one of hours here: a NAK, or what comes
#: behind a gap, says what was lost.
SOON = ("lost-write-middle", "lost-read-response-middle")
_HOURS = 31
NAMES = [
    "rc-mtu-256-ip4",
    "rc-mtu-4096-ip6",
    "uc-mtu-1024-ip4",
    "ud-send-ip6",
    "ud-send-immediate-ip4",
    "rnr",
    "wrong-key-read",
    "past-end-write",
    "no-right-compare-swap",
    *SOON,
    "lost-fetch-add-answer",
    "storm-ip4",
]
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def test_it_is_a_card(run_dir):
    """One after the other in one simulator: rows, queues and keys are used again."""
    linux = ModelCard(
        mac=GUEST.mac, peer_mac=CARD.mac, addresses=(GUEST.address_4, GUEST.address_6)
    )
    with closing(VerilatedCard(run_dir=run_dir)) as card:
        two = TwoCards(card, linux, seconds=200)
        for name in NAMES:
            for asker in ("engine", "linux"):
                scenario = BY_NAME[f"{name}-{asker}"]
                timeout = _HOURS if name in SOON else scenario.terms.timeout + PATIENCE
                before = card.cycles
                two.play(replace(scenario, terms=replace(scenario.terms, timeout=timeout)))
                assert card.cycles > before + 100, scenario.name
        # It stands still while nobody asks for anything.
        two.loop.sleep(0.3)
        before = card.cycles
        two.loop.sleep(0.3)
        assert card.cycles == before
        assert card.deadline() is None
        # A simulator that has ended is told of at once: no table has room for so many pages.
        with pytest.raises(CardLostError, match=r"engine's simulator: .*simulator\.log"):
            card.register(0x100, card.memory_address, card.memory_bytes, Rights.WRITE)
        with pytest.raises(CardLostError):
            card.read(card.memory_address, 1)
    assert "too many pages" in card.log_file.read_text()
