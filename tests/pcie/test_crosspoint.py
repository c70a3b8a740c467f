# amaranth: UnusedElaboratable=no
"""Crosspoint: rows that credits can fill, parameter checks, and its cocotb testbench."""

from functools import cache

import pytest

from hdl.pcie import Crosspoint
from hdl.pcie.crosspoint import rows_needed
from tb.simulate import simulate


@cache
def most_rows(segment_count: int, headers: int, data: int, lane: int) -> int:
    """Most rows that TLPs can begin to use, found by trying all.

    The next one may begin in ``lane`` or any later one, of this row or the next ones. ``lane`` is
    0 where the row has nothing yet.
    """
    best = 0
    if not headers:
        return best
    sizes = {
        (max(1, -(-(dwords + digest) // 8)), -(-dwords // 4))
        for dwords in range(4 * data + 1)
        for digest in (0, 1)
    }
    for first in range(lane, 2 * segment_count):
        for segments, units in sizes:
            end = first + segments
            begun = (end - 1) // segment_count - first // segment_count + 1
            begun -= 0 < lane <= first < segment_count
            rest = most_rows(segment_count, headers - 1, data - units, end % segment_count)
            best = max(best, begun + rest)
    return best


@pytest.mark.parametrize("segment_count", [1, 2, 4])
def test_rows_needed_is_the_worst_case(segment_count):
    for headers in range(1, 5):
        for data in range(4 * segment_count + 2 * headers):
            worst = most_rows(segment_count, headers, data, 0)
            assert rows_needed(segment_count, headers, data) == worst, (headers, data)


def test_rows_needed_of_few_headers():
    # One TLP of 4 KB with a digest that begins in the last lane of four.
    assert 33 <= rows_needed(4, 1, 10_000) <= 34
    assert rows_needed(2, 0, 100) == 0


def run(segment_count, flow_credits, run_dir, *, every_length=False):
    """Run the testbench on the crosspoint that credits of the three classes need."""
    rows = [rows_needed(segment_count, *each) for each in flow_credits]
    simulate(
        Crosspoint(segment_count=segment_count, row_counts=rows),
        name="crosspoint",
        testbench="tb.pcie.crosspoint_tb",
        run_dir=run_dir,
        env={
            "SEGMENT_COUNT": segment_count,
            "CREDITS": " ".join(f"{headers}/{data}" for headers, data in flow_credits),
            "ROW_COUNTS": " ".join(map(str, rows)),
            "EVERY_LENGTH": every_length,
        },
    )


@pytest.mark.parametrize("segment_count", [1, 4, pytest.param(2, marks=pytest.mark.long)])
def test_crosspoint(segment_count, run_dir):
    run(segment_count, [(10, 66), (6, 4), (7, 64)], run_dir)


def test_crosspoint_of_the_fewest_rows(run_dir):
    run(2, [(1, 2), (1, 2), (1, 2)], run_dir)


@pytest.mark.long
@pytest.mark.parametrize("segment_count", [1, 4])
def test_crosspoint_with_every_length(segment_count, run_dir):
    run(segment_count, [(10, 66), (6, 4), (7, 64)], run_dir, every_length=True)


def test_refused_parameters():
    with pytest.raises(ValueError, match=r"segments must be 1, 2 or 4, not 3"):
        Crosspoint(segment_count=3, row_counts=(4, 4, 4))
    with pytest.raises(ValueError, match=r"row_counts must be 3 of 2 or more"):
        Crosspoint(segment_count=1, row_counts=(4, 1, 4))
    with pytest.raises(ValueError, match=r"row_counts must be 3 of 2 or more"):
        Crosspoint(segment_count=1, row_counts=(4, 4))
