"""Command about boards: ``bitstream``."""

from typing import Annotated

import typer

from fpga.bitstream import build
from fpga.boards import BOARDS
from fpga.designs import DESIGNS
from hdl import catalogue

from .blocks import Json
from .console import InputError, Steps, complain, print_json, print_table

__all__ = ["bitstream"]

_STEPS = 4  # Amaranth, Yosys, nextpnr, ecppack


def bitstream(
    board: Annotated[
        str | None, typer.Option(help="Board; without it, the list of them.", metavar="NAME")
    ] = None,
    design: Annotated[str, typer.Option(help=f"{' or '.join(DESIGNS)}.")] = "parser",
    megahertz: Annotated[
        float | None,
        typer.Option("--mhz", help="Clock; the PLL makes the nearest not above."),
    ] = None,
    baud: Annotated[int, typer.Option(help="Of the serial line.")] = 115200,
    json: Json = False,
) -> None:
    """Build an FPGA's bitstream with open tools alone.

    Exit code 1 if the clock is not reached.

    Example: `headrace bitstream --board ecpix5-45 --design parser`
    """
    if board is None:
        _list(json)
        return
    for word, known, what in [(board, BOARDS, "board"), (design, DESIGNS, "design")]:
        if word not in known:
            raise InputError(
                f"no {what} {word!r}{catalogue.suggestion(word, known)};"
                f" there are {', '.join(known)}"
            )
    hertz = BOARDS[board].hertz if megahertz is None else megahertz * 1e6
    if not 4 <= hertz / max(1, baud) <= 1 << 16:
        raise InputError(f"{baud} baud cannot be made of {hertz / 1e6} MHz")
    try:
        with Steps(_STEPS) as steps:
            made = build(board, design, hertz=hertz, baud=baud, progress=steps.step)
    except ValueError as error:
        raise InputError(str(error)) from error
    if json:
        print_json(made.as_json())
    else:
        used = ", ".join(f"{name} {n} of {total}" for name, (n, total) in made.used.items())
        print(f"{design} on {board}: {made.device}")
        print(f"uses     {used}")
        print(f"clock    {made.needed_mhz:.1f} MHz, could be {made.fmax_mhz} MHz")
        print(f"bit file {made.bit}")
        print(f"load     {made.program}")
        print(f"serial   {made.uart}, {made.baud} baud, 8N1, SLIP frames")
    if made.fmax_mhz < made.needed_mhz:
        code = complain(f"{made.fmax_mhz} MHz is less than {made.needed_mhz} MHz: use --mhz", 1)
        raise typer.Exit(code)


def _list(json: bool) -> None:
    rows = []
    for name, board in BOARDS.items():
        platform = board.platform()
        rows.append(
            {
                "board": name,
                "device": platform.device,
                "package": platform.package,
                "speed": platform.speed,
                "clock_mhz": platform.default_clk_frequency / 1e6,
                "uart": board.uart,
            }
        )
    if json:
        print_json({"boards": rows, "designs": list(DESIGNS)})
    else:
        columns = ["Board", "Device", "Package", "Speed", "MHz", "Serial line"]
        print_table(columns, [list(row.values()) for row in rows])
        print(f"Designs: {', '.join(DESIGNS)}")
