"""Finished runs side by side."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from .errors import RefusedError
from .plan import TABLE
from .result import Run
from .spec import find_spec
from .store import RUN, read_json, read_run


class Entry(NamedTuple):
    """A run, the options that tell it from its neighbours, and how it started ("scaled", "plain", None)."""

    run: Run
    labels: dict[str, Any]
    start: str | None


class Line(NamedTuple):
    """A run as a figure shows it: in which column, of which series, started how."""

    run: Run
    column: str
    series: str
    start: str | None


def check_runs(paths: Sequence[pathlib.Path]) -> None:
    """Refuses what is not the folder of a finished run or of a sweep with one; loads nothing heavy."""
    for path in paths:
        _runs_in(path)


def _runs_in(path: pathlib.Path) -> list[tuple[pathlib.Path, str | None]]:
    """The folders of finished runs in the folder of a run or a sweep, and how each run started."""
    if (path / RUN).exists():
        if (status := read_run(path)["status"]) != "finished":
            raise RefusedError(f"The run in {path} is {status}, not finished; --resume continues it.")
        return [(path, None)]
    if not (path / TABLE).exists():
        raise RefusedError(f"{path} is not the folder of a run or a sweep (it has no {RUN} and no {TABLE}).")
    rows = [row for row in read_json(path / TABLE, "runs")["runs"] if row["status"] == "finished"]
    if not rows:
        raise RefusedError(f"The sweep in {path} has no finished run; --resume continues it.")
    return [(path / row["folder"], None if row["start"] == "cold" else row["start"]) for row in rows]


def load_runs(paths: Sequence[pathlib.Path]) -> list[Entry]:
    """The finished runs in these folders of runs or sweeps, ordered along the ladder.

    They are labelled by the options in which they differ.
    """
    found = [(Run.load(folder), start) for path in paths for folder, start in _runs_in(path)]
    ladder = ladder_of(found[0][0].spec["task"])
    names = _telling([run.spec for run, _ in found], ladder)
    return _ordered([Entry(run, {n: run.spec.get(n) for n in names}, start) for run, start in found], ladder)


def _ordered(entries: Sequence[Entry], ladder: str | None) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.labels.get(ladder or "") or 0)


def _telling(specs: Sequence[dict[str, Any]], ladder: str | None) -> list[str]:
    """The fewest fields that tell the specs apart: the ladder first, then in the order of the spec.

    Later fields often follow from earlier ones.
    """
    last = ("steps", "seed", "seeds", "every")
    names = dict.fromkeys(name for spec in specs for name in spec)
    fields = sorted(names, key=lambda name: (name != ladder, name in last))
    chosen: list[str] = []
    groups = 1
    for name in fields:
        split = len({tuple(str(spec.get(n)) for n in (*chosen, name)) for spec in specs})
        if split > groups:
            chosen, groups = [*chosen, name], split
    return chosen


def ladder_of(task: str) -> str | None:
    """The ladder field of a task; None if it has none or is not installed."""
    try:
        return find_spec(task).ladder
    except RefusedError:
        return None


def entries_of(entries: Sequence[Entry], ladder: str | None) -> list[Line]:
    """Where each run goes in a figure: the ladder makes the columns, from small to large, the rest the series."""
    lines = []
    for run, labels, start in _ordered(entries, ladder):
        column = f"{ladder} = {labels[ladder]}" if ladder in labels else ""
        rest = {name: value for name, value in labels.items() if name != ladder and value is not None}
        alone = len({name for entry in entries for name in entry.labels} - {ladder}) == 1
        words = (str(v) if alone or isinstance(v, str) else f"{name} {v}" for name, v in rest.items())
        lines.append(Line(run, column, ", ".join(words), start))
    return lines
