"""Commands that measure and prove: ``synth``, ``bench`` and ``prove``."""

from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from fpga import budgets
from fpga.synthesis import TARGETS, Synthesis, synthesize
from hdl import catalogue
from tb.bench import PROFILES, Row, benches, run_bench
from tb.prove import ENGINE, proofs
from tb.prove import prove as run_proof
from tb.simulate import MissingToolError

from .blocks import Json, Parameters, Profile
from .console import InputError, Steps, in_parallel, print_json, print_table

__all__ = ["bench", "prove", "synth"]


def synth(
    block: Annotated[
        str | None, typer.Argument(help="Block; without it, every row of the budgets.")
    ] = None,
    parameters: Parameters = None,
    profile: Profile = None,
    target: Annotated[
        str | None,
        typer.Option(help="ecp5, xcup or depth; else ecp5, or all with a budget.", metavar="NAME"),
    ] = None,
    area: Annotated[bool, typer.Option("--area", help="Without place and route.")] = False,
    path: Annotated[bool, typer.Option("--path", help="Show the slowest path too.")] = False,
    library: Annotated[
        str | None, typer.Option(help="Liberty file for --target depth.", metavar="FILE")
    ] = None,
    json: Json = False,
) -> None:
    """Measure area, Fmax (ecp5) or logic depth (depth) and compare with the budgets.

    Without parameters the block is measured at the sizes that have a budget.

    Example: `headrace synth stream.PacketMux port_count=2 --profile proto --target ecp5`
    """
    if target is not None and target not in TARGETS:
        raise InputError(
            f"no target {target!r}{catalogue.suggestion(target, TARGETS)};"
            f" there are {', '.join(TARGETS)}"
        )
    rows = _rows(block, parameters or [], profile, target)
    results: list[Synthesis] = []
    with Steps(len(rows)) as steps:
        for row in rows:
            steps.step(row.name)
            found = catalogue.find(row.block)
            measured = synthesize(
                found.build(row.parameters),
                block=row.block,
                parameters=row.parameters,
                target=row.target,
                # A single block is asked for in full; a budget says what it needs.
                fmax=not area and (not row.limits or row.needs_fmax),
                least_mhz=row.limits.get("fmax_mhz", 0),
                library=library,
            )
            results.append(replace(measured, budget=row.limits or None))
    limits = [
        {k: v for k, v in row.limits.items() if not (area and k == "fmax_mhz")} for row in rows
    ]
    failures = [
        budgets.missed(result, limit) for result, limit in zip(results, limits, strict=True)
    ]
    if json:
        print_json([result.as_json() for result in results])
    else:
        _print_synthesis(rows, results, failures, path)
    if any(failures):
        raise typer.Exit(1)


def _rows(
    name: str | None, words: list[str], profile: str | None, target: str | None
) -> list[budgets.Budget]:
    """Rows to measure: those of the budgets, or one made of the parameters."""
    known = budgets.read()
    if name is None:
        if profile is not None:
            raise InputError("--profile needs a block")
        return [row for row in known if target in (None, row.target)]
    block = catalogue.find(name)
    if not words and profile is None and block.parameters:
        rows = [row for row in known if row.block == block.name and target in (None, row.target)]
        if rows:
            return rows
    parameters = block.complete(catalogue.parse_parameters(words), profile=profile)
    target = target or "ecp5"
    for row in known:
        if (row.block, row.parameters, row.target) == (block.name, parameters, target):
            return [row]
    return [budgets.Budget(block.name, parameters, target, {})]


def _print_synthesis(
    rows: list[budgets.Budget],
    results: list[Synthesis],
    failures: list[list[str]],
    path: bool,
) -> None:
    table = []
    for row, result, failure in zip(rows, results, failures, strict=True):
        parameters = " ".join(f"{key}={value}" for key, value in result.parameters.items())
        figures = [result.lut, result.ff, result.ebr, result.dsp, result.fmax_mhz, result.fo4]
        seed = result.details.get("seed", 1)
        verdict = "; ".join(failure) or ("kept" if row.limits else None)
        if verdict and seed != 1:
            verdict += f", seed {seed}"
        rival = " ".join(f"{key}={value}" for key, value in row.rival.items() if key != "name")
        rival = f"{row.rival['name']}: {rival}" if rival else None
        table.append([result.block, parameters, result.target, *figures, verdict, rival])
    columns = ["Block", "Parameters", "Target", "LUT", "FF", "RAM", "DSP", "Fmax MHz", "FO4"]
    print_table([*columns, "Budget", "Rival"], table)
    libraries = {
        f"{r.details['library']}: FO4 inverter delay {r.details['fo4_ps']} ps"
        for r in results
        if "library" in r.details
    }
    for line in sorted(libraries):
        print(line)
    if path:
        for result in results:
            print(f"{result.block} {result.target}, logs in {result.folder}")
            for line in result.details.get("path", []):
                print(f"    {line}")


