"""The requester's model by hand: what begins, what is sent, what is refused."""

from dataclasses import replace

import pytest

from sim.roce import (
    Datagram,
    Region,
    Rights,
    SendKind,
    Service,
    WindowBinding,
)
from tb.roce.asker import BASE, FOREIGN, KEY, MTU, READ_ONLY, UNBOUND, WINDOW, Asker, read, writes

SEND, WRITE, READ = SendKind.SEND, SendKind.WRITE, SendKind.READ
ACCESS = 0x62
LINE = bytes(range(256)) * 16


# Limits.


def test_a_window_is_never_exceeded_and_its_last_packet_asks():
    asker = Asker(window=3)
    asker.post(WRITE, 7 * MTU)
    assert asker.sent() == [("RDMA_WRITE_FIRST", 0, 0)] + [
        ("RDMA_WRITE_MIDDLE", n, n == 2) for n in (1, 2)
    ]
    asker.ack(1)
    assert asker.sent() == [("RDMA_WRITE_MIDDLE", n, n == 4) for n in (3, 4)]


def test_a_fence_waits_for_reads_alone():
    asker = Asker()
    asker.post(READ, 8)
    asker.post(WRITE, 1)
    asker.post(WRITE, 1, fence=True)
    assert asker.sent() == [read(0), *writes(1, 1)]
    asker.respond("ONLY", 0, bytes(8))
    assert asker.sent() == writes(2, 1)


def test_so_many_reads_and_atomic_operations():
    asker = Asker(reads=2)
    for kind in (READ, SendKind.FETCH_ADD, READ, WRITE):
        asker.post(kind, 8)
    assert asker.sent() == [read(0), ("FETCH_ADD", 1, 1)]
    asker.respond("ONLY", 0, bytes(8))
    assert asker.sent() == [read(2), *writes(3, 1)]


def test_without_credit_a_message_begins_alone():
    asker = Asker(has_credits=True)
    asker.post(WRITE, MTU)
    for _ in range(3):
        asker.post(SEND, 2 * MTU)
    assert asker.sent() == writes(0, 1)
    asker.ack(0, 0, msn=1)
    assert asker.sent() == [("SEND_FIRST", 1, 1)]
    asker.ack(1, 0, msn=1)
    assert asker.sent() == [("SEND_LAST", 2, 1)]
    # One more receive request is there: the third work request may take it.
    asker.ack(2, 1, msn=2)
    assert asker.sent() == [("SEND_FIRST", 3, 0), ("SEND_LAST", 4, 1)]
    # An acknowledgement that is repeated tells of one more.
    asker.ack(2, 2, msn=2)
    assert asker.sent() == [("SEND_FIRST", 5, 0), ("SEND_LAST", 6, 1)]


def test_without_credits_the_syndrome_says_nothing():
    asker = Asker()
    for _ in range(3):
        asker.post(SEND, 1)
    assert len(asker.sent()) == 3
    asker.ack(0, 0, msn=1)
    asker.post(SEND, 1)
    assert len(asker.sent()) == 1


# Work requests that are none.


@pytest.mark.parametrize(
    ("service", "kind", "fields", "status"),
    [
        (Service.RC, SEND, {"gather": ((KEY + 1, BASE, 1),)}, "LOCAL_PROTECTION"),
        (Service.RC, SEND, {"gather": ((FOREIGN, BASE, 1),)}, "LOCAL_PROTECTION"),
        (Service.RC, WRITE, {"gather": ((KEY, BASE + 0xFFFF, 2),)}, "LOCAL_PROTECTION"),
        (Service.RC, WRITE, {"gather": ((KEY, BASE - 1, 2),)}, "LOCAL_PROTECTION"),
        (Service.RC, READ, {"gather": ((READ_ONLY, BASE, 2),)}, "LOCAL_PROTECTION"),
        (Service.RC, SEND, {"gather": ((KEY, BASE, 1),) * 17}, "LOCAL_OPERATION"),
        (Service.RC, READ, {"inline": b"no"}, "LOCAL_OPERATION"),
        (Service.RC, WRITE, {"invalidate": 5}, "LOCAL_OPERATION"),
        (Service.RC, SEND, {"gather": ((KEY, BASE, (1 << 31) + 1),)}, "LOCAL_LENGTH"),
        (Service.RC, SendKind.FETCH_ADD, {"gather": ((KEY, BASE, 9),)}, "LOCAL_LENGTH"),
        (
            Service.RC,
            READ,
            {"gather": ((KEY, BASE, 9),), "remote_address": (1 << 64) - 8},
            "LOCAL_LENGTH",
        ),
        (Service.RC, SEND, {"datagram": Datagram(b"1234", 1, 1)}, "LOCAL_OPERATION"),
        (Service.UC, READ, {}, "LOCAL_OPERATION"),
        (Service.UC, SEND, {"invalidate": 5}, "LOCAL_OPERATION"),
        (Service.UD, SEND, {}, "LOCAL_OPERATION"),
        (Service.UD, WRITE, {"datagram": Datagram(b"1234", 1, 1)}, "LOCAL_OPERATION"),
        (
            Service.UD,
            SEND,
            {"datagram": Datagram(b"1234", 1, 1), "gather": ((KEY, BASE, MTU + 1),)},
            "LOCAL_LENGTH",
        ),
    ],
)
def test_a_wrong_work_request_ends_the_queue_pair_in_order(service, kind, fields, status):
    asker = Asker(service)
    datagram = Datagram(bytes([192, 0, 2, 9]), 4, 5) if service is Service.UD else None
    asker.post(SEND, 1, datagram=datagram)
    asker.post(kind, **fields)
    asker.post(SEND, 1, datagram=datagram)
    assert len(asker.sent()) == 1
    if service is Service.RC:
        assert asker.ended == []
        asker.ack(0)
        assert asker.sent() == []
    assert asker.ended == [(1, "SUCCESS"), (2, status), (3, "FLUSHED")]


