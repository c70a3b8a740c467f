"""The requester's model by hand: what answers do, losses, refusals."""

import pytest

from sim.roce import (
    RNR_TIMES,
    SendKind,
    SendState,
)
from tb.roce.asker import BASE, KEY, MTU, Asker, read, writes

SEND, WRITE, READ = SendKind.SEND, SendKind.WRITE, SendKind.READ
SEQUENCE, INVALID, ACCESS, OPERATION = 0x60, 0x61, 0x62, 0x63
RNR = 0x20 | 14
LINE = bytes(range(256)) * 16


# Acknowledgements.


def test_one_acknowledgement_for_all_before_it():
    asker = Asker()
    for _ in range(3):
        asker.post(WRITE, 2 * MTU)
    assert asker.sent() == writes(0, 2) + writes(2, 2) + writes(4, 2)
    asker.ack(4)
    assert asker.ended == [(1, "SUCCESS"), (2, "SUCCESS")]
    asker.ack(5)
    assert asker.ended[2:] == [(3, "SUCCESS")]
    assert asker.requester.deadline(9) is None


def test_what_is_not_signalled_is_not_told():
    asker = Asker()
    asker.post(WRITE, 1, signalled=False)
    asker.post(WRITE, 1)
    asker.sent()
    asker.ack(1)
    assert asker.ended == [(2, "SUCCESS")]


def test_a_long_message_asks_every_16_packets():
    asker = Asker()
    asker.post(SEND, 40 * MTU)
    asked = [number for _, number, asks in asker.sent() if asks]
    assert asked == [15, 31, 39]


@pytest.mark.parametrize("number", [-1, 4, 5, 1 << 22, -(1 << 22)])
@pytest.mark.parametrize("syndrome", [31, SEQUENCE, ACCESS, RNR])
def test_what_was_not_sent_cannot_be_answered(number, syndrome):
    asker = Asker(window=4)
    asker.post(WRITE, 5 * MTU)
    assert [psn for _, psn, _ in asker.sent()] == [0, 1, 2, 3]
    asker.ack(number, syndrome)
    assert asker.requester.dropped == ["PSN"]
    assert asker.sent() == []
    asker.ack(3)
    assert [psn for _, psn, _ in asker.sent()] == [4]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"dest_qp": 8}, "no such queue pair"),
        ({"p_key": 0x7FFE}, "P_Key"),
        ({"source": bytes([192, 0, 2, 3])}, "source"),
        ({"opcode": 0x04}, "opcode"),
    ],
)
def test_answers_of_others_are_dropped(fields, why):
    asker = Asker()
    asker.post(WRITE, 1)
    asker.sent()
    opcode = fields.pop("opcode", 0x11)
    asker.answer(opcode, 0, syndrome=None if opcode == 4 else 31, **fields)
    assert (asker.requester.dropped, asker.ended) == ([why], [])


# Losses.


def test_a_sequence_nak_is_obeyed_at_once_and_once():
    asker = Asker()
    asker.post(WRITE, 2 * MTU)
    asker.post(WRITE, 3 * MTU)
    asker.sent()
    asker.ack(3, SEQUENCE)
    assert asker.ended == [(1, "SUCCESS")]
    again = [("RDMA_WRITE_MIDDLE", 3, 0), ("RDMA_WRITE_LAST", 4, 1)]
    assert asker.sent() == again
    asker.ack(3, SEQUENCE)
    assert asker.sent() == []
    assert asker.sent(now=1000) == again
    # Since then it may be another loss.
    asker.ack(3, SEQUENCE)
    assert asker.sent(now=1001) == again


def test_what_was_acknowledged_meanwhile_is_not_sent_again():
    asker = Asker(window=8)
    asker.post(WRITE, 8 * MTU)
    asker.sent()
    asker.requester.expire(9, 1000)
    packets = asker.requester.transmit(9, 1000)
    assert (next(packets).psn + 2) % (1 << 24) == 0
    asker.ack(5)
    assert [(packet.psn + 2) % (1 << 24) for packet in packets] == [6, 7]


def test_time_and_how_often_it_may_run_out():
    asker = Asker(retries=2)
    asker.post(WRITE, 1)
    asker.post(WRITE, 1)
    assert asker.sent(now=10) == writes(0, 1) + writes(1, 1)
    assert asker.sent(now=1009) == []
    assert asker.sent(now=1010) == writes(0, 1) + writes(1, 1)
    asker.ack(0, now=1100)
    assert asker.sent(now=2099) == []
    for now in (2100, 3100):
        assert asker.sent(now=now) == writes(1, 1)
    assert asker.sent(now=4100) == []
    assert asker.ended == [(1, "SUCCESS"), (2, "RETRY_EXCEEDED")]
    assert asker.qp.state is SendState.ERROR


