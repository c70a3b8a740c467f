"""Command about register tables: ``registers``."""

import importlib
import pkgutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import hdl
from hdl.register import RegisterTable, c_header, markdown, systemrdl

from .console import InputError

__all__ = ["Form", "registers", "tables"]


class Form(StrEnum):
    """What is made of a table."""

    C = "c"
    SYSTEMRDL = "rdl"
    MARKDOWN = "md"


_GENERATORS = {Form.C: c_header, Form.SYSTEMRDL: systemrdl, Form.MARKDOWN: markdown}


def tables() -> dict[str, RegisterTable]:
    """Every register table that is a constant of a module of ``hdl``, by its name."""
    found: dict[str, RegisterTable] = {}
    for info in pkgutil.walk_packages(hdl.__path__, "hdl."):
        for value in vars(importlib.import_module(info.name)).values():
            if not isinstance(value, RegisterTable):
                continue
            if found.setdefault(value.name, value) != value:
                raise ValueError(f"two register tables are called {value.name!r}")
    return dict(sorted(found.items()))


def registers(
    table: Annotated[str | None, typer.Argument(help="Table; left out, all are listed.")] = None,
    form: Annotated[
        Form, typer.Option(help="C header, SystemRDL or documentation.")
    ] = Form.MARKDOWN,
    docs: Annotated[
        Path | None, typer.Option(help="Folder where to write the page of every table.")
    ] = None,
) -> None:
    """Write what is generated from register tables.

    Example: `headrace registers example --form c`
    """
    known = tables()
    if docs is not None:
        docs.mkdir(parents=True, exist_ok=True)
        for name, one in known.items():
            (docs / f"{name}.md").write_text(markdown(one))
    elif table is None:
        for name, one in known.items():
            print(f"{name}\n    {one.description}")
    elif table not in known:
        raise InputError(f"no register table {table!r}; there are {', '.join(known)}")
    else:
        print(_GENERATORS[form](known[table]), end="")
