"""The switch model: enumeration as software does it, answers, messages, links, and laws."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.pcie import (
    Acs,
    BridgeModel,
    FixedFunction,
    Kind,
    Rule,
    SwitchModel,
    Tlp,
    TlpClass,
    TraceEntry,
)
from tests.pcie.strategies import tlps
from tests.pcie.trees import completion, configure, message, read, tree, write

HOST = 0x0008


def fixed(changes: dict[int, dict] | None = None, acs: Acs | None = None) -> SwitchModel:
    """Switch with the bridges of trees.py, all links up."""
    bridges = tree(changes, acs)
    model = SwitchModel([FixedFunction(bridge) for bridge in bridges])
    for port, bridge in enumerate(bridges):
        model.set_link(port, bridge.link_up)
    return model


def fresh(port_count: int = 3) -> SwitchModel:
    """Switch after reset, all links up."""
    model = SwitchModel(
        [
            BridgeModel(
                port=port,
                port_count=port_count,
                vendor_id=0x1AF4,
                device_id=0x1110,
                revision_id=1,
                max_payload_bytes=256,
                max_link_speed=5,
                max_link_width=16,
            )
            for port in range(port_count)
        ]
    )
    for port in range(port_count):
        assert model.set_link(port, True) == []
    return model


def access(
    model: SwitchModel, kind: Kind, target: int, address: int, data: int | None = None
) -> Tlp:
    """Completion of one configuration request of the host's."""
    request = Tlp(
        kind,
        data=None if data is None else data.to_bytes(4, "little"),
        length=1,
        tag=address & 0xFF,
        requester=HOST,
        first_be=15,
        target=target,
        register=address >> 2,
    )
    ((egress, answer),) = model.accept(0, request)
    assert egress == 0
    assert (answer.kind, answer.byte_count, answer.lower_address) == (Kind.COMPLETION, 4, 0)
    assert (answer.requester, answer.tag) == (HOST, address & 0xFF)
    return answer


def value(answer: Tlp) -> int:
    assert answer.status == 0 and answer.data is not None and answer.length == 1
    return int.from_bytes(answer.data, "little")


def test_enumeration():
    model = fresh()
    first = access(model, Kind.CONFIGURATION_0, 0x0500, 0)
    assert (value(first), first.completer) == (0x1110_1AF4, 0)
    # Buses: 5 above, 6 inside, 7 behind port 1, 8 and 9 behind port 2.
    numbered = access(model, Kind.CONFIGURATION_0, 0x0500, 0x18, 0x0009_0605)
    assert (numbered.status, numbered.data, numbered.length) == (0, None, 0)
    assert numbered.completer == 0x0500
    for port, buses in ((1, 0x0007_0706), (2, 0x0009_0806)):
        target = 0x0600 | (port - 1) << 3
        found = access(model, Kind.CONFIGURATION_1, target, 0)
        assert (value(found), found.completer) == (0x1110_1AF4, target)
        access(model, Kind.CONFIGURATION_1, target, 0x18, buses)
        assert value(access(model, Kind.CONFIGURATION_1, target, 0x18)) == buses
    nobody = access(model, Kind.CONFIGURATION_1, 0x0610, 0)
    assert (nobody.status, nobody.data, nobody.completer) == (1, None, 0x0500)

    behind = configure(Kind.CONFIGURATION_1, 7)
    assert model.accept(0, behind) == [(1, behind.with_changes(kind=Kind.CONFIGURATION_0))]
    farther = configure(Kind.CONFIGURATION_1, 9)
    assert model.accept(0, farther) == [(2, farther)]

    # Windows: 8000_0000 behind port 1, 8010_0000 behind port 2; closed before.
    down = write(0x8010_0000, HOST)
    assert model.accept(0, down) == []
    assert model.trace[-1] == TraceEntry(0, None, Rule.MEMORY_DISABLED)
    for target, kind, window in (
        (0x0500, Kind.CONFIGURATION_0, 0x8010_8000),
        (0x0600, Kind.CONFIGURATION_1, 0x8000_8000),
        (0x0608, Kind.CONFIGURATION_1, 0x8010_8010),
    ):
        access(model, kind, target, 0x20, window)
        access(model, kind, target, 0x04, 0x6)
    assert model.accept(0, down) == [(2, down)]
    assert model.trace[-1] == TraceEntry(0, 2, Rule.ADDRESS)
    across = write(0x8010_0000, 0x0700)
    assert model.accept(1, across) == [(2, across)]
    assert model.trace[-1] == TraceEntry(1, 2, Rule.PEER_DIRECT)
    up = write(0x1000, 0x0700)
    assert model.accept(1, up) == [(0, up)]

    # Request Redirect of port 1's ACS control.
    acs = next(
        offset
        for offset in range(0x100, 0x1000, 4)
        if value(access(model, Kind.CONFIGURATION_1, 0x0600, offset)) & 0xFFFF == 0x000D
    )
    access(model, Kind.CONFIGURATION_1, 0x0600, acs + 4, 1 << 18)
    assert model.accept(1, across) == [(0, across)]
    assert model.trace[-1] == TraceEntry(1, 0, Rule.ACS_REQUEST_REDIRECT)

    # The upstream link takes everything with it.
    model.set_link(0, False)
    model.set_link(0, True)
    assert model.accept(0, down) == []
    assert value(access(model, Kind.CONFIGURATION_0, 0x0100, 0x18)) == 0


