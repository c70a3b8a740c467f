"""The responder's model by hand: what recordings do not show, mostly refusals."""

import dataclasses
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.roce import BTH, CNPPadding
from scapy.layers.l2 import Ether

from sim.roce import (
    CREDITS,
    CompletionStatus,
    KeyTable,
    Memory,
    QueuePair,
    QueuePairState,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    Responder,
    Rights,
    RocePacket,
    Service,
    build,
)

PEER, CARD = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"
ALL = Rights.WRITE | Rights.READ | Rights.ATOMIC
KEY, BASE, LENGTH, MTU = 0x123456, 0x7000_0000_0800, 0x3000, 256
CODES = {
    "SEND_FIRST": 0,
    "SEND_MIDDLE": 1,
    "SEND_LAST": 2,
    "SEND_LAST_IMMEDIATE": 3,
    "SEND_ONLY": 4,
    "WRITE_FIRST": 6,
    "WRITE_MIDDLE": 7,
    "WRITE_LAST": 8,
    "WRITE_ONLY": 10,
    "WRITE_ONLY_IMMEDIATE": 11,
    "READ": 12,
    "COMPARE_SWAP": 0x13,
    "FETCH_ADD": 0x14,
    "SEND_ONLY_INVALIDATE": 0x17,
}
SEQUENCE, INVALID, ACCESS = 0x60, 0x61, 0x62


@dataclass
class Host:
    """A responder with one queue pair, 7, and a region on scattered pages."""

    service: Service = Service.RC
    rights: Rights = ALL
    receives: int = 4
    psn: int = 0xFFFFFE
    responder: Responder = field(init=False)
    last: int = 0
    answers: list[RocePacket] = field(default_factory=list)

    def __post_init__(self):
        self.responder = Responder(Memory(), KeyTable())
        pages = tuple((n % 2, 0x10000 * (4 - n)) for n in range(4))
        self.region = Region(KEY, 5, BASE, LENGTH, ALL, pages, 4096, 0x800)
        self.responder.keys.add(self.region)
        requests = [
            ReceiveRequest(n, ((0, 0x900000 + 0x1000 * n, 300), (1, 0x900000 + 0x1000 * n, 400)))
            for n in range(self.receives)
        ]
        self.qp = QueuePair(
            7,
            self.service,
            MTU,
            self.psn,
            PEER,
            9,
            domain=5,
            rights=self.rights,
            receives=ReceiveQueue(),
            resources=2,
            rnr_timer=11,
            q_key=0x42,
        )
        self.qp.receives.requests.extend(requests)
        self.responder.queue_pairs[7] = self.qp

    def put(
        self,
        name,
        payload=b"",
        *,
        psn=None,
        ack=1,
        source=PEER,
        bth=None,
        headers=None,
        ecn=0,
        now=0,
    ):
        """Send a packet with the next PSN, or another; return (opcode, PSN, syndrome) answered."""
        self.last = psn = self.qp.expected if psn is None else psn % (1 << 24)
        group = self.service.value << 5
        fields = {"opcode": group | CODES[name], "dest_qp": 7, "p_key": 0xFFFF}
        fields |= {"psn": psn, "ack_req": ack} | (bth or {})
        packet = RocePacket(source, CARD, {"bth": fields, **(headers or {})}, payload, ecn=ecn)
        self.answers = self.responder.receive(build(packet), now=now)
        return [
            (a.bth["opcode"], a.psn, a.headers["aeth"]["syndrome"] if "aeth" in a.headers else -1)
            for a in self.answers
        ]

    def nak(self, code):
        """Answer that refuses the packet that was put last."""
        return [(0x11, self.last, code)]


def reth(length, address=BASE, key=KEY):
    return {"reth": {"virtual_address": address, "r_key": key, "dma_length": length}}


def atomic(address=BASE, key=KEY, swap=1, compare=0):
    fields = {"virtual_address": address, "r_key": key, "swap_or_add_data": swap}
    return {"atomic_eth": {**fields, "compare_data": compare}}


