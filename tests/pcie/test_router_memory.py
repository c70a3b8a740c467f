"""The model of the routing decision: memory requests and payloads, by hand from the rules."""

import pytest

from sim.pcie import Kind, RouterModel, Rule
from tests.pcie.trees import (
    answered,
    completion,
    dropped,
    forward,
    message,
    read,
    tree,
    write,
)

# Ingress, TLP, changes of bridges, decision.
MEMORY_FROM_ABOVE = {
    "first byte": (0, read(0x8100_0000), {}, forward(1, Rule.ADDRESS)),
    "last DW": (0, write(0x81FF_FFFC), {}, forward(1, Rule.ADDRESS)),
    "next window": (0, read(0x8200_0000), {}, forward(2, Rule.ADDRESS)),
    "prefetchable": (0, read(0x13_0000_0000), {}, forward(3, Rule.ADDRESS)),
    "prefetchable, end": (0, write(0x13_FFFF_FFFC), {}, forward(3, Rule.ADDRESS)),
    "inside, of nobody": (0, read(0x8000_0000), {}, answered(Rule.UNCLAIMED)),
    "posted, of nobody": (0, write(0x8000_0000), {}, dropped(Rule.UNCLAIMED)),
    "outside": (0, read(0x9000_0000), {}, answered(Rule.OUTSIDE_WINDOW)),
    "outside, though a port claims it": (
        0,
        read(0x9000_0000),
        {1: {"memory_limit": 0xFFF}},
        answered(Rule.OUTSIDE_WINDOW),
    ),
    "posted, outside": (0, write(0x7FFF_FFFC), {}, dropped(Rule.OUTSIDE_WINDOW)),
    "memory window is below 4 GiB": (0, read(0x1_8100_0000), {}, answered(Rule.OUTSIDE_WINDOW)),
    "upper bits of a 3 DW header are 0": (
        0,
        read(0xFF_8100_0000, four_dwords=False),
        {},
        forward(1, Rule.ADDRESS),
    ),
    "4 DW header below 4 GiB": (
        0,
        read(0x8100_0000, four_dwords=True),
        {},
        forward(1, Rule.ADDRESS),
    ),
    "prefetchable window below 4 GiB": (
        0,
        read(0x8000_0000),
        {3: {"prefetchable_base": 0x800, "prefetchable_limit": 0x800}},
        forward(3, Rule.ADDRESS),
    ),
    "two ports": (0, read(0x8200_0000), {1: {"memory_limit": 0x82F}}, forward(1, Rule.ADDRESS)),
    "port disabled": (
        0,
        read(0x8100_0000),
        {1: {"memory_enable": False}},
        answered(Rule.UNCLAIMED),
    ),
    "upstream disabled": (
        0,
        read(0x8100_0000),
        {0: {"memory_enable": False}},
        answered(Rule.MEMORY_DISABLED),
    ),
    "upstream disabled and outside": (
        0,
        write(0x9000_0000),
        {0: {"memory_enable": False}},
        dropped(Rule.MEMORY_DISABLED),
    ),
    "bus masters are asked from below only": (
        0,
        read(0x8100_0000),
        {0: {"bus_master_enable": False}, 1: {"bus_master_enable": False}},
        forward(1, Rule.ADDRESS),
    ),
    "atomics": (0, write(0x8100_0000, kind=Kind.FETCH_ADD), {}, forward(1, Rule.ADDRESS)),
    "atomics are not posted": (
        0,
        write(0x9000_0000, kind=Kind.COMPARE_AND_SWAP, dwords=2),
        {},
        answered(Rule.OUTSIDE_WINDOW),
    ),
    "I/O": (0, read(0x8100_0000, kind=Kind.IO), {}, answered(Rule.NOT_SUPPORTED)),
    "locked": (0, read(0x8100_0000, kind=Kind.MEMORY_LOCKED), {}, answered(Rule.NOT_SUPPORTED)),
    "unknown": (0, read(0x8100_0000, kind=3), {}, answered(Rule.NOT_SUPPORTED)),
    "I/O from below": (1, write(0, kind=Kind.IO), {}, answered(Rule.NOT_SUPPORTED)),
    "link down": (0, read(0x8100_0000), {1: {"link_up": False}}, answered(Rule.LINK_DOWN)),
    "posted, link down": (0, write(0x8100_0000), {1: {"link_up": False}}, dropped(Rule.LINK_DOWN)),
}

