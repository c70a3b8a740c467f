"""The model of a wire: rate, delay, and what happens to frames."""

from dataclasses import asdict
from typing import Any

import pytest

from sim.network import Faults, Link

FRAMES = [bytes([n & 255, n >> 8]) * 40 for n in range(2000)]


def through(link: Link, frames=FRAMES) -> list[tuple[int, bytes]]:
    """Send all at once; time and bytes of what arrives."""
    for frame in frames:
        link.send(frame, 0)
    found = []
    while (now := link.next_arrival) is not None:
        found += [(now, frame) for frame in link.arrivals(now)]
    return found


def test_a_frame_takes_its_bits_and_the_delay():
    # 1538 bytes of wire for 1514 of a frame: 812,743 frames a second at 10 Gb/s (1230.4 ns each).
    link = Link(seed=1, bits_per_second=10_000_000_000, delay=500)
    times = [time for time, _ in through(link, [bytes(1514)] * 10_000)]
    assert times[0] == 1231 + 500
    assert times[9_999] == 12_304_000 + 500


def test_the_wire_is_idle_between_frames():
    link = Link(seed=1, bits_per_second=1_000_000_000, delay=10)
    link.send(bytes(101), 5000)
    assert link.arrivals(6009) == []
    assert link.next_arrival == 6010
    assert link.arrivals(6010) == [bytes(101)]
    assert link.next_arrival is None


def test_without_faults_all_arrive_in_order():
    link = Link(seed=3, bits_per_second=400_000_000_000, delay=7)
    assert [frame for _, frame in through(link)] == FRAMES
    assert link.fates == {"sent": len(FRAMES)}


def test_chosen_frames_are_lost():
    link = Link(seed=1, drops={0, 7})
    assert [frame for _, frame in through(link)] == [
        FRAMES[n] for n in range(2000) if n not in (0, 7)
    ]
    assert link.fates["dropped"] == 2


@pytest.mark.parametrize("name", ["drop", "duplicate", "reorder", "corrupt"])
def test_each_fault_is_as_frequent_as_it_says(name):
    link = Link(seed=5, lateness=1000, bits_per_second=10**9, faults=Faults(**{name: 0.1}))
    arrived = [frame for _, frame in through(link)]
    fate = {"drop": "dropped", "duplicate": "duplicated", "reorder": "reordered"}.get(
        name, "corrupted"
    )
    count = link.fates[fate]
    assert 150 < count < 250  # of 2000: 200, with a standard deviation of 13
    assert link.fates == {"sent": 2000, fate: count}
    assert len(arrived) == 2000 + {"drop": -count, "duplicate": count}.get(name, 0)
    if name == "reorder":
        assert arrived != FRAMES
        assert sorted(arrived) == sorted(FRAMES)
    elif name == "corrupt":
        bits = [
            (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()
            for a, b in zip(arrived, FRAMES, strict=True)
        ]
        assert sorted(set(bits)) == [0, 1]
        assert sum(bits) == count
    elif name == "drop":
        wanted = iter(FRAMES)
        assert all(frame in wanted for frame in arrived), "order"
    else:
        assert [f for n, f in enumerate(arrived) if not n or f != arrived[n - 1]] == FRAMES


def test_a_seed_is_a_fate():
    faults = Faults(drop=0.1, duplicate=0.1, reorder=0.1, corrupt=0.1)
    one, same, other = (through(Link(seed=s, faults=faults, lateness=5)) for s in (1, 1, 2))
    assert one == same
    assert one != other
    assert asdict(faults) == {"drop": 0.1, "duplicate": 0.1, "reorder": 0.1, "corrupt": 0.1}


def test_what_does_not_fit_is_lost():
    link = Link(seed=1, bits_per_second=10**9, capacity=10)
    assert [frame for _, frame in through(link)] == FRAMES[:10]
    assert link.fates == {"sent": 2000, "overrun": 1990}


@pytest.mark.parametrize("faults", [{"drop": -0.1}, {"drop": 0.6, "corrupt": 0.5}])
def test_impossible_faults_are_refused(faults):
    with pytest.raises(ValueError, match="faults must be 0 or more"):
        Faults(**faults)


@pytest.mark.parametrize("name", ["bits_per_second", "delay", "lateness", "capacity"])
def test_negative_parameters_are_refused(name):
    parameters: dict[str, Any] = {"seed": 1, name: -1}
    with pytest.raises(ValueError, match=f"{name} must be 0 or more, not -1"):
        Link(**parameters)