def test_poisoned_configuration_write():
    model = fresh()
    request = Tlp(
        Kind.CONFIGURATION_0,
        data=b"\5\6\7\0",
        length=1,
        first_be=15,
        target=0x0500,
        register=6,
        poisoned=True,
    )
    ((_, answer),) = model.accept(0, request)
    assert (answer.status, answer.completer, answer.poisoned) == (1, 0, False)
    untouched = access(model, Kind.CONFIGURATION_0, 0x0500, 0x18)
    assert (value(untouched), untouched.completer) == (0, 0)


def test_error_message():
    """A refused write from above, with reporting enabled, is told to the host."""
    model = fresh()
    access(model, Kind.CONFIGURATION_0, 0x0500, 0x18, 0x0009_0605)
    assert model.accept(0, write(0x1000)) == []
    access(model, Kind.CONFIGURATION_0, 0x0500, 0x68, 0xF)
    expected = Tlp(Kind.MESSAGE_TO_ROOT, four_dwords=True, requester=0x0500, code=0x31)
    assert model.accept(0, write(0x1000)) == [(0, expected)]


# Request, its byte count and lower address: of reads by the table of 2.3.1.1.
ANSWERS = [
    (read(0x9000_0040), 4, 0x40),
    (read(0x9000_0040, first_be=0), 1, 0x40),
    (read(0x9000_0040, first_be=0b0010), 1, 0x41),
    (read(0x9000_0044, first_be=0b1001), 4, 0x44),
    (read(0x9000_0044, first_be=0b0110), 2, 0x45),
    (read(0x9000_007C, first_be=0b1000), 1, 0x7F),
    (read(0x9000_0000, length=2, last_be=15), 8, 0),
    (read(0x9000_0080, length=2, first_be=0b1000, last_be=0b0001), 2, 0x03),
    (read(0x9000_0080, length=3, first_be=0b1100, last_be=0b0111), 9, 0x02),
    (read(0x9000_0000, length=1024, last_be=15), 0, 0),
    (read(0x9000_0000, length=1024, first_be=0b1000, last_be=15), 4093, 3),
    (write(0x9000_0044, kind=Kind.FETCH_ADD, dwords=2), 8, 0),
    (write(0x9000_0044, kind=Kind.COMPARE_AND_SWAP, dwords=2), 4, 0),
    (read(0x9000_0044, kind=Kind.IO), 4, 0),
    (write(0x9000_0044, kind=Kind.IO, first_be=1), 4, 0),
    (configure(Kind.CONFIGURATION_1, 99), 4, 0),
]


@pytest.mark.parametrize("request_, byte_count, lower_address", ANSWERS)
def test_answers(request_, byte_count, lower_address):
    request = request_.with_changes(
        no_snoop=True, id_ordering=True, tag=0x3A5, requester=0x1234, digest=b"ecrc", prefix=0x91
    )
    expected = Tlp(
        Kind.COMPLETION,
        no_snoop=True,
        id_ordering=True,
        tag=0x3A5,
        requester=0x1234,
        completer=0x0138,
        status=1,
        byte_count=byte_count,
        lower_address=lower_address,
    )
    assert fixed().accept(0, request) == [(0, expected)]


