"""cocotb testbench of hdl.roce.engine: conversations over wires with faults."""

import os
import random
from collections.abc import Sequence
from typing import Any

import cocotb

from sim.network import Faults, Link
from sim.roce import SendKind, SendStatus, Service

from .conversation import ADDRESSES, Card, Conversation
from .engine_bed import EngineBed
from .hardware_card import CYCLE, HardwareCard, Wire, tick
from .responder_bed import config_from_environment

_CONFIG = config_from_environment()
_REQUESTS = int(os.environ.get("REQUESTS", "100"))
_QUEUE_PAIRS = 4
#: Work requests of a card that are posted at once.
_AT_ONCE = 200
#: Longest message of the usual ones; one in a hundred is up to 1 MiB long.
_LONGEST, _VERY_LONG = 10_000, 1 << 20
#: Cycles without progress, of the model too: as many as 1 MiB takes. A timeout of 0 is 128.
_PATIENCE = _VERY_LONG // _CONFIG.data_bytes
_TIMEOUT = (_PATIENCE // 128).bit_length() - 1
_SENDS = [SendKind.SEND, SendKind.WRITE]
_KINDS = {
    Service.RC: [*_SENDS, SendKind.READ, SendKind.READ, SendKind.FETCH_ADD],
    Service.UC: _SENDS,
}
#: Cycles until what was told twice, or too late, has come too.
_LATE_CYCLES = 2000
_NONE = Faults()
_MANY = Faults(drop=0.02, duplicate=0.01, reorder=0.01, corrupt=0.01)


def is_done(conversation: Conversation) -> bool:
    """Whether each work request has ended whose completion tells so."""
    for mine, card in enumerate(conversation.cards):
        signalled = sum(w.request.signalled for w in conversation.wanted[mine])
        if len(card.requester.completions) < signalled:
            return False
    return True


def random_length() -> int:
    """Draw a message's length: most are short."""
    longest = _VERY_LONG if random.random() < 0.01 else _LONGEST
    return random.choice([0, 1, 8, 64, random.randint(0, 300), random.randint(0, longest)])


async def converse(
    bed: EngineBed, cards: Sequence[Any], *, faults: Faults, services: list[Service]
) -> Conversation:
    """Let two cards ask each other for things; everything happens once, in order."""
    conversation = Conversation(
        random.getrandbits(32),
        services,
        cards=cards,
        read_pieces=1,
        timeout=CYCLE * _PATIENCE,
        reads=4,
    )
    for card in cards:
        if isinstance(card, HardwareCard):
            await card.begin(timeout=_TIMEOUT)
    links = [
        Link(
            seed=random.getrandbits(32),
            bits_per_second=_CONFIG.data_bytes * 8 * 10**9 // 32,
            delay=2000,
            faults=faults,
            lateness=4000,
        )
        for _ in range(2)
    ]
    if cards[0].address == cards[1].address:
        links[1] = links[0]
    wire = Wire(cards, links)

    async def talk() -> None:
        for card in cards:
            while isinstance(card, HardwareCard) and not card.has_posted:
                await bed.wait(64)
        await wire.talk(limit=20_000 * _REQUESTS, is_over=lambda: is_done(conversation))

    pairs = [(mine, number) for mine in range(2) for number in range(len(services))]
    for mine, number in pairs:
        conversation.bind(mine, number)
    await talk()
    for begun in range(0, _REQUESTS // 2, _AT_ONCE):
        count = min(_AT_ONCE, _REQUESTS // 2 - begun)
        for number in random.choices(range(len(services)), k=count):
            for mine in range(2):
                kind = random.choice(_KINDS[services[number]])
                conversation.ask(mine, number, kind, random_length())
        for mine, number in pairs:
            # Its completion says that all before it have ended.
            conversation.ask(mine, number, SendKind.WRITE, 1, signalled=True)
        await talk()
    await bed.wait(_LATE_CYCLES)
    bed.poll()
    conversation.check()
    keys = [conversation.unbind(*pair) for pair in pairs]
    await talk()
    conversation.check()
    # Who asks for a window that is no more does not get it.
    mine, number = next(p for p in pairs if services[p[1]] is Service.RC)
    fields = {"remote_key": keys[pairs.index((1 - mine, number))], "signalled": True}
    conversation.ask(mine, number, SendKind.WRITE, 8, immediate=None, **fields)
    await talk()
    assert cards[mine].requester.completions[-1].status is SendStatus.REMOTE_ACCESS
    return conversation


async def begin(dut: Any) -> EngineBed:
    """Give the device, after reset, with its time going on."""
    bed = EngineBed(dut, _CONFIG, queue_shift=10)
    await bed.start()
    cocotb.start_soon(tick(dut, bed))
    return bed


@cocotb.test()
@cocotb.parametrize(faults=[_NONE, _MANY])
async def the_model_understands_it(dut, faults):
    """Hardware and golden model ask each other for things, over a good wire and a bad one."""
    bed = await begin(dut)
    cards = [HardwareCard(bed, ADDRESSES[0]), Card(ADDRESSES[1])]
    await converse(bed, cards, faults=faults, services=[Service.RC] * _QUEUE_PAIRS)


@cocotb.test()
@cocotb.parametrize(faults=[_NONE, _MANY])
async def it_understands_itself(dut, faults):
    """Let what the hardware sends come back to it: both sides of each queue pair are hardware."""
    bed = await begin(dut)
    cards = [HardwareCard(bed, ADDRESSES[0], part=n, parts=2) for n in range(2)]
    await converse(bed, cards, faults=faults, services=[Service.RC] * _QUEUE_PAIRS)


@cocotb.test()
async def the_unreliable_too(dut):
    """Unreliable connections, over a good wire; reliable ones beside them."""
    bed = await begin(dut)
    cards = [HardwareCard(bed, ADDRESSES[0]), Card(ADDRESSES[1])]
    await converse(bed, cards, faults=_NONE, services=[Service.UC, Service.RC] * 2)
