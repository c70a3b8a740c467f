"""The responder's model by hand: what it drops or refuses, and what stays untouched."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.roce import CompletionStatus, QueuePairState, ReceiveRequest, Rights, Service
from tb.roce.host import (
    ACCESS,
    ALL,
    BASE,
    CODES,
    INVALID,
    KEY,
    LENGTH,
    MTU,
    PEER,
    SEQUENCE,
    Host,
    atomic,
    reth,
)


@pytest.mark.parametrize(
    ("bth", "source", "why"),
    [
        ({"dest_qp": 8}, PEER, "no such queue pair"),
        ({"p_key": 0x7FFE}, PEER, "P_Key"),
        ({"opcode": 0x24}, PEER, "service"),
        ({}, b"\xc0\x00\x02\x03", "source"),
    ],
)
def test_what_is_not_for_it_is_dropped(bth, source, why):
    host = Host()
    assert host.put("SEND_ONLY", bth=bth, source=source) == []
    assert host.responder.dropped == [why]
    assert host.qp.expected == host.psn


def test_two_limited_members_do_not_meet():
    host = Host()
    host.qp.p_key = 0x7FFF
    assert host.put("SEND_ONLY", bth={"p_key": 0x7FFF}) == []
    assert host.responder.dropped == ["P_Key"]
    assert host.put("SEND_ONLY") == [(0x11, host.last, 3)]


def test_a_gap_draws_one_nak():
    host = Host()
    assert host.put("SEND_ONLY", psn=host.psn + 1) == [(0x11, host.psn, SEQUENCE)]
    assert host.put("SEND_ONLY", psn=host.psn + 2) == []
    assert host.put("SEND_ONLY")[0][2] < 0x20
    assert host.put("SEND_ONLY", psn=host.qp.expected + 1)[0][2] == SEQUENCE


def test_half_of_all_sequence_numbers_is_ahead():
    half = 1 << 23
    host = Host()
    host.put("SEND_ONLY")
    assert host.put("SEND_ONLY", psn=host.qp.expected - half)[0][2] < 0x20
    assert host.put("SEND_ONLY", psn=host.qp.expected - half - 1)[0][2] == SEQUENCE


def test_no_receive_request():
    host = Host(receives=0)
    assert host.put("SEND_ONLY", b"x") == host.nak(0x20 | 11)
    assert host.put("SEND_ONLY", psn=host.psn + 1) == []
    host.qp.receives.requests.append(ReceiveRequest(1, ((0, 0x900000, 10),)))
    assert host.put("SEND_ONLY", b"x") == [(0x11, host.psn, 0)]
    assert host.put("WRITE_ONLY", headers=reth(0)) == [(0x11, host.last, 0)]
    immediate = {"immdt": {"immediate_data": 1}}
    assert host.put("WRITE_ONLY_IMMEDIATE", b"y", headers=reth(1) | immediate) == host.nak(
        0x20 | 11
    )
    assert host.responder.memory.read(0, 0x40800, 1) == b"\0", "written before it is accepted"


@pytest.mark.parametrize(
    ("packets", "code"),
    [
        ([("SEND_MIDDLE", bytes(MTU), {})], INVALID),
        ([("SEND_LAST", b"x", {})], INVALID),
        ([("SEND_FIRST", bytes(MTU), {}), ("SEND_ONLY", b"", {})], INVALID),
        ([("SEND_FIRST", bytes(MTU), {}), ("WRITE_LAST", b"x", {})], INVALID),
        ([("SEND_FIRST", bytes(MTU), {}), ("READ", b"", reth(1))], INVALID),
        ([("SEND_FIRST", bytes(MTU), {}), ("SEND_LAST", b"", {})], INVALID),
        ([("SEND_FIRST", bytes(MTU - 4), {})], INVALID),
        ([("SEND_ONLY", bytes(MTU + 4), {})], INVALID),
        ([("WRITE_ONLY", b"xy", reth(1))], INVALID),
        ([("WRITE_ONLY", b"x", reth(2))], INVALID),
        ([("WRITE_ONLY", b"", reth(2))], INVALID),
        ([("WRITE_FIRST", bytes(MTU), reth(MTU))], INVALID),
        ([("WRITE_FIRST", bytes(MTU), reth(MTU + 1)), ("WRITE_LAST", b"xy", {})], INVALID),
        ([("WRITE_FIRST", bytes(MTU), reth((1 << 31) + 1))], INVALID),
        ([("READ", b"", reth((1 << 31) + 1))], INVALID),
        ([("WRITE_ONLY", b"x", reth(1, key=KEY ^ 1))], ACCESS),
        ([("WRITE_ONLY", b"x", reth(1, key=KEY ^ 0x100))], ACCESS),
        ([("WRITE_ONLY", b"x", reth(1, BASE - 1))], ACCESS),
        ([("WRITE_ONLY", b"xy", reth(2, BASE + LENGTH - 1))], ACCESS),
        ([("WRITE_FIRST", bytes(MTU), reth(MTU + 1, BASE + LENGTH - MTU))], ACCESS),
        ([("READ", b"", reth(5, (1 << 64) - 4))], ACCESS),
        ([("FETCH_ADD", b"", atomic(BASE + 4))], INVALID),
        ([("FETCH_ADD", b"", atomic(BASE + LENGTH))], ACCESS),
        ([("SEND_ONLY_INVALIDATE", b"", {"ieth": {"r_key": KEY}})], ACCESS),
    ],
)
def test_what_moves_to_error(packets, code):
    host = Host()
    *before, (name, payload, headers) = packets
    for first in before:
        assert host.put(first[0], first[1], ack=0, headers=first[2]) == []
    assert host.put(name, payload, headers=headers) == host.nak(code)
    assert host.qp.state is QueuePairState.ERROR
    assert host.put("SEND_ONLY") == []
    assert {c.status for c in host.responder.completions} <= {
        CompletionStatus.FLUSHED,
        CompletionStatus.REMOTE_INVALID_REQUEST,
        CompletionStatus.REMOTE_ACCESS,
    }
    assert len(host.responder.completions) == 4, "each receive request ends once"


@pytest.mark.parametrize("more", [0, 1])
def test_a_send_longer_than_its_buffers(more):
    host = Host()
    host.put("SEND_FIRST", bytes(MTU), ack=0)
    host.put("SEND_MIDDLE", bytes(MTU), ack=0)
    answer = host.put("SEND_LAST", bytes(700 - 2 * MTU + more))
    statuses = [c.status for c in host.responder.completions]
    if more:
        assert answer == host.nak(INVALID)
        assert statuses == [CompletionStatus.LOCAL_LENGTH, *[CompletionStatus.FLUSHED] * 3]
    else:
        assert answer == [(0x11, host.last, 3)]
        assert statuses == [CompletionStatus.SUCCESS]


@pytest.mark.parametrize("missing", [Rights.WRITE, Rights.READ, Rights.ATOMIC])
@pytest.mark.parametrize("of_region", [False, True])
def test_rights(missing, of_region):
    host = Host(rights=ALL if of_region else ALL & ~missing)
    if of_region:
        host.responder.keys.add(dataclasses.replace(host.region, rights=ALL & ~missing))
    requests = {
        Rights.WRITE: ("WRITE_ONLY", b"x", reth(1)),
        Rights.READ: ("READ", b"", reth(1)),
        Rights.ATOMIC: ("FETCH_ADD", b"", atomic()),
    }
    for right, (name, payload, headers) in requests.items():
        if right is not missing:
            assert host.put(name, payload, headers=headers)[0][2] < 0x20
    name, payload, headers = requests[missing]
    assert host.put(name, payload, headers=headers) == host.nak(ACCESS if of_region else INVALID)


def test_other_domain_and_window_of_another():
    for change in ({"domain": 6}, {"queue_pair": 8}):
        host = Host()
        host.responder.keys.add(dataclasses.replace(host.region, **change))
        assert host.put("WRITE_ONLY", b"x", headers=reth(1)) == host.nak(ACCESS)


def test_a_window_is_invalidated_once():
    host = Host()
    host.responder.keys.add(dataclasses.replace(host.region, queue_pair=7))
    assert host.put("SEND_ONLY_INVALIDATE", b"x", headers={"ieth": {"r_key": KEY}})[0][2] < 0x20
    assert host.responder.completions[0].invalidated == KEY
    assert host.put("WRITE_ONLY", b"x", headers=reth(1)) == host.nak(ACCESS)


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(sorted(CODES)),
        st.sampled_from([0, 1, 4, MTU - 1, MTU, MTU + 1]),
        st.sampled_from([-1, 0, 0, 0, 0, 0, 1, 1 << 23]),
        st.sampled_from([0, 1, 3, 8, MTU, MTU + 1, LENGTH, LENGTH + 1, 1 << 31, (1 << 32) - 1]),
        st.sampled_from([0, 0, 0, -1, 1, 8, LENGTH - 8, LENGTH, -BASE, (1 << 64) - 8 - BASE]),
        st.sampled_from([KEY, KEY, KEY, KEY ^ 1, KEY ^ 0x100, 0]),
    ),
    max_size=12,
)


@given(REQUESTS, st.sampled_from(list(Service)))
def test_nothing_outside_is_touched(requests, service):
    """Whatever comes, writes lie in the region or a receive buffer, and requests end once."""
    host = Host(service=service)
    allowed = {(n % 2, (0x10000 * (4 - n)) >> 12) for n in range(4)}
    allowed |= {(space, 0x900 + n) for space in (0, 1) for n in range(4)}
    for name, size, ahead, length, offset, key in requests:
        headers = {}
        where = {"virtual_address": BASE + offset, "r_key": key}
        if service is Service.UD:
            if name != "SEND_ONLY":
                continue
            headers["deth"] = {"q_key": 0x42, "src_qp": 3}
        if name in ("WRITE_FIRST", "WRITE_ONLY", "WRITE_ONLY_IMMEDIATE", "READ"):
            headers["reth"] = {**where, "dma_length": length}
        if name in ("COMPARE_SWAP", "FETCH_ADD"):
            headers |= atomic(**{"address": BASE + offset, "key": key})
        if "IMMEDIATE" in name:
            headers["immdt"] = {"immediate_data": 5}
        if "INVALIDATE" in name:
            headers["ieth"] = {"r_key": key}
        if service is Service.UC and CODES[name] > 11:
            continue
        host.put(name, b"\xff" * size, psn=host.qp.expected + ahead, headers=headers)
        # 48 MTUs are all that the region has.
        assert len(host.answers) <= LENGTH // MTU
    assert {place for place, block in host.responder.memory.blocks() if any(block)} <= allowed
    assert host.responder.memory.read(0, 0x40000, 0x800) == bytes(0x800), "before the region"
    assert host.responder.memory.read(1, 0x10800, 0x800) == bytes(0x800), "behind it"
    ended = [c.identifier for c in host.responder.completions]
    left = [r.identifier for r in host.qp.receives.requests]
    current = [] if host.qp.receive is None else [host.qp.receive.identifier]
    assert sorted(ended + left + current) == [0, 1, 2, 3]
