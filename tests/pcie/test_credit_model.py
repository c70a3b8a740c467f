"""The credit ledger, by hand and against counts that are cut to the fields of the wire."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.pcie import CreditLedger, CreditViolation, Kind, Tlp, TlpClass

READ = Tlp(Kind.MEMORY, length=64)
WRITE = Tlp(Kind.MEMORY, data=bytes(20), length=5, digest=bytes(4), prefix=0x91)
COMPLETION = Tlp(Kind.COMPLETION, data=bytes(4), length=1)
P, NP, CPL = TlpClass
MOST = [(127, 2047)] * 3


def test_costs():
    ledger = CreditLedger([(3, 5), (1, 0), (1, 1)])
    ledger.send(WRITE)
    ledger.send(READ)
    ledger.send(COMPLETION)
    assert ledger.held == [(1, 2), (1, 0), (1, 1)]
    ledger.send(WRITE)
    assert not ledger.covers(WRITE)
    with pytest.raises(CreditViolation, match="without credit for posted data"):
        ledger.send(WRITE)
    with pytest.raises(CreditViolation, match="without credit for non_posted headers"):
        ledger.send(READ)
    ledger.send(READ.with_changes(nullified=True))
    with pytest.raises(
        CreditViolation, match=r"2 posted headers, 4 posted data, 1 non_posted headers, 1 comp"
    ):
        ledger.check_settled()


def test_returns():
    ledger = CreditLedger([(1, 2), (1, 0), (1, 1)])
    ledger.send(WRITE)
    ledger.grant(P, 0, 1)
    ledger.grant(P, 1, 1)
    ledger.check_settled()
    ledger.send(WRITE)
    with pytest.raises(CreditViolation, match="posted data: returned 5 of 4"):
        ledger.grant(P, 1, 3)


def test_infinite():
    ledger = CreditLedger([(1, 0)] * 3, infinite=0b10_0010)
    ledger.send(WRITE)
    ledger.grant(P, 1, 2)
    ledger.send(WRITE)
    assert not ledger.covers(WRITE)
    ledger.grant(P, 1, 0)
    ledger.send(COMPLETION)
    assert not ledger.covers(COMPLETION)
    ledger.grant(CPL, 1, 0)
    ledger.check_settled()


def test_counts_go_round():
    ledger = CreditLedger(MOST)
    for number in range(1, 1000):
        ledger.send(WRITE)
        ledger.allocate(P, (127 + number) % 256, (2047 + 2 * number) % 4096)
        ledger.allocate(P, (127 + number) % 256, (2047 + 2 * number) % 4096)
    assert ledger.limits[P] == (127 + 999, 2047 + 2 * 999)
    ledger.check_settled()
    with pytest.raises(CreditViolation, match="count went"):
        ledger.allocate(P, (127 + 998) % 256, (2047 + 2 * 999) % 4096)


def test_counts_return_what_was_not_spent():
    with pytest.raises(CreditViolation, match="completion headers: returned 1 of 0"):
        CreditLedger(MOST).allocate(CPL, 128, 2047)


def test_scaled_counts_are_seen_in_whole_units():
    """With units of 16, room for 3 more TLPs is not seen before 16 have room."""
    ledger = CreditLedger([(16, 16)] * 3, scale=2)
    for _ in range(16):
        ledger.send(COMPLETION)
    ledger.allocate(CPL, 31, 31)
    assert not ledger.covers(COMPLETION)
    ledger.allocate(CPL, 32, 31)
    assert not ledger.covers(COMPLETION)
    ledger.allocate(CPL, 32, 32)
    assert ledger.covers(COMPLETION)
    ledger.check_settled()


@pytest.mark.parametrize("scale, headers, data", [(0, 127, 2047), (1, 508, 8188), (2, 2032, 32752)])
def test_windows(scale, headers, data):
    ledger = CreditLedger([(headers, data)] * 3, scale=scale)
    with pytest.raises(ValueError, match=f"posted headers must be 0 to {headers}, not"):
        ledger.widen(P, 1, 0)
    with pytest.raises(ValueError, match=f"completion data must be 0 to {data}, not"):
        CreditLedger([(1, 1), (1, 1), (1, data + 1)], scale=scale)


def test_wider():
    ledger = CreditLedger([(0, 0)] * 3)
    assert not ledger.covers(READ)
    ledger.widen(NP, 2, 0)
    ledger.send(READ)
    with pytest.raises(CreditViolation, match="1 non_posted headers"):
        ledger.check_settled()
    ledger.grant(NP, 1, 0)
    ledger.check_settled()


@settings(deadline=None)
@given(
    st.integers(0, 2),
    st.lists(st.tuples(st.sampled_from([READ, WRITE, COMPLETION]), st.booleans()), max_size=200),
)
def test_a_receiver_that_works(scale, steps):
    """Counts cut to 12 and 16 bits, as the port's, tell the same as amounts."""
    advertised = [(32, 64)] * 3
    ledger = CreditLedger(advertised, scale=scale)
    held, allocated = [], [list(pair) for pair in advertised]
    for tlp, free_first in steps:
        if ledger.covers(tlp):
            ledger.send(tlp)
            held.append(tlp)
        if free_first and held:
            gone = held.pop(0)
            count = allocated[gone.tlp_class]
            count[0] = (count[0] + 1) % (1 << 12)
            count[1] = (count[1] + gone.data_credits) % (1 << 16)
            ledger.allocate(gone.tlp_class, *count)
        in_hand = [
            (
                sum(tlp.tlp_class == tlp_class for tlp in held),
                sum(tlp.data_credits for tlp in held if tlp.tlp_class == tlp_class),
            )
            for tlp_class in TlpClass
        ]
        assert ledger.held == in_hand
    if held:
        with pytest.raises(CreditViolation):
            ledger.check_settled()
    else:
        ledger.check_settled()
