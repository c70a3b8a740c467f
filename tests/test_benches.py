"""Every bench keeps its limits."""

import pytest

from tb.bench import Bench, benches, run_bench


@pytest.mark.parametrize(
    "bench", list(benches()), ids=lambda bench: f"{bench.block}-{bench.profile}"
)
def test_bench(bench: Bench):
    rows = run_bench(bench)
    assert rows
    assert [row for row in rows if not row.good] == []
