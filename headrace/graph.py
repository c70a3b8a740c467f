"""``headrace graph``: what a parse graph is in the parser's tables."""

from pathlib import Path
from typing import Annotated

import typer

from hdl.nic import PRODUCTS
from hdl.pipeline import (
    DEFAULT_GRAPH,
    GraphError,
    StateEntry,
    TransitionEntry,
    compile_graph,
    register_writes,
)

from .blocks import Json
from .console import InputError, print_json, print_table

__all__ = ["graph"]


def graph(
    file: Annotated[Path, typer.Argument(help="Graph in TOML.")] = DEFAULT_GRAPH,
    profile: Annotated[str, typer.Option(help="Product whose windows it fills.")] = "proto",
    bank: Annotated[int, typer.Option(min=0, max=1, help="Bank of the writes.")] = 1,
    json: Json = False,
) -> None:
    """Compile a parse graph: its states and, with --json, the register writes that load it.

    Example: `headrace graph hdl/pipeline/graphs/default.toml --json`
    """
    if profile not in PRODUCTS:
        raise InputError(f"profile must be one of {', '.join(PRODUCTS)}, not {profile!r}")
    try:
        tables = compile_graph(file, list(PRODUCTS[profile].slots))
    except GraphError as error:
        raise InputError(str(error)) from None
    if json:
        writes = [{"address": a, "word": word} for a, word in register_writes(tables, bank)]
        names = dict(enumerate(tables.names))
        print_json({"states": names, "headers": tables.headers, "writes": writes})
        return
    layout = TransitionEntry()
    following: list[set[int]] = [set() for _ in tables.names]
    for row in filter(None, tables.transitions):
        entry = layout.from_bits(row)
        following[entry["state"]].add(entry["next"])
    for number, row in enumerate(tables.states):
        following[number] |= {StateEntry().from_bits(row)["default"]} - {0}
    print_table(
        ["state", "header", "slot", "number", "followed by"],
        [
            (
                name,
                header,
                tables.slots[name],
                number,
                ", ".join(tables.names[n] for n in sorted(following[number])),
            )
            for number, (name, header) in enumerate(zip(tables.names, tables.headers, strict=True))
            if number
        ],
    )