def test_answers_from_below():
    """The completer is the ingress port; ACS violations are aborts; posted ones have no answer."""
    model = fixed(acs=Acs(source_validation=True))
    forged = read(0x1000, 0x0600, tc=3, relaxed_ordering=True)
    ((egress, answer),) = model.accept(1, forged)
    assert (egress, answer.completer, answer.status) == (1, 0x0100, 4)
    assert (answer.tc, answer.relaxed_ordering, answer.requester) == (3, True, 0x0600)
    assert model.accept(1, write(0x1000, 0x0600)) == []
    assert model.trace[-1] == TraceEntry(1, None, Rule.ACS_SOURCE_VALIDATION)
    ((egress, answer),) = model.accept(3, read(0x8300_0000))
    assert (egress, answer.completer, answer.status) == (3, 0x0110, 1)
    locked = read(0x1000, kind=Kind.MEMORY_LOCKED)
    assert model.accept(3, locked)[0][1].kind == Kind.COMPLETION_LOCKED


def test_broadcast():
    model = fixed({2: {"link_up": False}})
    everybody = message(Kind.MESSAGE_BROADCAST, code=0x00, requester=HOST)
    assert sorted(model.accept(0, everybody)) == [(1, everybody), (3, everybody)]
    assert model.trace[-1] == TraceEntry(0, None, Rule.MESSAGE_BROADCAST)


def test_gather():
    model = fixed()
    turn_off = message(Kind.MESSAGE_BROADCAST, code=0x19, requester=HOST)
    ack = message(Kind.MESSAGE_GATHER, code=0x1B)
    assert len(model.accept(0, turn_off)) == 3
    assert model.accept(1, ack) == []
    assert model.accept(1, ack) == []
    assert model.accept(3, ack) == []
    gathered = message(Kind.MESSAGE_GATHER, code=0x1B, requester=0x0138)
    assert model.accept(2, ack) == [(0, gathered)]
    assert model.accept(2, ack) == []


def interrupt(assert_: bool, pin: int, requester: int = 0x0138) -> Tlp:
    return message(Kind.MESSAGE_LOCAL, code=0x20 + 4 * (not assert_) + pin, requester=requester)


def test_interrupt_wires():
    """Wires are turned by the device number, and told when the first or last one changes."""
    model = fixed()
    assert model.accept(1, interrupt(True, 1)) == [(0, interrupt(True, 1))]
    assert model.accept(2, interrupt(True, 0)) == []
    assert model.accept(3, interrupt(True, 3)) == []
    assert model.accept(3, interrupt(True, 2)) == [(0, interrupt(True, 0))]
    assert model.accept(1, interrupt(False, 1)) == []
    assert model.accept(2, interrupt(False, 0)) == []
    # What is asserted when the link goes down is deasserted.
    assert sorted(model.set_link(3, False), key=lambda sent: sent[1].code) == [
        (0, interrupt(False, 0)),
        (0, interrupt(False, 1)),
    ]


def test_link_down():
    model = fixed()
    request = read(0x8100_0000, HOST)
    assert model.accept(0, request) == [(1, request)]
    model.set_link(1, False)
    refusal = Tlp(Kind.COMPLETION, requester=HOST, completer=0x0138, status=1, byte_count=4)
    # Accepted before, stuck inside; and accepted after.
    assert model.give_up(0, request) == [(0, refusal)]
    assert model.accept(0, request) == [(0, refusal)]
    assert model.accept(0, write(0x8100_0000)) == []
    assert model.accept(0, completion(0x0200)) == []
    assert {entry.rule for entry in model.trace[1:]} == {Rule.LINK_DOWN}
    model.set_link(1, True)
    assert model.accept(0, request) == [(1, request)]
    model.set_link(0, False)
    assert model.give_up(0, request) == []


