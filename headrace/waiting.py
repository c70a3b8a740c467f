"""Progress of one long piece of work, on standard error."""

import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .console import SILENT_SECONDS

__all__ = ["Waiting", "finished"]


class Waiting:
    """Say what is being waited for, once it takes long.

    On a terminal it is a bar that goes away at the end; elsewhere each new text is a line.
    """

    def __init__(self):
        self._console = Console(stderr=True, markup=False, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)
        self._begun = time.monotonic()
        self._shown = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._progress.stop()

    def show(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """Say ``text`` and how much of it is done, if that is known; call it now and again."""
        self._progress.update(self._task, description=text, completed=done or 0, total=total)
        if time.monotonic() - self._begun < SILENT_SECONDS:
            return
        if self._console.is_terminal:
            self._progress.start()
        elif text != self._shown:
            self._console.print(text)
            self._shown = text


def finished(work: Future[Any]) -> bool:
    """Whether ``work`` finishes within half a second; raise what it raised."""
    try:
        work.result(timeout=0.5)
    except NotYet:
        return False
    return True
