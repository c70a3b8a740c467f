"""Exact cycle figures: what a bench is, and how one is run."""

import importlib
import json
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from amaranth.lib import wiring

import tb
from hdl.nic import PRODUCTS

from .simulate import BUILD, build, run

__all__ = ["FRAME_LENGTHS", "PROFILES", "Bench", "Row", "benches", "run_bench"]

#: Bytes per beat of the named products.
PROFILES = {name: config.data_bytes for name, config in PRODUCTS.items()}
#: Frame lengths, without FCS, that every packet block is measured at.
FRAME_LENGTHS = [60, 61, 64, 65, 128, 129, 256, 1514, 9014]


@dataclass(frozen=True)
class Row:
    """One figure of a bench.

    Parameters
    ----------
    block, profile, traffic : str
        What was measured, at which product's beat width, on which named traffic.
    metric : str
        ``used/needed`` or ``latency``, or another that the bench explains.
    value, limit : float
        Figure, and the bound it must not pass (None: for information).
    unit : str
        ``ratio`` for used/needed, ``cycles`` for latency.
    larger_is_better : bool
        Whether ``limit`` is a lower bound.
    """

    block: str
    profile: str
    traffic: str
    metric: str
    value: float
    limit: float | None
    unit: str
    larger_is_better: bool = False

    @property
    def good(self) -> bool:
        """Whether the figure keeps its limit."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.larger_is_better else self.value <= self.limit

    def as_json(self) -> dict[str, object]:
        """Fields of the row that programs read."""
        return {k: v for k, v in asdict(self).items() if k != "larger_is_better"}


@dataclass(frozen=True)
class Bench:
    """A testbench that measures a block and writes rows.

    The testbench is an ordinary cocotb module. It finds the path of a JSON file in the
    environment variable ``BENCH_ROWS`` and writes a list of ``Row`` fields there.

    Parameters
    ----------
    block : str
        Name on the command line: the unit's file name, ``parser``.
    profile : str
        Key of ``PROFILES``.
    component : callable
        Makes the block under test.
    testbench : str
        cocotb module, or several, separated by commas.
    env : dict
        Its environment, beside ``BLOCK``, ``PROFILE`` and ``BENCH_ROWS``.
    is_long : bool
        It takes many minutes: only ``make test-long`` and ``headrace bench`` run it.
    """

    block: str
    profile: str
    component: Callable[[], wiring.Component]
    testbench: str
    env: dict[str, object] = field(default_factory=dict)
    is_long: bool = False


def benches() -> Iterator[Bench]:
    """Every bench: the ``BENCHES`` of each module of ``tb`` whose name ends in ``_bench``."""
    for module in sorted(m.name for m in pkgutil.walk_packages(tb.__path__, "tb.")):
        if module.endswith("_bench"):
            yield from importlib.import_module(module).BENCHES


def run_bench(bench: Bench) -> list[Row]:
    """Run ``bench`` and return what it measured; raise RuntimeError where its test fails."""
    name = bench.block
    folder = BUILD / "bench" / f"{name}-{bench.profile}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "rows.json"
    rows.unlink(missing_ok=True)
    env = {"BLOCK": name, "PROFILE": bench.profile, "BENCH_ROWS": rows, **bench.env}
    run(
        build(bench.component(), name=name),
        name=name,
        testbench=bench.testbench,
        run_dir=folder,
        env=env,
        log_file=folder / "run.log",
    )
    return [Row(**row) for row in json.loads(rows.read_text())]
