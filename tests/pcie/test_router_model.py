"""The model of the routing decision, against vectors made by hand from the rules."""

from dataclasses import fields

import pytest

from hdl.pcie import rules as hardware_rules
from hdl.pcie.route import AcsLayout, BridgeLayout
from sim.pcie import Acs, Action, Bridge, Kind, RouterModel, Rule
from tests.pcie.trees import (
    answered,
    completion,
    configure,
    dropped,
    forward,
    message,
    read,
    served,
    tree,
    write,
)


def test_names_and_numbers_are_the_hardwares():
    assert {rule.name: rule.value for rule in Rule} == {
        rule.name: rule.value for rule in hardware_rules.Rule
    }
    assert {action.name: action.value for action in Action} == {
        action.name: action.value for action in hardware_rules.Action
    }
    assert [field.name for field in fields(Bridge)] == list(BridgeLayout(4).members)
    assert [field.name for field in fields(Acs)] == list(AcsLayout(4).members)


@pytest.mark.parametrize("port_count", [1, 9])
def test_port_counts(port_count):
    with pytest.raises(ValueError, match="2 to 8"):
        RouterModel(port_count)


# Ingress, TLP, changes of bridges, decision.
CONFIGURATION = {
    "type 0, the upstream port": (
        0,
        configure(Kind.CONFIGURATION_0, 9, 4),
        {},
        served(Rule.CONFIGURATION),
    ),
    "type 0, before any bus is numbered": (
        0,
        configure(Kind.CONFIGURATION_0, 0),
        {0: {"secondary": 0, "subordinate": 0}},
        served(Rule.CONFIGURATION),
    ),
    "type 0, a second function": (
        0,
        configure(Kind.CONFIGURATION_0, 1, 0, 1),
        {},
        answered(Rule.NO_FUNCTION),
    ),
    "type 1, first downstream port": (
        0,
        configure(Kind.CONFIGURATION_1, 1, 0),
        {},
        served(Rule.CONFIGURATION, 1),
    ),
    "type 1, last downstream port": (
        0,
        configure(Kind.CONFIGURATION_1, 1, 2),
        {},
        served(Rule.CONFIGURATION, 3),
    ),
    "type 1, a port too far": (
        0,
        configure(Kind.CONFIGURATION_1, 1, 3),
        {},
        answered(Rule.NO_FUNCTION),
    ),
    "type 1, device 31": (
        0,
        configure(Kind.CONFIGURATION_1, 1, 31),
        {},
        answered(Rule.NO_FUNCTION),
    ),
    "type 1, function of a port": (
        0,
        configure(Kind.CONFIGURATION_1, 1, 0, 1),
        {},
        answered(Rule.NO_FUNCTION),
    ),
    "type 1, internal bus before downstream buses, though a port claims it too": (
        0,
        configure(Kind.CONFIGURATION_1, 1, 0),
        {3: {"secondary": 1}},
        served(Rule.CONFIGURATION, 1),
    ),
    "type 1 for bus 0, before any bus is numbered": (
        0,
        configure(Kind.CONFIGURATION_1, 0),
        {0: {"secondary": 0}},
        answered(Rule.NO_BUS),
    ),
    "the link's own bus": (
        0,
        configure(Kind.CONFIGURATION_1, 3, 0, 5),
        {},
        forward(2, Rule.BUS_NUMBER, to_type_0=True),
    ),
    "the link's own bus, device 1": (
        0,
        configure(Kind.CONFIGURATION_1, 3, 1),
        {},
        answered(Rule.NO_DEVICE),
    ),
    "the link's own bus, function 8 with ARI": (
        0,
        configure(Kind.CONFIGURATION_1, 3, 1),
        {2: {"ari_forwarding": True}},
        forward(2, Rule.BUS_NUMBER, to_type_0=True),
    ),
    "a bus behind the link's": (
        0,
        configure(Kind.CONFIGURATION_1, 4, 9),
        {},
        forward(2, Rule.BUS_NUMBER),
    ),
    "last bus behind the link": (
        0,
        configure(Kind.CONFIGURATION_1, 5),
        {},
        forward(2, Rule.BUS_NUMBER),
    ),
    "a bus of nobody": (0, configure(Kind.CONFIGURATION_1, 7), {}, answered(Rule.NO_BUS)),
    "a bus that the upstream port does not have": (
        0,
        configure(Kind.CONFIGURATION_1, 6),
        {0: {"subordinate": 5}},
        answered(Rule.NO_BUS),
    ),
    "a bus that two ports claim": (
        0,
        configure(Kind.CONFIGURATION_1, 6),
        {2: {"subordinate": 6}},
        forward(2, Rule.BUS_NUMBER),
    ),
    "from below": (
        1,
        configure(Kind.CONFIGURATION_1, 6),
        {},
        answered(Rule.CONFIGURATION_FROM_BELOW),
    ),
    "type 0 from below": (
        1,
        configure(Kind.CONFIGURATION_0, 1),
        {},
        answered(Rule.CONFIGURATION_FROM_BELOW),
    ),
    "link down": (
        0,
        configure(Kind.CONFIGURATION_1, 3),
        {2: {"link_up": False}},
        answered(Rule.LINK_DOWN),
    ),
    "wrong device, and link down": (
        0,
        configure(Kind.CONFIGURATION_1, 3, 1),
        {2: {"link_up": False}},
        answered(Rule.NO_DEVICE),
    ),
}

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

