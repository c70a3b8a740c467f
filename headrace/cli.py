"""The command ``headrace``: registers the commands of the modules beside it."""

import typer

from . import blocks, boards, checks
from .console import Commands
from .graph import graph
from .interop import interop
from .parse import parse
from .pcie_route import pcie_route
from .pcie_trace import pcie_trace
from .registers import registers

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Blocks of an open 400G SmartNIC: their Verilog, their figures and their proofs.",
)


@app.callback()
def root() -> None:
    """Keep the commands named, however few there are."""


app.command()(parse)
app.command()(graph)
app.command()(pcie_route)
app.command()(pcie_trace)
app.command()(interop)
app.command()(blocks.info)
app.command()(blocks.verilog)
app.command()(registers)
app.command()(checks.synth)
app.command()(checks.bench)
app.command()(checks.prove)
app.command()(boards.bitstream)


def main() -> None:
    """Run ``headrace``."""
    app()
