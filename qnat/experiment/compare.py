"""Finished runs side by side."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

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
    """The finished runs in these folders of runs or sweeps, labelled by the options in which they differ."""
    found = [(Run.load(folder), start) for path in paths for folder, start in _runs_in(path)]
    names = _telling([run.spec for run, _ in found])
    return [Entry(run, {n: run.spec.get(n) for n in names}, start) for run, start in found]


def _telling(specs: Sequence[dict[str, Any]]) -> list[str]:
    """The fewest fields, in the order of the spec, that tell the specs apart; later ones often follow from earlier."""
    base = ("steps", "seed", "seeds", "every")
    fields = list(dict.fromkeys(name for spec in specs for name in spec))
    fields = [name for name in fields if name not in base] + [name for name in fields if name in base]
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
    for run, labels, start in sorted(entries, key=lambda entry: entry.labels.get(ladder or "") or 0):
        column = f"{ladder} = {labels[ladder]}" if ladder in labels else ""
        rest = {name: value for name, value in labels.items() if name != ladder}
        series = ", ".join(str(value) if len(rest) == 1 else f"{name} {value}" for name, value in rest.items())
        lines.append(Line(run, column, series, start))
    return lines


def main_curve(run: Run) -> tuple[str, Float[np.ndarray, "seeds rows"]]:
    """The name and values of the curve that tells how good a run is."""
    name = "relative_entropy" if "relative_entropy" in run.curves else "loss"
    return name, run.curves[name]


def evaluations(run: Run) -> Float[np.ndarray, "seeds rows"]:
    """Gradient evaluations spent before each row: one of the loss a step, and those that the geometry took."""
    extra = run.curves.get("model_gradients", np.zeros((run.seeds, run.steps + 1)))[:, :-1]
    return np.concatenate([np.zeros((run.seeds, 1)), np.cumsum(1 + extra, axis=1)], axis=1)


def steps_to(run: Run, threshold: float) -> float | None:
    """The median over seeds of the first recorded step at which the main curve is below; None if most never are."""
    below = main_curve(run)[1] < threshold
    first = np.where(below.any(axis=1), below.argmax(axis=1), np.inf)
    median = float(np.median(first))
    return median if np.isfinite(median) else None
