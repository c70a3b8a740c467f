"""The model of the routing decision, against vectors made by hand from the rules."""

from dataclasses import fields, replace

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
    served,
    tree,
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
    "broadcast": (
        0,
        message(Kind.MESSAGE_BROADCAST),
        {2: {"link_up": False}},
        replace(served(Rule.MESSAGE_BROADCAST), copies=(1, 2, 3)),
    ),
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

VECTORS = [
    pytest.param(*case, id=f"{group}: {name}")
    for group, cases in {
        "configuration": CONFIGURATION,
        "completion": COMPLETIONS,
        "message": MESSAGES,
    }.items()
    for name, case in cases.items()
]


@pytest.mark.parametrize("ingress, tlp, changes, expected", VECTORS)
def test_vectors(ingress, tlp, changes, expected):
    assert RouterModel(4).route(ingress, tlp, tree(changes)) == expected
