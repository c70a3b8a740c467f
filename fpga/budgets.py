"""What each block may cost: reads ``budgets.toml`` and compares measurements with it."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hdl import catalogue

from .synthesis import TARGETS, Synthesis, synthesize

__all__ = ["BUDGETS", "Budget", "measure", "missed", "read"]

BUDGETS = Path(__file__).with_name("budgets.toml")
#: Figures that must not be above, and figures that must not be below, their budget.
_MOST = ["lut", "ff", "ebr", "dsp", "fo4"]
_LEAST = ["fmax_mhz"]


@dataclass(frozen=True)
class Budget:
    """One row of ``budgets.toml``.

    Parameters
    ----------
    block : str
        Full name of the block.
    parameters : dict
        Its parameters.
    target : str
        One of ``fpga.synthesis.TARGETS``.
    limits : dict
        The most ``lut``, ``ff``, ``ebr``, ``dsp`` and ``fo4`` and the least ``fmax_mhz``.
    rival : dict
        ``name`` and figures of the block of others that this one competes with, measured by
        the same flow; empty where there is none.
    long : bool
        Too slow for every test run.
    """

    block: str
    parameters: dict[str, Any]
    target: str
    limits: dict[str, float]
    rival: dict[str, Any] = field(default_factory=dict)
    long: bool = False

    @property
    def name(self) -> str:
        """Row in one line: block, parameters, target."""
        words = [f"{key}={value}" for key, value in self.parameters.items()]
        return " ".join([self.block, *words, self.target])

    @property
    def needs_fmax(self) -> bool:
        """Whether the row wants place and route."""
        return "fmax_mhz" in self.limits


def read(path: Path = BUDGETS) -> list[Budget]:
    """Rows of ``path``.

    Raises
    ------
    ValueError
        If a row has a key, target or figure that does not exist.
    """
    rows = []
    for number, row in enumerate(tomllib.loads(path.read_text())["row"], start=1):
        try:
            budget = Budget(**row)
        except TypeError as error:
            raise ValueError(f"row {number} of {path.name}: {error}") from error
        if budget.target not in TARGETS:
            raise ValueError(f"row {number} of {path.name}: no target {budget.target!r}")
        for figure in (*budget.limits, *budget.rival):
            if figure not in (*_MOST, *_LEAST, "name"):
                raise ValueError(f"row {number} of {path.name}: no figure {figure!r}")
        if not budget.limits:
            raise ValueError(f"row {number} of {path.name} limits nothing")
        rows.append(budget)
    return rows


def measure(budget: Budget, *, library: str | None = None) -> Synthesis:
    """Measure the block of ``budget``; see :func:`fpga.synthesis.synthesize`."""
    block = catalogue.find(budget.block)
    result = synthesize(
        block.build(budget.parameters),
        block=block.name,
        parameters=budget.parameters,
        target=budget.target,
        fmax=budget.needs_fmax,
        least_mhz=budget.limits.get("fmax_mhz", 0),
        library=library,
    )
    return replace(result, budget=budget.limits)


def missed(result: Synthesis, limits: dict[str, float]) -> list[str]:
    """Say which of ``limits`` the result does not keep; a figure not measured is one too."""
    return [*_beyond(result, limits, _MOST, 1), *_beyond(result, limits, _LEAST, -1)]


def _beyond(
    result: Synthesis, limits: dict[str, float], figures: Iterable[str], sign: int
) -> Iterable[str]:
    for figure in figures:
        if figure in limits:
            value = getattr(result, figure)
            if value is None or sign * value > sign * limits[figure]:
                yield f"{figure} is {value}, budget {limits[figure]}"