def bench(
    blocks: Annotated[
        list[str] | None,
        typer.Argument(help="Only these blocks; pcie: all blocks of hdl.pcie.", metavar="BLOCK"),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Only proto, card100 or card400.", metavar="NAME")
    ] = None,
    json: Json = False,
) -> None:
    """Count cycles used against cycles needed, and compare with the limits.

    Example: `headrace bench packet_mux --profile card400`
    """
    if profile is not None and profile not in PROFILES:
        raise InputError(
            f"no profile {profile!r}{catalogue.suggestion(profile, PROFILES)};"
            f" there are {', '.join(PROFILES)}"
        )
    known = list(benches())
    names = sorted({one.block for one in known})
    wanted = {name for word in blocks or [] for name in _bench_names(word, names)}
    chosen = [
        n
        for n, one in enumerate(known)
        if (not wanted or one.block in wanted) and profile in (None, one.profile)
    ]
    if not chosen:
        raise InputError(f"{' '.join(sorted(wanted)) or 'no block'} has no bench at {profile}")
    titles = [f"{known[n].block} {known[n].profile}" for n in chosen]
    results = in_parallel(partial(_run_bench, chosen), titles)
    rows = [row for measured, _ in results for row in measured]
    broken = [
        f"{title}: {reason}"
        for title, (_, reason) in zip(titles, results, strict=True)
        if reason is not None
    ]
    if json:
        print_json([row.as_json() for row in rows])
    else:
        table = [
            [r.block, r.profile, r.traffic, r.metric, r.value, r.unit, _limit(r), _verdict(r)]
            for r in rows
        ]
        columns = ["Block", "Profile", "Traffic", "Metric", "Value", "Unit", "Limit", ""]
        print_table(columns, table)
    for line in broken:
        typer.echo(f"error: {line}", err=True)
    if broken or not all(row.good for row in rows):
        raise typer.Exit(1)


def _bench_names(word: str, names: list[str]) -> list[str]:
    """Benches that ``word`` means: its own, any name of its block, or those of a family."""
    if word in names:
        return [word]
    of_family = [name for name in names if catalogue.find(name).family == word]
    if of_family:
        return of_family
    unit = catalogue.find(word).unit
    if unit not in names:
        raise InputError(f"{word} has no bench; there are {', '.join(names)}")
    return [unit]


def _run_bench(chosen: list[int], n: int) -> tuple[list[Row], str | None]:
    """Run bench ``chosen[n]`` and return its rows, or none and the reason."""
    try:
        return run_bench(list(benches())[chosen[n]]), None
    except RuntimeError as error:
        if isinstance(error, MissingToolError):
            raise
        return [], str(error)


def _limit(row: Row) -> str | None:
    if row.limit is None:
        return None
    return f"{'>=' if row.larger_is_better else '<='} {row.limit:g}"


def _verdict(row: Row) -> str | None:
    if row.limit is None:
        return None
    return "kept" if row.good else "MISSED"


def prove(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Only properties whose name contains one of these.", metavar="NAME"),
    ] = None,
    json: Json = False,
) -> None:
    """Prove what must never happen, with SymbiYosys and z3.

    Example: `headrace prove stream.PacketMux`
    """
    known = list(proofs())
    titles = [proof.name for proof in known]
    for name in names or []:
        if not any(name.lower() in title.lower() for title in titles):
            blocks = sorted({title.partition("/")[0] for title in titles})
            raise InputError(
                f"no proof has {name!r} in its name{catalogue.suggestion(name, blocks)};"
                f" `headrace prove` runs all"
            )
    chosen = [
        n
        for n, title in enumerate(titles)
        if not names or any(name.lower() in title.lower() for name in names)
    ]
    results = in_parallel(partial(_run_proof, chosen), [titles[n] for n in chosen])
    rows = [
        {
            "property": known[n].name,
            "engine": ENGINE,
            "mode": known[n].mode,
            "depth": known[n].depth,
            "status": status,
            "proved": status == "PASS",
            "seconds": round(seconds, 1),
            "folder": folder,
        }
        for n, (status, seconds, folder) in zip(chosen, results, strict=True)
    ]
    if json:
        print_json(rows)
    else:
        print_table(
            ["Property", "Engine", "Mode", "Depth", "", "Seconds"],
            [
                [r["property"], r["engine"], r["mode"], r["depth"], _outcome(r), r["seconds"]]
                for r in rows
            ],
        )
    if not all(row["proved"] for row in rows):
        raise typer.Exit(1)


def _run_proof(chosen: list[int], n: int) -> tuple[str, float, str]:
    verdict = run_proof(list(proofs())[chosen[n]])
    return verdict.status, verdict.seconds, str(verdict.folder)


def _outcome(row: dict[str, object]) -> str:
    if row["proved"]:
        return "reached" if row["mode"] == "cover" else "proved"
    return f"NOT PROVED ({row['status']}), see {row['folder']}"
