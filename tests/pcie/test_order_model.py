"""The order checker, against table 2.4.1 and against a checker that compares all pairs."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.pcie import Kind, OrderChecker, OrderViolation, Tlp, TlpClass

A, B = 0x0100, 0x0200
POSTED = Tlp(Kind.MEMORY, data=b"post", length=1, requester=A)
READ = Tlp(Kind.MEMORY, length=1, requester=A, tag=1)
ATOMIC = Tlp(Kind.FETCH_ADD, data=b"atom", length=1, requester=A, tag=2)
WRITE = Tlp(Kind.CONFIGURATION_1, data=b"conf", length=1, requester=A, tag=3)
MESSAGE = Tlp(Kind.MESSAGE_TO_ROOT, four_dwords=True, requester=A, code=0x30)
# A completion of A's: it answers B.
COMPLETION = Tlp(Kind.COMPLETION, completer=A, requester=B, tag=4)

RELAXED, BY_ID = {"relaxed_ordering": True}, {"id_ordering": True}


def may_pass(later: Tlp, earlier: Tlp, **parameters) -> bool:
    """Let ``later`` leave before ``earlier``."""
    checker = OrderChecker(**parameters)
    checker.accept(1, 2, earlier)
    checker.accept(1, 2, later)
    try:
        checker.leave(2, later)
    except OrderViolation:
        return False
    checker.leave(2, earlier)
    checker.check_drained()
    return True


# Later, earlier, whether it may: each row of the table, its attributes and their limits.
TABLE = [
    (MESSAGE, POSTED, {}, False),
    (MESSAGE, POSTED, RELAXED, True),
    (MESSAGE, POSTED, BY_ID, False),
    (MESSAGE, replace(POSTED, requester=B), BY_ID, True),
    (MESSAGE, replace(POSTED, requester=B), {}, False),
    (MESSAGE, replace(POSTED, **RELAXED), {}, False),
    (POSTED, READ, {}, True),
    (POSTED, ATOMIC, {}, True),
    (POSTED, COMPLETION, {}, True),
    (READ, POSTED, {}, False),
    (READ, MESSAGE, {}, False),
    (READ, POSTED, RELAXED, False),
    (READ, POSTED, BY_ID, False),
    (READ, replace(POSTED, requester=B), BY_ID, True),
    (READ, replace(POSTED, requester=B), RELAXED, False),
    (READ, ATOMIC, {}, True),
    (READ, COMPLETION, {}, True),
    (ATOMIC, POSTED, {}, False),
    (ATOMIC, POSTED, RELAXED, True),
    (ATOMIC, POSTED, BY_ID, False),
    (ATOMIC, replace(POSTED, requester=B), BY_ID, True),
    (ATOMIC, READ, {}, True),
    (WRITE, POSTED, {}, False),
    (COMPLETION, POSTED, {}, False),
    (COMPLETION, POSTED, RELAXED, True),
    (COMPLETION, POSTED, BY_ID, False),
    # The requester of the completion is B, but it comes from A: so only B's writes are others'.
    (COMPLETION, replace(POSTED, requester=B), BY_ID, True),
    (COMPLETION, READ, {}, True),
    (COMPLETION, ATOMIC, {}, True),
    (COMPLETION, replace(COMPLETION, tag=5), {}, True),
    (COMPLETION, replace(COMPLETION, requester=A), {}, True),
    (COMPLETION, replace(COMPLETION, byte_count=64), {}, False),
    (COMPLETION, replace(COMPLETION, byte_count=64, completer=B), RELAXED | BY_ID, False),
]


@pytest.mark.parametrize("later, earlier, attributes, allowed", TABLE)
def test_table(later, earlier, attributes, allowed):
    later = replace(later, **attributes)
    assert may_pass(later, earlier) == allowed
    # Never between traffic classes, unless that is asked for.
    assert may_pass(replace(later, tc=3), earlier)
    if later.tlp_class != TlpClass.COMPLETION or earlier.tlp_class != TlpClass.COMPLETION:
        assert may_pass(replace(later, tc=3), earlier, by_traffic_class=False) == allowed


def test_other_paths_do_not_matter():
    checker = OrderChecker()
    checker.accept(0, 2, POSTED)
    checker.accept(1, 3, POSTED)
    checker.accept(1, 2, READ)
    assert checker.leave(2, READ) == 1
    assert checker.leave(3, POSTED) == 1
    with pytest.raises(OrderViolation, match="1 TLPs never left, the oldest from port 0 to 2"):
        checker.check_drained()
    assert checker.leave(2, POSTED) == 0
    checker.check_drained()


def test_what_never_came():
    checker = OrderChecker()
    checker.accept(1, 2, POSTED)
    with pytest.raises(OrderViolation, match="was not sent there"):
        checker.leave(3, POSTED)
    with pytest.raises(OrderViolation, match="was not sent there"):
        checker.leave(2, replace(POSTED, data=b"past"))
    checker.leave(2, POSTED)
    with pytest.raises(OrderViolation, match="was not sent there"):
        checker.leave(2, POSTED)


def test_equal_contents():
    """Which of two equal TLPs left cannot be seen; it is the one that may."""
    checker = OrderChecker()
    checker.accept(0, 2, MESSAGE)
    checker.accept(0, 2, POSTED)
    checker.accept(1, 2, POSTED)
    checker.accept(1, 2, POSTED)
    assert [checker.leave(2, POSTED) for _ in range(2)] == [1, 1]
    with pytest.raises(OrderViolation, match="from port 0 to 2, passed an older posted"):
        checker.leave(2, POSTED)


def test_given_up():
    checker = OrderChecker()
    checker.accept(1, 2, POSTED)
    checker.accept(1, 3, POSTED)
    checker.accept(1, 2, READ)
    checker.discard(2, POSTED, 1)
    with pytest.raises(OrderViolation, match="given up"):
        checker.discard(2, POSTED, 1)
    checker.accept(0, 2, COMPLETION)
    assert checker.discard_all(2) == [(1, READ), (0, COMPLETION)]
    checker.leave(3, POSTED)
    checker.check_drained()


def legal(order: list[Tlp]) -> bool:
    """Compare all pairs of TLPs; tags say in which order they came, but for completions."""
    return all(
        earlier.vendor < later.vendor or may_pass(earlier, later)
        for position, earlier in enumerate(order)
        for later in order[position + 1 :]
    )


choices = [POSTED, MESSAGE, READ, ATOMIC, COMPLETION, replace(COMPLETION, tag=9)]


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            replace,
            st.sampled_from(choices),
            requester=st.sampled_from([A, B]),
            completer=st.sampled_from([A, B]),
            relaxed_ordering=st.booleans(),
            id_ordering=st.booleans(),
            tc=st.integers(0, 1),
        ),
        max_size=4,
    )
)
def test_permutations(came):
    """An order is legal if each pair of it is: no more state than that is needed."""
    came = [replace(tlp, vendor=number) for number, tlp in enumerate(came)]
    for order in permutations(came):
        checker = OrderChecker()
        for tlp in came:
            checker.accept(1, 2, tlp)
        try:
            for tlp in order:
                checker.leave(2, tlp)
            accepted = True
        except OrderViolation:
            accepted = False
        assert accepted == legal(list(order))


def test_nothing_is_kept_of_what_has_left():
    """A campaign of any length needs memory for what waits only, and time for what moves."""
    checker = OrderChecker()
    kept = replace(POSTED, vendor=1)
    checker.accept(1, 2, kept)
    for number in range(20_000):
        tlp = replace(choices[number % 6], tag=number % 1024, **RELAXED | BY_ID, requester=B)
        tlp = replace(tlp, completer=B)
        checker.accept(1, 2, tlp)
        checker.leave(2, tlp)
    checker.leave(2, kept)
    checker.check_drained()
    assert not checker.waiting
    (path,) = checker.paths.values()
    assert not path.groups and not path.posted.numbers and not path.posted.gone
