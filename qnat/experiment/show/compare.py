"""Finished runs side by side."""

import pathlib
from collections.abc import Sequence
from typing import Any

from ..errors import RefusedError
from ..registry import find_spec
from ..store.files import RUN, TABLE, read_json, read_run
from ..store.result import Run
from .lines import Entry, ordered


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
    ladder = ladder_of(found[0][0])
    names = _telling([run.spec for run, _ in found], ladder)
    return ordered([Entry(run, {n: run.spec.get(n) for n in names}, start) for run, start in found], ladder)


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


def ladder_of(run: Run) -> str | None:
    """The ladder of a run; of one from before run.json named it, that of its task, if that is installed."""
    if run.ladder is not None:
        return run.ladder
    try:
        return find_spec(run.spec["task"]).ladder
    except RefusedError:
        return None