def test_a_read_goes_on_where_it_stopped():
    asker = Asker()
    asker.post(READ, 4 * MTU + 9, remote_address=0x8000, remote_key=5)
    assert asker.sent() == [read(0)]
    asker.respond("FIRST", 0, LINE[:MTU])
    asker.respond("MIDDLE", 2, LINE[:MTU])
    assert asker.sent() == [read(1)]
    fields = asker.packets[0].headers["reth"]
    assert fields == {"virtual_address": 0x8100, "r_key": 5, "dma_length": 3 * MTU + 9}
    asker.respond("FIRST", 1, LINE[1 : MTU + 1])
    asker.respond("MIDDLE", 2, LINE[2 : MTU + 2])
    asker.respond("MIDDLE", 3, LINE[3 : MTU + 3])
    asker.respond("LAST", 4, b"the last!")
    assert asker.ended == [(1, "SUCCESS")]
    wanted = b"".join(LINE[n : MTU + n] for n in range(4)) + b"the last!"
    assert asker.memory(4 * MTU + 9) == wanted


def test_a_read_of_several_pieces_is_several_reads():
    asker = Asker(reads=2)
    pieces = ((KEY, BASE, 3), (KEY, 0, 0), (KEY, BASE + 64, MTU + 1), (KEY, BASE + 8, 5))
    asker.post(READ, gather=pieces, remote_address=0x8000, remote_key=5)
    asker.post(WRITE, 1)
    assert asker.sent() == [read(0), read(1)]
    fields = [packet.headers["reth"] for packet in asker.packets]
    assert [(f["virtual_address"], f["dma_length"]) for f in fields] == [
        (0x8000, 3),
        (0x8003, MTU + 1),
    ]
    asker.respond("ONLY", 0, b"abc")
    assert asker.ended == []
    assert asker.sent() == [read(3), *writes(4, 1)]
    asker.respond("FIRST", 1, LINE[:MTU])
    asker.respond("LAST", 2, b"!")
    asker.respond("ONLY", 3, b"defgh")
    asker.ack(4)
    assert asker.ended == [(1, "SUCCESS"), (2, "SUCCESS")]
    assert asker.requester.completions[0].byte_length == 3 + MTU + 1 + 5
    assert asker.memory(13) == b"abc" + bytes(5) + b"defgh"
    assert asker.memory(MTU + 1, BASE + 64) == LINE[:MTU] + b"!"


def test_a_fence_in_front_of_several_pieces():
    asker = Asker()
    asker.post(READ, 8)
    asker.post(READ, gather=((KEY, BASE, 3), (KEY, BASE, 4)), fence=True)
    assert asker.sent() == [read(0)]
    asker.respond("ONLY", 0, bytes(8))
    assert asker.sent() == [read(1), read(2)]


def test_a_response_for_a_region_that_is_gone():
    asker = Asker()
    asker.post(READ, 8)
    asker.sent()
    asker.requester.keys.remove(KEY)
    asker.respond("ONLY", 0, b"response")
    assert (asker.ended, asker.memory(8)) == ([(1, "LOCAL_PROTECTION")], bytes(8))


def test_a_read_of_several_pieces_fails_once():
    asker = Asker(reads=2)
    asker.post(READ, gather=((KEY, BASE, 3), (KEY, BASE, 4), (KEY, BASE, 5)), signalled=False)
    asker.post(READ, 1)
    asker.sent()
    asker.ack(0, ACCESS)
    assert asker.ended == [(1, "REMOTE_ACCESS"), (2, "FLUSHED")]


def test_an_acknowledgement_behind_a_read_says_that_its_response_is_lost():
    asker = Asker()
    asker.post(WRITE, 1)
    asker.post(READ, 8)
    asker.post(WRITE, 1)
    assert asker.sent() == [*writes(0, 1), read(1), *writes(2, 1)]
    asker.ack(2)
    assert asker.ended == [(1, "SUCCESS")]
    assert asker.sent() == [read(1), *writes(2, 1)]
    asker.respond("ONLY", 1, b"response")
    asker.ack(2)
    assert asker.ended[1:] == [(2, "SUCCESS"), (3, "SUCCESS")]
    assert asker.memory(8) == b"response"


@pytest.mark.parametrize(
    ("part", "number", "payload"),
    [
        ("FIRST", 0, LINE[: MTU - 1]),
        ("ONLY", 0, LINE[:MTU]),
        ("LAST", 0, LINE[:MTU]),
        ("MIDDLE", 1, LINE[:1]),
        ("LAST", 1, LINE[:2]),
        ("LAST", 1, b""),
    ],
)
def test_a_response_that_does_not_fit_is_dropped(part, number, payload):
    asker = Asker()
    asker.post(READ, MTU + 1)
    asker.sent()
    if number:
        asker.respond("FIRST", 0, bytes(MTU))
    asker.respond(part, number, payload)
    assert asker.requester.dropped == ["response"]
    assert asker.memory(MTU + 1) == bytes(MTU + 1)
    assert asker.ended == []


@pytest.mark.parametrize("kind", [WRITE, SendKind.FETCH_ADD])
def test_a_response_to_something_else_is_dropped(kind):
    asker = Asker()
    asker.post(kind, 8)
    asker.sent()
    asker.respond("ONLY", 0, b"whatever")
    assert asker.requester.dropped == ["response"]
    assert (asker.memory(8), asker.ended) == (bytes(8), [])