COMPLETIONS = {
    "down": (0, completion(0x0400), {}, forward(2, Rule.BUS_NUMBER)),
    "down, of nobody": (0, completion(0x0700), {}, dropped(Rule.UNEXPECTED_COMPLETION)),
    "down, internal bus": (0, completion(0x0100), {}, dropped(Rule.UNEXPECTED_COMPLETION)),
    "locked": (0, completion(0x0200, kind=Kind.COMPLETION_LOCKED), {}, forward(1, Rule.BUS_NUMBER)),
    "up": (1, completion(0x0000), {}, forward(0, Rule.UPSTREAM)),
    "up, above the highest bus": (1, completion(0x0700), {}, forward(0, Rule.UPSTREAM)),
    "peer": (1, completion(0x0500), {}, forward(2, Rule.BUS_NUMBER)),
    "own ingress": (2, completion(0x0300), {}, dropped(Rule.OWN_INGRESS)),
    "internal bus": (1, completion(0x0108), {}, dropped(Rule.UNEXPECTED_COMPLETION)),
    "upstream port's bus, not its own": (
        1,
        completion(0x0A00),
        {0: {"bus": 10}},
        forward(0, Rule.UPSTREAM),
    ),
    "upstream port itself": (
        1,
        completion(0x0A38),
        {0: {"bus": 10}},
        dropped(Rule.UNEXPECTED_COMPLETION),
    ),
    "nobody's, inside": (
        1,
        completion(0x0600),
        {3: {"secondary": 0}},
        dropped(Rule.UNEXPECTED_COMPLETION),
    ),
    "enables do not matter": (
        1,
        completion(0x0000),
        {0: {"bus_master_enable": False}, 1: {"bus_master_enable": False}},
        forward(0, Rule.UPSTREAM),
    ),
    "link down": (0, completion(0x0200), {1: {"link_up": False}}, dropped(Rule.LINK_DOWN)),
    "secondary 0 means no bus": (
        0,
        completion(0x0000),
        {1: {"secondary": 0}},
        dropped(Rule.UNEXPECTED_COMPLETION),
    ),
    "secondary above subordinate means no bus": (
        0,
        completion(0x0300),
        {2: {"secondary": 5, "subordinate": 3}},
        dropped(Rule.UNEXPECTED_COMPLETION),
    ),
}

MESSAGES = {
    "to root": (1, message(Kind.MESSAGE_TO_ROOT), {}, forward(0, Rule.MESSAGE_TO_ROOT)),
    "to root, from root": (0, message(Kind.MESSAGE_TO_ROOT), {}, dropped(Rule.MISROUTED_MESSAGE)),
    "to root needs no bus master": (
        1,
        message(Kind.MESSAGE_TO_ROOT),
        {0: {"bus_master_enable": False}},
        forward(0, Rule.MESSAGE_TO_ROOT),
    ),
    "to root, link down": (
        1,
        message(Kind.MESSAGE_TO_ROOT),
        {0: {"link_up": False}},
        dropped(Rule.LINK_DOWN),
    ),
    "by ID, down": (0, message(Kind.MESSAGE_BY_ID, target=0x0500), {}, forward(2, Rule.BUS_NUMBER)),
    "by ID, peer": (1, message(Kind.MESSAGE_BY_ID, target=0x0600), {}, forward(3, Rule.BUS_NUMBER)),
    "by ID, up": (1, message(Kind.MESSAGE_BY_ID, target=0), {}, forward(0, Rule.UPSTREAM)),
    "by ID, own ingress": (
        1,
        message(Kind.MESSAGE_BY_ID, target=0x0200),
        {},
        dropped(Rule.OWN_INGRESS),
    ),
    "by ID, of nobody": (
        0,
        message(Kind.MESSAGE_BY_ID, target=0x0900),
        {},
        dropped(Rule.MISROUTED_MESSAGE),
    ),
    "by ID, internal bus": (
        1,
        message(Kind.MESSAGE_BY_ID, target=0x0100),
        {},
        dropped(Rule.MISROUTED_MESSAGE),
    ),
    "broadcast": (0, message(Kind.MESSAGE_BROADCAST), {}, served(Rule.MESSAGE_BROADCAST)),
    "broadcast with data": (
        0,
        message(Kind.MESSAGE_BROADCAST, data=bytes(4), length=1),
        {},
        dropped(Rule.MISROUTED_MESSAGE),
    ),
    "broadcast from below": (
        1,
        message(Kind.MESSAGE_BROADCAST),
        {},
        dropped(Rule.MISROUTED_MESSAGE),
    ),
    "local": (1, message(Kind.MESSAGE_LOCAL), {}, served(Rule.MESSAGE_LOCAL)),
    "local from above": (0, message(Kind.MESSAGE_LOCAL), {}, served(Rule.MESSAGE_LOCAL)),
    "gather": (2, message(Kind.MESSAGE_GATHER), {}, served(Rule.MESSAGE_GATHER)),
    "gather from above": (0, message(Kind.MESSAGE_GATHER), {}, dropped(Rule.MISROUTED_MESSAGE)),
    "by address": (1, message(Kind.MESSAGE_BY_ADDRESS), {}, dropped(Rule.MISROUTED_MESSAGE)),
    "reserved 6": (1, message(0x16), {}, dropped(Rule.MISROUTED_MESSAGE)),
    "reserved 7": (0, message(0x17), {}, dropped(Rule.MISROUTED_MESSAGE)),
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
        "configuration": CONFIGURATION,
        "from above": MEMORY_FROM_ABOVE,
        "from below": MEMORY_FROM_BELOW,
        "completion": COMPLETIONS,
        "message": MESSAGES,
        "payload": PAYLOADS,
    }.items()
    for name, case in cases.items()
]


@pytest.mark.parametrize("ingress, tlp, changes, expected", VECTORS)
def test_vectors(ingress, tlp, changes, expected):
    assert RouterModel(4).route(ingress, tlp, tree(changes)) == expected
