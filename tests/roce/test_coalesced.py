"""The comparison of coalesced answers lets nothing through that it must not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.roce import RocePacket
from tb.roce.coalesced import compare_coalesced

PEER = b"\xc0\x00\x02\x01"


def answer(opcode, psn, syndrome=0x1F, msn=0, payload=b"", original=None, qp=9):
    headers = {"bth": {"opcode": opcode, "p_key": 0xFFFF, "dest_qp": qp, "psn": psn % (1 << 24)}}
    if opcode != 0x0E:
        headers["aeth"] = {"syndrome": syndrome, "msn": msn}
    if original is not None:
        headers["atomic_ack_eth"] = {"original_remote_data": original}
    return RocePacket(b"", PEER, headers, payload)


def ack(psn, **fields):
    return answer(0x11, psn, **fields)


def nak(psn, syndrome=0x60):
    return answer(0x11, psn, syndrome)


def read(psn, data=b"data", opcode=0x10, **fields):
    return answer(opcode, psn, payload=data, **fields)


def atomic(psn, original=5):
    return answer(0x12, psn, original=original)


SERIES = [
    ack(-2),
    ack(-1),
    nak(0),
    ack(3),
    read(4),
    ack(5),
    atomic(6),
    ack(7),
    ack(7),
    nak(8, 0x62),
]


def same(model, sent):
    return compare_coalesced(model, sent)[0] is None


@pytest.mark.parametrize(
    "missing",
    [{0}, {1}, {0, 1}, {3}, {5}, {7}, {8}, {7, 8}, {0, 1, 3, 5, 7, 8}],
)
def test_acknowledgements_may_be_missing_that_a_later_answer_covers(missing):
    difference, used = compare_coalesced(
        SERIES, [a for n, a in enumerate(SERIES) if n not in missing]
    )
    assert difference is None
    assert sum(used.values()) == len(missing)


@pytest.mark.parametrize("missing", [4, 6, 9])
def test_other_answers_may_not_be_missing(missing):
    assert not same(SERIES, [a for n, a in enumerate(SERIES) if n != missing])


def test_the_last_acknowledgement_is_sent():
    assert not same([ack(1)], [])
    assert not same([ack(1), ack(2)], [ack(1)])
    assert same([ack(1), ack(2)], [ack(2)])
    assert same([ack(2), ack(2)], [ack(2)]), "of a duplicate"


def test_a_negative_one_covers_only_what_is_before_it():
    assert same([ack(4), nak(5)], [nak(5)])
    assert not same([ack(5), nak(5)], [nak(5)])


def test_a_repeated_read_does_not_cover_what_is_behind_it():
    assert not same([ack(9), read(3)], [read(3)])
    assert same([ack(9), read(3), ack(10)], [read(3), ack(10)])


def test_a_repeated_response_may_pass_acknowledgements():
    model = [atomic(2), ack(3), atomic(2), ack(4)]
    assert same(model, model)
    for sent in ([atomic(2), atomic(2), ack(3), ack(4)], [atomic(2), atomic(2), ack(4)]):
        difference, used = compare_coalesced(model, sent)
        assert difference is None
        assert used["acknowledgement behind a repeated answer"] == (ack(3) in sent)
    assert same([ack(9), read(3), ack(10)], [ack(10), read(3)])
    assert same([ack(9), read(3), nak(11)], [nak(11), read(3)])
    assert not same(model, [atomic(2), ack(4)]), "without it"
    assert not same(model, [atomic(2), atomic(2), ack(3)]), "in place of an acknowledgement"
    assert not same([read(2), atomic(3), read(2), atomic(3)], [read(2), atomic(3)] * 2 + [read(2)])
    again = [read(2), atomic(3), ack(4), atomic(3), read(2)]
    assert not same(again, [read(2), atomic(3), ack(4), read(2), atomic(3)]), "in another order"
    assert not same([atomic(2), ack(3), atomic(4)], [atomic(2), atomic(4), ack(3)]), "a new one"


def test_order():
    assert not same([ack(1), read(2), ack(3)], [ack(3), read(2)])
    assert not same([read(1), read(2)], [read(2), read(1)])
    assert not same([ack(1), ack(2)], [ack(2), ack(1)])


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        (ack(1), ack(2)),
        (ack(1), ack(1, msn=1)),
        (ack(1, syndrome=3), ack(1, syndrome=4)),
        (ack(1), nak(1)),
        (nak(1, 0x61), nak(1, 0x62)),
        (nak(1, 0x2B), nak(1, 0x2C)),
        (ack(1), ack(1, qp=8)),
        (read(1), read(1, b"dato")),
        (read(1), read(1, b"dat")),
        (read(1), read(1, opcode=0x0D)),
        (read(1), read(1, msn=3)),
        (read(1), read(1, syndrome=0x60)),
        (atomic(1), atomic(1, 6)),
        (ack(1), RocePacket(b"", b"\xc0\x00\x02\x07", ack(1).headers)),
    ],
)
def test_no_field_may_differ(model, sent):
    assert same([model], [model])
    assert not same([model], [sent])
    assert not same([model, ack(9)], [sent, ack(9)])


def test_credits_of_responses_are_free():
    difference, used = compare_coalesced([read(1, syndrome=3)], [read(1, syndrome=7)])
    assert difference is None
    assert used == {"credits of a response": 1}


def test_nothing_more_may_be_sent():
    assert not same([], [ack(1)])
    assert not same([ack(1)], [ack(1), ack(1)])
    assert not same([read(1)], [read(1), read(1)])


def test_a_sequence_nak_may_come_late():
    """What it asked for came before it was sent: it asks for what is behind that."""
    model = [ack(1), nak(2), ack(2), ack(3), read(4)]
    assert same(model, [ack(1), nak(3), ack(3), read(4)])
    assert same(model, [nak(4), read(4)])
    assert same([nak(2), ack(2)], [nak(3)])
    difference, used = compare_coalesced(model, [nak(3), read(4)])
    assert difference is None
    assert used["sequence NAK came late, with a later PSN"] == 1
    assert not same(model, [ack(1), nak(1), ack(2), read(4)]), "a PSN before"
    assert not same(model, [nak(2), nak(3), read(4)]), "twice"
    assert not same(model, [ack(2), nak(3), read(4)]), "behind what was sent later"
    assert not same([ack(1), ack(2)], [nak(1), ack(2)]), "without any of the model's"
    assert not same([nak(2, 0x2B), ack(2)], [nak(3)]), "of another kind"
    assert not same([nak(2), nak(2, 0x61)], [nak(3, 0x61)]), "a fatal one"


@pytest.mark.parametrize("syndrome", [0x2B, 0x60])
def test_a_response_may_overtake_the_nak_that_asked_for_its_request(syndrome):
    difference, used = compare_coalesced([nak(2, syndrome), atomic(2)], [atomic(2)])
    assert difference is None
    assert used == {"NAK overtaken by the answer to what it asked for": 1}
    assert same([nak(2, syndrome), nak(2, 0x62)], [nak(2, 0x62)])
    assert same([nak(2, syndrome), nak(2, 0x2A)], [nak(2, 0x2A)])
    assert not same([nak(2, syndrome), nak(1, 0x62)], [nak(1, 0x62)]), "not a NAK of before"
    # An acknowledgement says so of a receive request; a sequence NAK would have stayed.
    is_rnr = syndrome < 0x60
    assert same([nak(2, syndrome), ack(2)], [ack(2)]) == is_rnr
    assert same([nak(2, syndrome), ack(2), read(3)], [ack(2), read(3)]) == is_rnr
    assert not same([nak(2, syndrome), ack(1)], [ack(1)]), "not one of before"
    assert not same([nak(2, syndrome), read(1)], [read(1)]), "not one of before, again"
    assert not same([nak(2, 0x62), read(2)], [read(2)]), "not a fatal NAK"


@given(st.lists(st.booleans(), min_size=len(SERIES), max_size=len(SERIES)))
def test_any_choice(keep):
    """Exactly the choices are allowed that drop none but what responses and later answers say."""
    sent = [a for a, wanted in zip(SERIES, keep, strict=True) if wanted]
    # One of the two with PSN 7 stands for the other.
    allowed = all(keep[n] for n in (4, 6, 9)) and (keep[2] or not keep[3])
    assert same(SERIES, sent) == allowed


def test_of_equal_answers_any_may_be_the_one_that_was_sent():
    # The packet behind the RNR NAK repeats what the one before it said, then that PSN is refused.
    model = [ack(4, msn=2), ack(5, msn=3), nak(6, 0x28), ack(5, msn=3), nak(6, 0x61)]
    assert same(model, [ack(5, msn=3), nak(6, 0x61)])
    assert same(model, [ack(5, msn=3), nak(6, 0x28), ack(5, msn=3), nak(6, 0x61)])
    assert not same(model, [nak(6, 0x28), ack(5, msn=3)])
    assert not same(model[:-1], [ack(4, msn=2), ack(5, msn=3)])
