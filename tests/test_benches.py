"""Every bench keeps its limits."""

import pytest

from hdl import catalogue
from tb.bench import Bench, benches, run_bench


def case(bench: Bench):
    marks = [pytest.mark.long] if bench.is_long else []
    return pytest.param(bench, id=f"{bench.block}-{bench.profile}", marks=marks)


@pytest.mark.parametrize("bench", [case(bench) for bench in benches()])
def test_bench(bench: Bench):
    rows = run_bench(bench)
    assert rows
    assert [row for row in rows if not row.good] == []


def test_benches_are_found_by_their_family():
    families = {bench.block: catalogue.find(bench.block).family for bench in benches()}
    assert {name for name, family in families.items() if family == "roce"} == {
        "engine",
        "responder",
    }
