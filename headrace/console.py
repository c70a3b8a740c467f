"""What every command shares: errors in one line, progress, tables."""

import json
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import typer
from amaranth.hdl import UnusedElaboratable
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer.core import TyperGroup

from fpga.yosys import FlowError
from fpga.yosys import MissingToolError as MissingSynthesisToolError
from hdl.catalogue import BlockError
from tb.simulate import MissingToolError

__all__ = [
    "Commands",
    "InputError",
    "Steps",
    "complain",
    "in_parallel",
    "print_json",
    "print_table",
]

#: A command that takes longer shows its progress.
SILENT_SECONDS = 2.0


class InputError(Exception):
    """What the user wrote cannot be done; the message is one line."""


class Commands(TyperGroup):
    """Commands whose errors are one line and an exit code.

    2 for wrong input or a missing tool, 1 for a check that failed or a tool that refused the
    design; a traceback only where headrace itself is wrong.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command that ``args`` name and end the process, as click's ``main`` does."""
        # A block that refuses its parameters is created and never used.
        warnings.simplefilter("ignore", UnusedElaboratable)
        arguments = list(sys.argv[1:] if args is None else args) or ["--help"]
        try:
            code = super().main(
                arguments, prog_name, complete_var, False, windows_expand_args, **extra
            )
        except (BlockError, InputError) as error:
            code = complain(str(error), 2)
        except typer.TyperException as error:
            code = complain(error.format_message(), error.exit_code)
        except (MissingToolError, MissingSynthesisToolError) as error:
            code = complain(str(error), 2)
        except FlowError as error:
            code = complain(str(error), 1)
        except BrokenPipeError:  # the reader of our output has seen enough
            sys.stderr.close()
            code = 1
        except OSError as error:
            code = complain(f"{error.filename}: {error.strerror}" if error.filename else error, 2)
        except (KeyboardInterrupt, typer.Abort):
            code = 130
        sys.exit(code if isinstance(code, int) else 0)


def complain(message: object, code: int) -> int:
    """Print ``message`` as one line and return ``code``."""
    print("error:", " ".join(str(message).split()), file=sys.stderr)
    return code


def print_json(value: Any) -> None:
    """Print ``value`` for programs."""
    print(json.dumps(value, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; columns that hold numbers are aligned to the right, empty ones left out."""
    cells = [["" if cell is None else _text(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    kept = [n for n in range(len(columns)) if any(row[n] for row in cells)]
    for n in kept:
        numeric = all(_is_number(row[n]) for row in cells if row[n])
        table.add_column(columns[n], justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(row[n] for n in kept))
    # Where the output is no terminal, nobody gains from folded lines.
    width = None if sys.stdout.isatty() else 200
    Console(width=width, markup=False, highlight=False).print(table)


def _text(cell: object) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class Steps:
    """Show which of ``total`` steps is being done, on standard error, once it takes long.

    On a terminal it is a bar, which goes away at the end; elsewhere each step is a line.
    """

    def __init__(self, total: int):
        self._console = Console(stderr=True, markup=False, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=total)
        self._total = total
        self._done = 0
        self._text = ""
        self._timer = threading.Timer(SILENT_SECONDS, self._show)
        self._timer.daemon = True
        self._end = time.monotonic() + SILENT_SECONDS

    def __enter__(self):
        self._timer.start()
        return self

    def __exit__(self, *_):
        self._timer.cancel()
        if self._console.is_terminal:
            self._progress.stop()

    def _show(self) -> None:
        if self._console.is_terminal:
            self._progress.start()
        elif self._text:
            self._print()

    def _print(self) -> None:
        self._console.print(f"[{self._done}/{self._total}] {self._text}")

    def step(self, text: str, *, finished: bool = False) -> None:
        """Say that ``text`` begins or, where several run at once, is ``finished``."""
        self._progress.update(self._task, description=text, completed=self._done + finished)
        self._done += 1
        self._text = text
        if time.monotonic() > self._end and not self._console.is_terminal:
            self._print()


def in_parallel(
    work: Callable[[int], Any], names: Sequence[str], *, processes: int = 2
) -> list[Any]:
    """Call ``work(n)`` for each of ``names`` in processes of their own, showing progress.

    ``work`` is a function of a module that the process can import; its results are in the order
    of ``names``.
    """
    results: list[Any] = [None] * len(names)
    with ProcessPoolExecutor(min(processes, len(names))) as pool:
        waiting = {pool.submit(work, n): n for n in range(len(names))}
        try:
            with Steps(len(names)) as steps:
                for future in as_completed(waiting):
                    results[waiting[future]] = future.result()
                    steps.step(names[waiting[future]], finished=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results
