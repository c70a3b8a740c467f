"""``headrace interop``: the RoCEv2 engine and Linux Soft-RoCE at the two ends of a wire."""

import re
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sim.peer import (
    SCENARIOS,
    TOOLS,
    Card,
    Meeting,
    PeerError,
    Result,
    Scenario,
    Tool,
    build_image,
    model_card,
)
from tb.peer import VerilatedCard
from tb.simulate import BUILD, MissingToolError

from .blocks import Json
from .console import InputError, Steps, complain, print_json, print_table

__all__ = ["ENGINES", "interop"]

#: Engines by their names, and how often each wants times without an answer doubled.
ENGINES: dict[str, tuple[Callable[[], Card], int]] = {
    "model": (model_card, 0),
    "hardware": (VerilatedCard, 2),
}
#: All ends by then.
_MOST_SECONDS = 280


def interop(
    engine: Annotated[
        str, typer.Option(help=f"Who talks to Linux: {' or '.join(ENGINES)}.", metavar="NAME")
    ] = "model",
    only: Annotated[
        str, typer.Option(help="Play those whose names have this in them.", metavar="REGEX")
    ] = "",
    pcap: Annotated[
        Path | None,
        typer.Option(help="File for all frames; else build/interop.pcap.", metavar="FILE"),
    ] = None,
    names: Annotated[bool, typer.Option("--list", help="Only list what would be played.")] = False,
    json: Json = False,
) -> None:
    """Let the RoCEv2 engine and Linux ask each other for everything; compare all memory.

    Boots a Linux guest with Soft-RoCE in QEMU; fetches its Debian packages the first time. The
    engine is its golden model, or the hardware in Verilator, which is built the first time.

    Example: `headrace interop --only 'lost|ib-write-bw' --pcap lost.pcap`
    """
    if engine not in ENGINES:
        raise InputError(f"engine must be {' or '.join(ENGINES)}, not {engine!r}")
    chosen = _choose(only)
    if names:
        print_table(["Name", "What"], [(item.name, item.text) for item in chosen])
        return
    say = Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
    make, patience = ENGINES[engine]
    try:
        image = build_image(BUILD / "peer", say)
        if make is VerilatedCard:
            say("the engine's simulator: built the first time, which takes minutes")
        card = make()
    except (PeerError, MissingToolError) as error:
        raise InputError(str(error)) from None
    pcap = pcap or BUILD / "interop.pcap"
    pcap.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    results: list[Result] = []
    why = ""
    try:
        with Steps(len(chosen) + 1) as steps, closing(card):
            steps.step("the guest boots")
            with Meeting(
                image, card, capture=pcap, seconds=_MOST_SECONDS, patience=patience
            ) as meeting:
                for item in chosen:
                    steps.step(item.text)
                    results.append(meeting.play(item))
    except PeerError as error:
        why = str(error)
    _tell(results, len(chosen), time.monotonic() - begun, pcap, json=json)
    if why:
        complain(f"{len(chosen) - len(results)} not played: {why}", 1)
    if why or any(result.error for result in results):
        raise typer.Exit(1)


def _choose(only: str) -> Sequence[Scenario | Tool]:
    try:
        pattern = re.compile(only)
    except re.error as error:
        raise InputError(f"{only!r} is no regular expression: {error}") from None
    chosen = [item for item in (*SCENARIOS, *TOOLS) if pattern.search(item.name)]
    if not chosen:
        raise InputError(f"nothing has {only!r} in its name: headrace interop --list")
    return chosen


def _tell(results: Sequence[Result], count: int, seconds: float, pcap: Path, *, json: bool) -> None:
    """Print how it went, for a person or a program."""
    good = sum(not result.error for result in results)
    if json:
        about: dict[str, Any] = {
            "passed": good,
            "failed": len(results) - good,
            "not_played": count - len(results),
            "seconds": round(seconds, 2),
            "pcap": str(pcap),
            "results": [asdict(result) for result in results],
        }
        print_json(about)
        return
    rows = [
        (result.name, result.text, f"{result.seconds:.2f} s", result.error or "as it has to be")
        for result in results
    ]
    print_table(["Name", "What", "Time", "Result"], rows)
    print(f"\n{good} of {count} as they have to be, in {seconds:.0f} s; every frame is in {pcap}")