def test_a_read_where_none_may_be_is_refused():
    asker = Asker(reads=0)
    asker.post(READ, 8)
    asker.post(WRITE, 8)
    assert asker.sent() == []
    assert asker.ended == [(1, "LOCAL_OPERATION"), (2, "FLUSHED")]


def test_a_request_that_is_posted_twice_ends_twice():
    asker = Asker()
    request = asker.post(WRITE, 1)
    asker.requester.post(9, request)
    asker.sent()
    asker.ack(0, ACCESS)
    assert asker.ended == [(1, "REMOTE_ACCESS"), (1, "FLUSHED")]


def test_no_bytes_need_no_key():
    asker = Asker()
    asker.post(SEND, gather=((0xDEAD, 0, 0),))
    assert asker.sent() == [("SEND_ONLY", 0, 1)]


def test_a_region_that_is_gone_is_not_sent_on():
    asker = Asker(window=1)
    asker.post(WRITE, 2 * MTU)
    asker.post(WRITE, 1)
    assert len(asker.sent()) == 1
    asker.requester.keys.remove(KEY)
    asker.ack(0)
    assert asker.sent() == []
    assert asker.ended == [(1, "LOCAL_PROTECTION"), (2, "FLUSHED")]


def test_a_request_that_fails_waits_for_those_before_it():
    asker = Asker(window=2)
    asker.post(WRITE, inline=b"1")
    asker.post(WRITE, 2 * MTU)
    asker.post(WRITE, inline=b"3")
    assert len(asker.sent()) == 2
    asker.requester.keys.remove(KEY)
    assert asker.sent(now=1000) == writes(0, 1)
    asker.ack(0)
    assert asker.sent(now=1000) == []
    assert asker.ended == [(1, "SUCCESS"), (2, "LOCAL_PROTECTION"), (3, "FLUSHED")]


def test_no_more_psns_than_can_be_told_apart():
    asker = Asker(window=1 << 24)
    pages = ((0, 0), (0, 1 << 30))
    asker.requester.keys.add(Region(0x1600, 0, 0, 1 << 31, Rights.LOCAL_WRITE, pages, 1 << 30))
    for _ in range(4):
        asker.post(READ, gather=((0x1600, 0, 1 << 30),))
    assert asker.sent() == [read(0), read(1 << 22)]


# What else is sent, and what is not.


def test_inline_data_are_those_of_the_request():
    asker = Asker()
    asker.post(WRITE, inline=LINE[: MTU + 3], remote_address=0x77, remote_key=6, immediate=1)
    names = [("RDMA_WRITE_FIRST", 0, 0), ("RDMA_WRITE_LAST_WITH_IMMEDIATE", 1, 1)]
    assert asker.sent() == names
    assert b"".join(p.payload for p in asker.packets) == LINE[: MTU + 3]
    fields = {"virtual_address": 0x77, "r_key": 6, "dma_length": MTU + 3}
    assert asker.packets[0].headers["reth"] == fields
    assert asker.packets[1].headers["immdt"] == {"immediate_data": 1}


def test_data_are_gathered_in_order():
    asker = Asker()
    asker.requester.memory.write(0, BASE, LINE)
    pieces = ((KEY, BASE + 900, 3), (KEY, BASE + 7, 300), (KEY, 5, 0), (KEY, BASE, 1))
    asker.post(SEND, gather=pieces, solicited=True, invalidate=0x99)
    assert [name for name, _, _ in asker.sent()] == ["SEND_FIRST", "SEND_LAST_WITH_INVALIDATE"]
    wanted = LINE[900:903] + LINE[7:307] + LINE[:1]
    assert b"".join(p.payload for p in asker.packets) == wanted
    assert [p.bth["solicited_event"] for p in asker.packets] == [0, 1]
    assert asker.packets[1].headers["ieth"] == {"r_key": 0x99}


