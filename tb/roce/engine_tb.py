"""cocotb testbench of hdl.roce.engine: conversations over wires with faults."""

import os
import random

import cocotb

from sim.network import Faults, Link
from sim.roce import SendKind, Service

from .conversation import ADDRESSES, Card, Conversation
from .engine_bed import EngineBed
from .hardware_card import HardwareCard, talk, tick
from .responder_bed import config_from_environment

_CONFIG = config_from_environment()
_REQUESTS = int(os.environ.get("REQUESTS", "100"))
_KINDS = [
    SendKind.SEND,
    SendKind.WRITE,
    SendKind.WRITE,
    SendKind.READ,
    SendKind.FETCH_ADD,
]


def is_done(conversation: Conversation) -> bool:
    """Whether each work request has ended whose completion tells so."""
    for mine, card in enumerate(conversation.cards):
        signalled = sum(w.request.signalled for w in conversation.wanted[mine])
        if len(card.requester.completions) < signalled:
            return False
    return True


async def converse(dut, *, faults: Faults, requests: int, services, longest: int) -> None:
    """Let the hardware and a model ask each other for things."""
    bed = EngineBed(dut, _CONFIG, queue_shift=10)
    await bed.start()
    cocotb.start_soon(tick(dut, bed))
    hardware = HardwareCard(bed, ADDRESSES[0])
    model = Card(ADDRESSES[1])
    conversation = Conversation(
        random.getrandbits(32),
        services,
        cards=[hardware, model],
        read_pieces=1,
        timeout=200_000,
        reads=4,
        retries=7,
    )
    await hardware.begin(timeout=6)
    links = [
        Link(
            seed=random.getrandbits(32),
            bits_per_second=2 * _CONFIG.data_bytes * 10**9 // 8,
            delay=2000,
            faults=faults,
            lateness=4000,
        )
        for _ in range(2)
    ]
    for _ in range(requests):
        number = random.randrange(len(services))
        length = random.choice([0, 1, 8, 64, random.randint(0, 300), random.randint(0, longest)])
        for mine in range(2):
            conversation.ask(mine, number, random.choice(_KINDS), length)
    for number in range(len(services)):
        for mine in range(2):
            # Its completion says that all before it have ended.
            conversation.ask(mine, number, SendKind.WRITE, 1, signalled=True)
    await talk(
        [hardware, model], links, limit=20_000 * requests, is_over=lambda: is_done(conversation)
    )
    await bed.wait(2000)  # what was told twice, or too late, comes too
    bed.poll()
    conversation.check()


@cocotb.test()
async def a_good_wire(dut):
    """Everything happens once, in order, on a wire without faults."""
    await converse(
        dut, faults=Faults(), requests=_REQUESTS, services=[Service.RC] * 4, longest=20_000
    )


@cocotb.test()
async def a_bad_wire(dut):
    """Let nothing be lost of what the wire loses, repeats, damages."""
    faults = Faults(drop=0.02, duplicate=0.01, reorder=0.01, corrupt=0.01)
    await converse(
        dut, faults=faults, requests=_REQUESTS, services=[Service.RC] * 4, longest=20_000
    )