MALFORMED = [
    read(0x8100_0FFC, length=2, last_be=1),
    read(0x8100_0000, first_be=15, last_be=1),
    read(0x8100_0000, length=2, last_be=0),
    read(0x8100_0000, length=2, first_be=0, last_be=1),
    read(0x8100_0000, kind=3),
    write(0x8100_0000, length=2, last_be=1),
    write(0x8100_0000, dwords=65),
    write(0x8100_0000, kind=Kind.MEMORY_LOCKED),
    read(0x8100_0000, kind=Kind.SWAP),
    read(0x8100_0000, kind=Kind.IO, length=2),
    read(0x8100_0000, kind=Kind.IO, four_dwords=True),
    configure(Kind.CONFIGURATION_1, 2).with_changes(tc=1),
    configure(Kind.CONFIGURATION_1, 2).with_changes(last_be=1),
    configure(Kind.CONFIGURATION_0, 1).with_changes(four_dwords=True),
    completion(0x0200, four_dwords=True),
    message(Kind.MESSAGE_LOCAL, four_dwords=False),
]


@pytest.mark.parametrize("tlp", MALFORMED)
def test_malformed(tlp):
    model = SwitchModel([FixedFunction(bridge) for bridge in tree()], max_payload_bytes=256)
    for port in range(4):
        model.set_link(port, True)
    assert model.accept(0, tlp) == []
    assert model.trace == [TraceEntry(0, None, Rule.MALFORMED)]


def test_not_malformed():
    """A steering tag is where a read's byte enables were."""
    model = fixed()
    hinted = read(0x8100_0000, th=True, last_be=9)
    assert model.accept(0, hinted) == [(1, hinted)]
    edge = read(0x8100_0FF8, length=2, last_be=15)
    assert model.accept(0, edge) == [(1, edge)]


def test_overflow_and_nullified():
    model = fixed()
    request = read(0x8100_0000)
    assert model.accept(0, request.with_changes(nullified=True)) == []
    assert model.trace == []
    assert model.accept(0, request, overflow=True) == []
    assert model.trace == [TraceEntry(0, None, Rule.OVERFLOW)]


@settings(deadline=None)
@given(
    st.integers(0, 3),
    tlps(requesters=st.integers(0, 0x7FF)),
    st.sampled_from([0x80000000, 0x81000000, 0x82000000, 0x1_0000, 0x13_0000_0000]),
    st.builds(Acs, *[st.booleans()] * 7, egress_vector=st.integers(0, 15)),
    st.sets(st.integers(0, 3)),
)
def test_what_always_holds(ingress, tlp, base, acs, down):
    """What is not posted is forwarded or answered, once; the rest never answered."""
    if not tlp.is_message and not tlp.is_completion and tlp.kind not in (4, 5):
        wide = tlp.four_dwords and tlp.kind != Kind.IO
        tlp = tlp.with_changes(address=(base if wide else base & 0xFFFF_FFFF) | tlp.address & 0xFFF)
    model = fixed({port: {"link_up": False} for port in down if port != ingress}, acs)
    sent = model.accept(ingress, tlp)
    (entry,) = model.trace
    assert entry.rule != Rule.MALFORMED
    for egress, _ in sent:
        assert model.bridges[egress].link_up
    if entry.egress is not None:
        ((egress, left),) = sent
        assert egress == entry.egress != ingress
        assert left == tlp.with_changes(kind=left.kind)
        assert left.kind == tlp.kind or (tlp.kind, left.kind) == (5, 4)
    elif tlp.tlp_class == TlpClass.NON_POSTED:
        ((egress, answer),) = sent
        assert egress == ingress and answer.is_completion
        assert (answer.requester, answer.tag, answer.tc) == (tlp.requester, tlp.tag, tlp.tc)
        assert answer.completer == model.bridges[ingress].identifier or answer.status == 0
        assert not answer.poisoned and answer.digest is None and answer.prefix is None
    else:
        assert all(left.is_message for _, left in sent)
        assert not sent or tlp.is_message


def test_many_answers_do_not_depend_on_what_was_before():
    """Requests change nothing that decides about others."""
    model, request = fixed(), read(0x9000_0000)
    first = model.accept(0, request)
    for number in range(100):
        model.accept(number % 4, replace(write(0x8200_0000), tag=number))
    assert model.accept(0, request) == first
