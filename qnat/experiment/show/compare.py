"""Finished runs side by side."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..console import note
from ..errors import RefusedError
from ..registry import find_spec
from ..store.files import RUN, TABLE, read_run, read_table
from ..store.place import inside
from ..store.result import Run
from .lines import Entry, ordered

if TYPE_CHECKING:
    from ..task import Task


def check_runs(paths: Sequence[pathlib.Path]) -> None:
    """Refuses what is not the folder of a finished run or of a sweep with one; loads nothing heavy."""
    for path in paths:
        _runs_in(path)


def _runs_in(path: pathlib.Path) -> list[tuple[pathlib.Path, str | None]]:
    """The folders of finished runs in the folder of a run or a sweep, and how each run started."""
    if os.path.lexists(path / RUN):
        if (status := read_run(path)["status"]) != "finished":
            raise RefusedError(f"The run in {path} is {status}, not finished; --resume continues it.")
        return [(path, None)]
    if not os.path.lexists(path / TABLE):
        raise RefusedError(f"{path} is not the folder of a run or a sweep (it has no {RUN} and no {TABLE}).")
    rows = [row for row in read_table(path)["runs"] if row["status"] == "finished"]
    if not rows:
        raise RefusedError(f"The sweep in {path} has no finished run; --resume continues it.")
    return [(inside(path, row["folder"]), None if row["start"] == "cold" else row["start"]) for row in rows]


def load_runs(paths: Sequence[pathlib.Path]) -> list[Entry]:
    """The finished runs in these folders of runs or sweeps, ordered along the ladder.

    They are labelled by the options in which they differ.
    """
    folders, starts = zip(*(each for path in paths for each in _runs_in(path)), strict=True)
    runs = declared([Run.load(folder) for folder in folders])
    ladder = ladder_of(runs[0])
    names = _telling([run.spec for run in runs], ladder)
    labels = ({name: run.spec.get(name) for name in names} for run in runs)
    return ordered([Entry(*each) for each in zip(runs, labels, starts, strict=True)], ladder)


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


def declared(runs: Sequence[Run]) -> list[Run]:
    """The runs, of which those from before run.json said what is measured ask their task, if that is installed."""
    old = dict.fromkeys(run.spec["task"] for run in runs if run.measures is None)
    found = {name: problem for name in old if (problem := _problem(name)) is not None}
    return [_asked(run, found[run.spec["task"]]) if run.spec["task"] in found else run for run in runs]


def _asked(run: Run, problem: "type[Task]") -> Run:
    if run.measures is not None:
        return run
    return dataclasses.replace(run, measures=problem.measures, panels=problem.panels, costs=problem.costs)


def _problem(task: str) -> "type[Task] | None":
    """The class of a task; said if there is none."""
    try:
        return find_spec(task).problem()
    # not installed, or without a task of that name, or one that does not say
    except (RefusedError, ImportError, AttributeError, NotImplementedError) as error:
        note(
            f"Older runs of '{task}' do not say what it measures, and it cannot be asked, so the loss is shown. {error}"
        )
        return None


def ladder_of(run: Run) -> str | None:
    """The ladder of a run; of one from before run.json named it, that of its task, if that is installed."""
    if run.ladder is not None:
        return run.ladder
    try:
        return find_spec(run.spec["task"]).ladder
    except RefusedError:
        return None