MEMORY_FROM_BELOW = {
    "peer": (1, read(0x8200_0000), {}, forward(2, Rule.PEER_DIRECT)),
    "peer, prefetchable": (1, write(0x12_0000_0000), {}, forward(2, Rule.PEER_DIRECT)),
    "host": (1, write(0x1000), {}, forward(0, Rule.UPSTREAM)),
    "host, far": (1, read(1 << 40), {}, forward(0, Rule.UPSTREAM)),
    "peer whose window the upstream port does not have": (
        1,
        write(0xA000_0000),
        {3: {"memory_limit": 0xA00}},
        forward(3, Rule.PEER_DIRECT),
    ),
    "peer direct needs no bus master upstream, nor memory enabled there": (
        1,
        write(0x8200_0000),
        {0: {"bus_master_enable": False, "memory_enable": False}},
        forward(2, Rule.PEER_DIRECT),
    ),
    "own ingress": (1, read(0x8100_0000), {}, answered(Rule.OWN_INGRESS)),
    "own ingress, posted": (1, write(0x8100_0000), {}, dropped(Rule.OWN_INGRESS)),
    "own window, disabled": (
        1,
        read(0x8100_0000),
        {1: {"memory_enable": False}},
        answered(Rule.UNCLAIMED),
    ),
    "would come back down": (1, read(0x8000_0000), {}, answered(Rule.UNCLAIMED)),
    "would come back down, posted": (1, write(0x10_0000_0000), {}, dropped(Rule.UNCLAIMED)),
    "upstream memory disabled, so it stays up": (
        1,
        read(0x8000_0000),
        {0: {"memory_enable": False}},
        forward(0, Rule.UPSTREAM),
    ),
    "peer disabled, so inside of nobody": (
        1,
        read(0x8200_0000),
        {2: {"memory_enable": False}},
        answered(Rule.UNCLAIMED),
    ),
    "bus master of the ingress": (
        1,
        read(0x8200_0000),
        {1: {"bus_master_enable": False}},
        answered(Rule.BUS_MASTER_DISABLED),
    ),
    "bus master of the ingress, before own ingress": (
        1,
        write(0x8100_0000),
        {1: {"bus_master_enable": False}},
        dropped(Rule.BUS_MASTER_DISABLED),
    ),
    "bus master upstream": (
        1,
        write(0x1000),
        {0: {"bus_master_enable": False}},
        dropped(Rule.BUS_MASTER_DISABLED),
    ),
    "unclaimed before bus master upstream": (
        1,
        read(0x8000_0000),
        {0: {"bus_master_enable": False}},
        answered(Rule.UNCLAIMED),
    ),
    "bus master upstream before its link": (
        1,
        read(0x1000),
        {0: {"bus_master_enable": False, "link_up": False}},
        answered(Rule.BUS_MASTER_DISABLED),
    ),
    "upstream link": (1, read(0x1000), {0: {"link_up": False}}, answered(Rule.LINK_DOWN)),
    "peer link": (1, read(0x8200_0000), {2: {"link_up": False}}, answered(Rule.LINK_DOWN)),
}

PAYLOADS = {
    "exactly what the ingress takes": (
        1,
        write(0x8200_0000, dwords=64),
        {},
        forward(2, Rule.PEER_DIRECT),
    ),
    "more than the ingress takes": (
        1,
        write(0x8200_0000, dwords=65),
        {},
        dropped(Rule.INGRESS_PAYLOAD),
    ),
    "more than the egress takes": (
        1,
        write(0x8200_0000, dwords=64),
        {2: {"max_payload": 0}},
        dropped(Rule.EGRESS_PAYLOAD),
    ),
    "the egress of an unsent TLP does not matter": (
        1,
        write(0x8200_0000, dwords=64),
        {2: {"max_payload": 0, "link_up": False}},
        dropped(Rule.LINK_DOWN),
    ),
    "ingress before everything": (
        1,
        write(0x8100_0000, dwords=65),
        {1: {"bus_master_enable": False}},
        dropped(Rule.INGRESS_PAYLOAD),
    ),
    "reads ask for more": (1, read(0x8200_0000, length=1024), {}, forward(2, Rule.PEER_DIRECT)),
    "completions have payloads": (
        0,
        completion(0x0200, data=bytes(260), length=65),
        {},
        dropped(Rule.INGRESS_PAYLOAD),
    ),
    "messages have payloads, local ones too": (
        1,
        message(Kind.MESSAGE_LOCAL, data=bytes(260), length=65),
        {},
        dropped(Rule.INGRESS_PAYLOAD),
    ),
    "not answered even if not posted": (
        0,
        write(0x8100_0000, kind=Kind.SWAP, dwords=65),
        {},
        dropped(Rule.INGRESS_PAYLOAD),
    ),
    "codes above 5 mean 4096": (
        1,
        write(0x1000, dwords=1024),
        {0: {"max_payload": 6}, 1: {"max_payload": 7}},
        forward(0, Rule.UPSTREAM),
    ),
}

VECTORS = [
    pytest.param(*case, id=f"{group}: {name}")
    for group, cases in {
        "from above": MEMORY_FROM_ABOVE,
        "from below": MEMORY_FROM_BELOW,
        "payload": PAYLOADS,
    }.items()
    for name, case in cases.items()
]


@pytest.mark.parametrize("ingress, tlp, changes, expected", VECTORS)
def test_vectors(ingress, tlp, changes, expected):
    assert RouterModel(4).route(ingress, tlp, tree(changes)) == expected