def test_a_write_over_pages():
    host = Host()
    data = bytes(n * n >> 3 & 0xFF for n in range(40 * MTU))
    parts = [data[n : n + MTU] for n in range(0, len(data), MTU)]
    assert host.put("WRITE_FIRST", parts[0], ack=0, headers=reth(len(data), BASE + 5)) == []
    for part in parts[1:-1]:
        assert host.put("WRITE_MIDDLE", part, ack=0) == []
    assert host.put("WRITE_LAST", parts[-1]) == [(0x11, host.last, 4)]
    read = host.responder.memory.read
    first = 0x1000 - 0x805
    assert read(0, 0x40805, first) == data[:first]
    assert read(1, 0x30000, 0x1000) == data[first : first + 0x1000]
    assert read(0, 0x20000, 0x1000) == data[first + 0x1000 : first + 0x2000]
    rest = data[first + 0x2000 :]
    assert read(1, 0x10000, len(rest) + 1) == rest + b"\0"
    assert host.qp.msn == 1


def test_a_send_into_two_buffers():
    host = Host(receives=1)
    data = bytes(range(200)) * 3
    host.put("SEND_FIRST", data[:MTU], ack=0)
    host.put("SEND_MIDDLE", data[MTU : 2 * MTU], ack=0)
    immediate = {"immdt": {"immediate_data": 0xABCD}}
    # No receive request is left: no credit.
    assert host.put("SEND_LAST_IMMEDIATE", data[2 * MTU :], headers=immediate) == [
        (0x11, host.last, 0)
    ]
    assert host.responder.memory.read(0, 0x900000, 300) == data[:300]
    assert host.responder.memory.read(1, 0x900000, 300) == data[300:]
    (completion,) = host.responder.completions
    assert (completion.byte_length, completion.immediate) == (600, 0xABCD)
    assert completion.source_queue_pair == 9


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


def test_reads_and_their_repetition():
    host = Host()
    data = bytes(range(251)) * 4
    host.responder.memory.write(0, 0x40800, data[:1000])
    first = host.qp.expected
    codes = [0x0D, 0x0E, 0x0E, 0x0F]
    assert [a[0] for a in host.put("READ", headers=reth(1000))] == codes
    assert b"".join(a.payload for a in host.answers) == data[:1000]
    assert [a.psn for a in host.answers] == [(first + n) % (1 << 24) for n in range(4)]
    assert host.put("READ", psn=first + 2, headers=reth(488, BASE + 512))[0][0] == 0x0D
    assert b"".join(a.payload for a in host.answers) == data[512:1000]
    assert host.put("READ", psn=first + 2, headers=reth(1000, BASE + 512)) == [], (
        "beyond the first one"
    )
    assert host.qp.msn == 1
    host.put("READ", headers=reth(1))
    host.put("READ", headers=reth(1))
    assert host.put("READ", psn=first, headers=reth(1000)) == [], "two resources, both used since"


def test_an_atomic_operation_is_not_done_again():
    host = Host()
    first = host.qp.expected
    host.put("FETCH_ADD", headers=atomic(swap=5))
    host.put("COMPARE_SWAP", headers=atomic(swap=9, compare=5))
    assert host.answers[0].headers["atomic_ack_eth"]["original_remote_data"] == 5
    host.put("COMPARE_SWAP", headers=atomic(swap=1, compare=5))
    assert host.answers[0].headers["atomic_ack_eth"]["original_remote_data"] == 9
    assert host.responder.memory.read(0, 0x40800, 8) == (9).to_bytes(8, "little")
    host.put("COMPARE_SWAP", psn=first + 1, headers=atomic(swap=7, compare=9))
    assert host.answers[0].headers["atomic_ack_eth"]["original_remote_data"] == 5
    assert host.put("FETCH_ADD", psn=first, headers=atomic(swap=5)) == [], "two resources"
    assert host.responder.memory.read(0, 0x40800, 8) == (9).to_bytes(8, "little")


