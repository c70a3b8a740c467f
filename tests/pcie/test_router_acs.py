"""Access control services in the model of the routing decision, and what always holds."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.pcie import Acs, Action, Bridge, Decision, Kind, RouterModel, Rule, Tlp, TlpClass
from tests.pcie.strategies import ATOMICS, tlps
from tests.pcie.trees import completion, message, read, tree, write

TO_PEER_2 = 0x8200_0000
TO_SELF = 0x8100_0000
TO_HOST = 0x1000
TO_NOBODY = 0x8000_0000
BLOCKS_2 = 1 << 2
STRANGER = 0x0300


def decide(tlp: Tlp, acs: Acs, changes: dict[int, dict] | None = None) -> tuple[int | None, Rule]:
    """Egress and rule of a TLP that came in at port 1."""
    decision = RouterModel(4).route(1, tlp, tree(changes, acs))
    return decision.egress, decision.rule


def test_redirect_times_control_times_vector():
    """Request Redirect, Egress Control and the vector, as the table of 6.12.3 has them."""
    expected = {
        (0, 0, 0): (2, Rule.PEER_DIRECT),
        (0, 0, BLOCKS_2): (2, Rule.PEER_DIRECT),
        (0, 1, 0): (2, Rule.PEER_DIRECT),
        (0, 1, BLOCKS_2): (None, Rule.ACS_EGRESS_CONTROL),
        (1, 0, 0): (0, Rule.ACS_REQUEST_REDIRECT),
        (1, 0, BLOCKS_2): (0, Rule.ACS_REQUEST_REDIRECT),
        (1, 1, 0): (2, Rule.PEER_DIRECT),
        (1, 1, BLOCKS_2): (0, Rule.ACS_EGRESS_REDIRECT),
    }
    for (redirect, control, vector), answer in expected.items():
        acs = Acs(
            request_redirect=bool(redirect), egress_control=bool(control), egress_vector=vector
        )
        assert decide(read(TO_PEER_2), acs) == answer
        assert decide(write(TO_PEER_2), acs) == answer


def test_the_vector_is_about_the_peer():
    """Bits of other ports, the ingress and the upstream port do not matter."""
    others = Acs(egress_control=True, egress_vector=0xFF & ~BLOCKS_2)
    assert decide(read(TO_PEER_2), others) == (2, Rule.PEER_DIRECT)
    everybody = Acs(egress_control=True, egress_vector=0xFF)
    assert decide(read(TO_HOST), everybody) == (0, Rule.UPSTREAM)
    assert decide(read(TO_SELF), everybody) == (None, Rule.OWN_INGRESS)


def test_translated_addresses_go_straight():
    for redirect, control in product((False, True), repeat=2):
        acs = Acs(
            request_redirect=redirect,
            egress_control=control,
            egress_vector=BLOCKS_2,
            direct_translated=True,
        )
        assert decide(read(TO_PEER_2, at=2), acs) == (2, Rule.ACS_DIRECT_TRANSLATED)
        assert decide(read(TO_PEER_2, at=1), acs)[1] != Rule.ACS_DIRECT_TRANSLATED
        assert decide(read(TO_PEER_2, at=0), acs)[1] != Rule.ACS_DIRECT_TRANSLATED
        assert decide(read(TO_PEER_2, at=2), replace(acs, direct_translated=False)) == decide(
            read(TO_PEER_2), replace(acs, direct_translated=False)
        )
    assert decide(read(TO_HOST, at=2), Acs(direct_translated=True)) == (0, Rule.UPSTREAM)
    assert decide(read(TO_SELF, at=2), Acs(direct_translated=True)) == (None, Rule.OWN_INGRESS)


def test_translation_blocking():
    acs = Acs(translation_blocking=True, direct_translated=True)
    for address in (TO_PEER_2, TO_SELF, TO_HOST, TO_NOBODY):
        for at in (1, 2, 3):
            refused = RouterModel(4).route(1, read(address, at=at), tree(acs=acs))
            assert refused == Decision(Action.ABORT, Rule.ACS_TRANSLATION_BLOCKING, local=True)
        assert decide(read(address), acs) == decide(read(address), Acs())


def test_source_validation():
    acs = Acs(source_validation=True, translation_blocking=True)
    for address in (TO_PEER_2, TO_SELF, TO_HOST, TO_NOBODY):
        forged = read(address, STRANGER, at=2)
        assert decide(forged, acs) == (None, Rule.ACS_SOURCE_VALIDATION)
        assert decide(read(address), acs) == decide(read(address), Acs())
    posted = RouterModel(4).route(1, write(TO_HOST, STRANGER), tree(acs=acs))
    assert posted == Decision(Action.ABORT, Rule.ACS_SOURCE_VALIDATION, local=False)
    not_a_master = {1: {"bus_master_enable": False}}
    assert decide(read(TO_HOST, STRANGER), acs, not_a_master)[1] == Rule.BUS_MASTER_DISABLED


def test_source_validation_uses_the_first_to_the_last_bus():
    acs = Acs(source_validation=True)
    for bus in range(16):
        egress, _ = decide(read(TO_HOST, bus << 8 | 0xFF), acs, {1: {"subordinate": 4}})
        assert (egress == 0) == (2 <= bus <= 4)
    closed = {1: {"secondary": 0, "subordinate": 255}}
    assert decide(read(TO_HOST, 0x0100), acs, closed) == (None, Rule.ACS_SOURCE_VALIDATION)


def test_source_validation_of_messages():
    acs = Acs(source_validation=True)
    for kind in (Kind.MESSAGE_TO_ROOT, Kind.MESSAGE_BY_ID, Kind.MESSAGE_GATHER, 0x16):
        assert decide(message(kind, requester=STRANGER), acs)[1] == Rule.ACS_SOURCE_VALIDATION
        assert decide(message(kind), acs) == decide(message(kind), Acs())
    interrupt = message(Kind.MESSAGE_LOCAL, requester=STRANGER, code=0x20)
    assert decide(interrupt, acs) == (None, Rule.MESSAGE_LOCAL)


def test_source_validation_leaves_completions_alone():
    acs = Acs(source_validation=True, request_redirect=True)
    assert decide(completion(0x0300), acs) == (2, Rule.BUS_NUMBER)


def test_upstream_forwarding():
    acs = Acs(upstream_forwarding=True, egress_control=True, egress_vector=0xFF)
    up = (0, Rule.ACS_UPSTREAM_FORWARD)
    assert decide(write(TO_SELF), acs) == up
    assert decide(completion(0x0200), acs) == up
    assert decide(message(Kind.MESSAGE_BY_ID, target=0x0200), acs) == up
    assert decide(write(TO_HOST), acs) == (0, Rule.UPSTREAM)
    refused = decide(write(TO_SELF), acs, {0: {"bus_master_enable": False}})
    assert refused == (None, Rule.BUS_MASTER_DISABLED)
    assert decide(completion(0x0200), acs, {0: {"bus_master_enable": False}}) == up


@pytest.mark.parametrize("rule", [Rule.ACS_REQUEST_REDIRECT, Rule.ACS_EGRESS_REDIRECT])
def test_redirected_requests_need_the_way_up(rule):
    acs = Acs(
        request_redirect=True,
        egress_control=rule == Rule.ACS_EGRESS_REDIRECT,
        egress_vector=BLOCKS_2,
    )
    assert decide(read(TO_PEER_2), acs) == (0, rule)
    for change, reason in {
        "bus_master_enable": Rule.BUS_MASTER_DISABLED,
        "link_up": Rule.LINK_DOWN,
    }.items():
        assert decide(read(TO_PEER_2), acs, {0: {change: False}}) == (None, reason)
    # The peer's own link is not on the way.
    assert decide(read(TO_PEER_2), acs, {2: {"link_up": False, "max_payload": 0}}) == (0, rule)
    wide = write(TO_PEER_2, dwords=64)
    assert decide(wide, acs, {0: {"max_payload": 0}}) == (None, Rule.EGRESS_PAYLOAD)


def test_completion_redirect():
    acs = Acs(completion_redirect=True)
    assert decide(completion(0x0300), acs) == (0, Rule.ACS_COMPLETION_REDIRECT)
    assert decide(completion(0x0300, relaxed_ordering=True), acs) == (2, Rule.BUS_NUMBER)
    assert decide(completion(0x0300, id_ordering=True), acs)[0] == 0
    assert decide(completion(0x0000), acs) == (0, Rule.UPSTREAM)
    assert decide(completion(0x0200), acs) == (None, Rule.OWN_INGRESS)
    assert decide(message(Kind.MESSAGE_BY_ID, target=0x0300), acs) == (2, Rule.BUS_NUMBER)
    assert decide(read(TO_PEER_2), acs) == (2, Rule.PEER_DIRECT)
    assert decide(completion(0x0300), Acs(request_redirect=True)) == (2, Rule.BUS_NUMBER)


def test_after_reset_everything_is_closed():
    """Nothing goes down or across; from below nothing goes up before Bus Master Enable."""
    bridges = [replace(Bridge(), link_up=True)] * 4
    model = RouterModel(4)
    for address in (0, 0xFFFF_F000, 0x8000_0000, 1 << 20, (1 << 64) - 4):
        assert model.route(0, read(address), bridges).rule == Rule.MEMORY_DISABLED
        assert model.route(1, read(address), bridges).rule == Rule.BUS_MASTER_DISABLED
        opened = [replace(b, memory_enable=True, bus_master_enable=True) for b in bridges]
        assert model.route(0, read(address), opened).rule == Rule.OUTSIDE_WINDOW
        assert model.route(1, read(address), opened).rule == Rule.UPSTREAM


@settings(deadline=None)
@given(st.integers(0, 0xFFF), st.integers(0, 0xFFF), st.integers(0, (1 << 32) - 1))
def test_base_above_limit_is_closed(base, limit, address):
    bridge = replace(Bridge(memory_enable=True), memory_base=base, memory_limit=limit)
    assert bridge.claims_address(address) == (base << 20 <= address < (limit + 1) << 20)
    assert not bridge.claims_address(address | 1 << 32)


nibbles = st.integers(0, 15)
acs_settings = st.builds(Acs, *[st.booleans()] * 7, egress_vector=st.integers(0, 15))
bridge_settings = st.builds(
    Bridge,
    bus=nibbles,
    device=st.integers(0, 31),
    secondary=nibbles,
    subordinate=nibbles,
    memory_base=nibbles,
    memory_limit=nibbles,
    prefetchable_base=nibbles,
    prefetchable_limit=nibbles,
    memory_enable=st.booleans() | st.just(True),
    bus_master_enable=st.booleans() | st.just(True),
    ari_forwarding=st.booleans(),
    max_payload=st.integers(0, 7),
    link_up=st.booleans() | st.just(True),
    acs=acs_settings,
)
near_ids = st.integers(0, 0xFFF)


@settings(deadline=None)
@given(
    st.integers(0, 3),
    tlps(address_bits=24, requesters=near_ids),
    st.lists(bridge_settings, min_size=4, max_size=4),
    near_ids,
)
def test_what_always_holds(ingress, tlp, bridges, target):
    if not tlp.is_completion and tlp.target:
        tlp = tlp.with_changes(target=target)
    decision = RouterModel(4).route(ingress, tlp, bridges)
    posted_or_completion = tlp.tlp_class != TlpClass.NON_POSTED
    if decision.action == Action.FORWARD:
        assert decision.egress is not None and decision.egress != ingress
        assert bridges[decision.egress].link_up
        assert not decision.local and decision.rule <= Rule.ACS_DIRECT_TRANSLATED
        if ingress == 0 and (tlp.kind in (Kind.MEMORY, *ATOMICS)):
            assert bridges[decision.egress].claims_address(tlp.address)
        assert decision.to_type_0 <= (tlp.kind == Kind.CONFIGURATION_1)
    else:
        assert decision.egress is None and not decision.to_type_0
        malformed = decision.rule == Rule.INGRESS_PAYLOAD or decision.rule == Rule.EGRESS_PAYLOAD
        if decision.action == Action.LOCAL:
            assert decision.local
        else:
            assert decision.local == (not posted_or_completion and not malformed)
    if decision.function:
        assert decision.rule == Rule.CONFIGURATION and decision.function < 4
    port = bridges[ingress]
    forged = not port.claims_bus(tlp.requester >> 8)
    if ingress and port.acs.source_validation and forged and not tlp.is_completion:
        assert decision.action != Action.FORWARD