def test_an_atomic_operation_brings_what_there_was():
    asker = Asker()
    asker.post(SendKind.COMPARE_SWAP, 8, remote_address=8, remote_key=3, operand=5, compare=4)
    assert asker.sent() == [("COMPARE_SWAP", 0, 1)]
    wanted = {"virtual_address": 8, "r_key": 3, "swap_or_add_data": 5, "compare_data": 4}
    assert asker.packets[0].headers["atomic_eth"] == wanted
    asker.ack(0)
    assert asker.ended == []
    asker.respond_atomic(0, 0x0102030405060708)
    assert (asker.ended, asker.memory(8)) == ([(1, "SUCCESS")], bytes(range(8, 0, -1)))


# Refusals.


@pytest.mark.parametrize(
    ("syndrome", "status"),
    [
        (INVALID, "REMOTE_INVALID_REQUEST"),
        (ACCESS, "REMOTE_ACCESS"),
        (OPERATION, "REMOTE_OPERATION"),
    ],
)
def test_a_refusal_ends_the_queue_pair_in_order(syndrome, status):
    asker = Asker()
    for _ in range(4):
        asker.post(WRITE, 2 * MTU, signalled=False)
    asker.sent()
    asker.ack(4, syndrome)
    wanted = [(3, status), (4, "FLUSHED")]
    assert asker.ended == wanted
    asker.post(SEND)
    assert asker.ended == [*wanted, (5, "FLUSHED")]
    assert asker.sent() == []
    assert asker.requester.deadline(9) is None


def test_no_receive_request_is_waited_for():
    asker = Asker(rnr_retries=2, retries=0)
    asker.post(SEND, MTU + 1)
    packets = [("SEND_FIRST", 0, 0), ("SEND_LAST", 1, 1)]
    assert asker.sent() == packets
    now, wait = 0, RNR_TIMES[14]
    assert wait == 1_280_000
    for _ in range(2):
        asker.ack(0, RNR, now=now)
        # What the peer says of packets behind makes nobody send earlier.
        asker.ack(0, SEQUENCE, now=now + 5)
        assert asker.sent(now=now + wait - 1) == []
        assert asker.requester.deadline(9) == now + wait
        now += wait
        assert asker.sent(now=now) == packets
    asker.ack(0, RNR, now=now)
    assert asker.ended == [(1, "RNR_RETRY_EXCEEDED")]


def test_a_repeated_rnr_nak_is_one():
    asker = Asker(rnr_retries=1)
    asker.post(SEND)
    asker.sent()
    asker.ack(0, RNR, now=5)
    asker.ack(0, RNR, now=6)
    assert asker.requester.dropped == ["waits already"]
    assert asker.requester.deadline(9) == 5 + RNR_TIMES[14]
    assert asker.sent(now=5 + RNR_TIMES[14]) == [("SEND_ONLY", 0, 1)]


def test_who_is_acknowledged_meanwhile_waits_no_longer():
    asker = Asker()
    asker.post(SEND)
    asker.sent()
    asker.ack(0, RNR)
    asker.post(WRITE, 1)
    asker.ack(0, now=7)
    assert asker.sent(now=7) == writes(1, 1)


def test_a_loss_behind_an_rnr_nak_is_another():
    asker = Asker()
    asker.post(SEND)
    asker.post(SEND)
    both = [("SEND_ONLY", 0, 1), ("SEND_ONLY", 1, 1)]
    asker.sent()
    asker.ack(0, SEQUENCE)
    assert asker.sent(now=1) == both
    asker.ack(0, RNR, now=1)
    now = 1 + RNR_TIMES[14]
    assert asker.sent(now=now) == both
    asker.ack(0, SEQUENCE, now=now)
    assert asker.sent(now=now) == both


@pytest.mark.parametrize("syndrome", [0x40, 0x5F, 0x64, 0x7F, 0x80, 0xFF])
def test_an_unknown_syndrome_says_nothing(syndrome):
    asker = Asker()
    asker.post(WRITE, 1)
    asker.post(WRITE, 1)
    asker.sent()
    asker.ack(1, syndrome)
    assert (asker.requester.dropped, asker.ended) == (["syndrome"], [])


def test_progress_gives_all_retries_back_and_seven_are_always():
    asker = Asker(rnr_retries=1)
    asker.post(SEND, 2 * MTU)
    asker.post(SEND)
    asker.sent()
    asker.ack(0, RNR)
    now = RNR_TIMES[14]
    asker.sent(now=now)
    asker.ack(2, RNR, now=now)
    assert asker.ended == [(1, "SUCCESS")]
    always = Asker(rnr_retries=7)
    always.post(SEND)
    for n in range(20):
        assert always.sent(now=n * now) == [("SEND_ONLY", 0, 1)]
        always.ack(0, RNR, now=n * now)
    assert always.ended == []
