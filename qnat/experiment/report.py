"""What is printed at the end."""

import json
import math
import pathlib
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from .compare import Entry, entries_of, ladder_of, load_runs, main_curve, steps_to
from .console import say
from .plan import TABLE
from .result import Run
from .store import FIGURE, jsonable

_THRESHOLDS = (1e-1, 1e-2, 1e-3)


def run_document(run: Run) -> dict[str, Any]:
    """A run as one JSON object; with several seeds each measured or exact value is a list."""
    exact = {name: value["value"] for name, value in run.reference.items()}
    if run.seeds > 1:
        exact = {name: [value] * run.seeds for name, value in exact.items()}
    times = {"steps": run.steps, "seconds": run.seconds, "compile_seconds": run.compile_seconds}
    return {**run.final, **exact, **times, "out": None if run.path is None else str(run.path)}


def print_json(run: Run) -> None:
    """One JSON object on standard output."""
    say(json.dumps(jsonable(run_document(run)), allow_nan=False))


def print_run(run: Run) -> None:
    """The final values and where they are kept."""
    spread = " (median over seeds)" if run.seeds > 1 else ""
    width = max(map(len, (*run.final, *run.reference)))
    for name, value in run.final.items():
        middle = statistics.median(value) if isinstance(value, list) else value
        say(f"{name:{width}}  {_number(middle)}{spread}")
    for name, known in run.reference.items():
        say(f"{name:{width}}  {_number(known['value'])}  {known['source']}")
    say(f"\n{run.steps} steps in {run.seconds:.2f} s, after {run.compile_seconds:.1f} s of compiling")
    if run.path is not None:
        say(f"{run.path}/{FIGURE}")


def print_sweep(table: dict[str, Any], out: pathlib.Path, *, as_json: bool) -> None:
    """The table of a sweep and where it is kept."""
    if as_json:
        say(json.dumps(jsonable(table | {"out": str(out)}), allow_nan=False))
        return
    finished = any(row["status"] == "finished" for row in table["runs"])
    if finished:
        _print_entries(load_runs([out]))
    say(f"\n{out}/{TABLE}" + (f"\n{out}/{FIGURE}" if finished else ""))


def print_comparison(entries: Sequence[Entry], figure: pathlib.Path, *, as_json: bool) -> None:
    """Table and figure of finished runs."""
    from .plot import draw_comparison

    draw_comparison(entries_of(entries, ladder_of(entries[0].run.spec["task"])), pathlib.Path(figure))
    if as_json:
        rows = [entry.labels | {"start": entry.start or "cold"} | run_document(entry.run) for entry in entries]
        say(json.dumps(jsonable({"runs": rows, "figure": str(figure)}), allow_nan=False))
        return
    _print_entries(entries)
    say(f"\n{figure}")


def _print_entries(entries: Sequence[Entry]) -> None:
    """A table of the options that differ, how good each run is, and what it took."""
    from rich.console import Console
    from rich.table import Table

    name = main_curve(entries[0].run)[0]
    judged = name == "relative_entropy"
    title = f"{name.replace('_', ' ')} at the first and the last step" + (
        ", and steps until it is below" if judged else ""
    )
    table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="")
    for label in (*entries[0].labels, "start"):
        table.add_column(label, no_wrap=True)
    for column in ("first", "last", *(f"{t:g}" for t in _THRESHOLDS if judged), "steps", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry in entries:
        curve = main_curve(entry.run)[1]
        ends = (f"{statistics.median(curve[:, i].tolist()):.3g}" for i in (0, -1))
        reached = (_count(steps_to(entry.run, t)) for t in _THRESHOLDS if judged)
        options = (str(value) for value in entry.labels.values())
        table.add_row(
            *options, entry.start or "cold", *ends, *reached, str(entry.run.steps), f"{entry.run.seconds:.1f}"
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _count(steps: float | None) -> str:
    return "-" if steps is None else f"{steps:g}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{value:.3e}" if value != 0 and abs(value) < 1e-3 else f"{value:.12g}" if abs(value) >= 1e-3 else "0"