def test_an_unreliable_queue_pair_waits_for_nothing():
    asker = Asker(Service.UC, window=1)
    asker.post(WRITE, 3 * MTU)
    asker.post(SEND, 1, immediate=3)
    assert [name for name, _, asks in asker.sent() if not asks] == [
        "RDMA_WRITE_FIRST",
        "RDMA_WRITE_MIDDLE",
        "RDMA_WRITE_LAST",
        "SEND_ONLY_WITH_IMMEDIATE",
    ]
    assert asker.ended == [(1, "SUCCESS"), (2, "SUCCESS")]
    asker.ack(0, ACCESS)
    assert asker.requester.dropped == ["state"]


def test_a_datagram_says_where_it_goes():
    asker = Asker(Service.UD, q_key=0x1234)
    for q_key in (0x7000_0001, 0x8000_0001):
        asker.post(SEND, 4, datagram=Datagram(bytes([192, 0, 2, 9]), 0x41, q_key))
    assert asker.sent() == [("SEND_ONLY", 0, 0), ("SEND_ONLY", 1, 0)]
    for packet in asker.packets:
        assert (packet.destination, packet.bth["dest_qp"]) == (bytes([192, 0, 2, 9]), 0x41)
    # A key that only the privileged may name is the queue pair's own.
    keys = [packet.headers["deth"] for packet in asker.packets]
    assert keys == [{"q_key": 0x7000_0001, "src_qp": 9}, {"q_key": 0x1234, "src_qp": 9}]
    assert asker.ended == [(1, "SUCCESS"), (2, "SUCCESS")]


# Windows.

BINDING = WindowBinding(KEY, WINDOW << 8 | 3, BASE + 0x100, 0x80, Rights.WRITE)


def find(asker: Asker, key: int, address: int, **fields):
    """Look a remote key up, as a WRITE of 8 bytes would."""
    wanted = {"rights": Rights.WRITE, "domain": 0, "queue_pair": 9, **fields}
    return asker.requester.keys.find(key, address, 8, **wanted)


def test_a_window_is_bound_in_order_and_is_no_more():
    asker = Asker()
    asker.post(WRITE, 1)
    asker.post(SendKind.BIND, window=BINDING)
    asker.post(SEND, 1)
    key = BINDING.key
    assert asker.sent() == writes(0, 1)
    assert find(asker, key, BASE + 0x100) is None
    asker.ack(0)
    assert asker.sent() == [("SEND_ONLY", 1, 1)]
    assert asker.ended == [(1, "SUCCESS"), (2, "SUCCESS")]
    region = find(asker, key, BASE + 0x178)
    assert region is not None
    assert list(region.spans(BASE + 0x178, 8)) == [(0, BASE + 0x178, 8)]
    assert find(asker, key, BASE + 0x179) is None
    assert find(asker, key, BASE + 0x100, queue_pair=8) is None
    assert find(asker, key + 1, BASE + 0x100) is None
    asker.ack(1)
    asker.post(SendKind.INVALIDATE, invalidate=key)
    assert asker.sent() == []
    assert asker.ended[3:] == [(4, "SUCCESS")]
    assert find(asker, key, BASE + 0x100) is None


def test_a_window_gets_a_new_key():
    asker = Asker()
    asker.post(SendKind.BIND, window=BINDING)
    asker.post(SendKind.INVALIDATE, invalidate=BINDING.key)
    asker.post(SendKind.BIND, window=replace(BINDING, key=BINDING.key + 1))
    asker.post(SendKind.INVALIDATE, invalidate=BINDING.key + 1)
    asker.post(SendKind.BIND, window=replace(BINDING, key=BINDING.key + 1))
    asker.sent()
    assert [status for _, status in asker.ended] == ["SUCCESS"] * 4 + ["BIND"]


def test_a_zero_based_window():
    asker = Asker()
    asker.post(SendKind.BIND, window=replace(BINDING, is_zero_based=True))
    asker.sent()
    region = find(asker, BINDING.key, 0x78)
    assert region is not None
    assert list(region.spans(0x78, 8)) == [(0, BASE + 0x178, 8)]
    assert find(asker, BINDING.key, BASE + 0x100) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"region": KEY + 1},
        {"region": FOREIGN},
        {"region": READ_ONLY},
        {"region": UNBOUND},
        {"length": 0},
        {"length": 1 << 16},
        {"address": BASE - 1},
        {"key": 0x5003},
        {"rights": Rights.LOCAL_WRITE},
    ],
)
def test_a_window_that_may_not_be_bound(fields):
    asker = Asker()
    asker.post(SendKind.BIND, window=replace(BINDING, **fields))
    asker.sent()
    assert asker.ended == [(1, "BIND")]


def test_a_window_is_bound_once():
    asker = Asker()
    asker.post(SendKind.BIND, window=BINDING)
    asker.post(SendKind.BIND, window=replace(BINDING, key=BINDING.key + 1))
    asker.sent()
    assert asker.ended == [(1, "SUCCESS"), (2, "BIND")]


@pytest.mark.parametrize("key", [KEY, KEY + 1, FOREIGN, WINDOW << 8])
def test_a_key_that_is_none_cannot_be_invalidated(key):
    asker = Asker()
    asker.post(SendKind.INVALIDATE, invalidate=key)
    asker.sent()
    assert asker.ended == [(1, "LOCAL_OPERATION")]