def test_a_duplicate_is_acknowledged_and_not_executed():
    host = Host()
    host.put("SEND_ONLY", b"one")
    host.put("SEND_ONLY", b"two")
    assert host.put("SEND_ONLY", b"one", psn=host.psn) == [(0x11, host.psn + 1, 2)]
    assert host.put("SEND_ONLY", b"one", psn=host.psn, ack=0) == []
    assert (len(host.responder.completions), host.qp.msn) == (2, 2)


def test_credits():
    assert CREDITS[:12] == [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48]
    assert (len(CREDITS), CREDITS[-1]) == (31, 32768)
    assert all(CREDITS[n] == 2 * CREDITS[n - 2] for n in range(5, 31))
    host = Host(receives=16)
    assert host.put("SEND_ONLY") == [(0x11, host.last, CREDITS.index(12))]
    host.qp.receives.is_shared = True
    assert host.put("SEND_ONLY") == [(0x11, host.last, 31)]


def test_a_shared_queue_tells_of_its_limit_once():
    host = Host(receives=4)
    host.qp.receives.is_shared, host.qp.receives.limit = True, 3
    for _ in range(3):
        host.put("SEND_ONLY")
    assert host.responder.events == [("limit", 7)]


def test_unreliable_connected_drops_messages_that_lost_a_packet():
    host = Host(service=Service.UC)
    assert host.put("SEND_FIRST", bytes(MTU)) == []
    host.put("SEND_LAST", b"x", psn=host.qp.expected + 1)
    assert host.responder.completions == []
    host.put("SEND_ONLY", b"abc")
    (completion,) = host.responder.completions
    assert (completion.identifier, completion.byte_length) == (0, 3)
    host.put("WRITE_ONLY", b"x", headers=reth(1, key=KEY ^ 1))
    host.put("SEND_FIRST", bytes(MTU))
    host.put("SEND_ONLY", b"de")
    assert [c.identifier for c in host.responder.completions] == [0, 1]
    assert host.qp.state is QueuePairState.READY


def test_marked_packets_draw_a_cnp_an_interval():
    host = Host()
    host.responder.cnp_interval = 50
    for now, marks in ((10, 3), (11, 3), (59, 3), (60, 3), (61, 2), (200, 1), (201, 3)):
        cnps = [a for a in host.put("WRITE_ONLY", headers=reth(0), ecn=marks, now=now)[:-1]]
        assert cnps == ([(0x81, 0, -1)] if now in (10, 60, 201) else [])
    cnp = host.answers[0]
    assert (cnp.bth["dest_qp"], cnp.bth["becn"], cnp.destination) == (9, 1, PEER)
    dissected = Ether(build(dataclasses.replace(cnp, source=CARD)))
    assert (dissected[BTH].opcode, dissected[BTH].becn, dissected[CNPPadding].fields) == (
        0x81,
        1,
        {"reserved1": 0, "reserved2": 0},
    )


def test_a_cnp_that_comes_is_told():
    host = Host()
    assert host.put("SEND_ONLY", bth={"opcode": 0x81}, headers={"cnp": {}}) == []
    assert host.put("SEND_ONLY", bth={"opcode": 0x81}, headers={"cnp": {}}, source=CARD) == []
    assert host.responder.congested == [7]
    assert host.qp.expected == host.psn


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


def test_datagrams():
    host = Host(service=Service.UD)
    deth = {"q_key": 0x42, "src_qp": 77}
    assert host.put("SEND_ONLY", bytes(MTU), headers={"deth": deth}) == []
    (completion,) = host.responder.completions
    assert (completion.byte_length, completion.source_queue_pair) == (MTU + 40, 77)
    host.put("SEND_ONLY", b"x", headers={"deth": {**deth, "q_key": 0x43}})
    host.put("SEND_ONLY", bytes(MTU + 4), headers={"deth": deth})
    host.qp.receives.requests.clear()
    host.put("SEND_ONLY", b"x", headers={"deth": deth})
    host.qp.receives.requests.append(ReceiveRequest(1, ((0, 0, 40),)))
    host.put("SEND_ONLY", b"x", headers={"deth": deth})
    assert host.responder.dropped == ["Q_Key", "length", "no receive request", "buffer"]
    assert len(host.qp.receives.requests) == 1
