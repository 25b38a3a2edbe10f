"""Finished runs side by side."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..console import note
from ..errors import RefusedError
from ..reading import reading
from ..registry import find_spec
from ..store.files import PART, RATE, RUN, read_run, read_table
from ..store.opened import check_regular, content_of
from ..store.place import inside
from ..store.result import Result, units_of
from .lines import Entry, ordered
from .titles import told

if TYPE_CHECKING:
    from ..task import Task

_OWN = re.compile(rb"Software\0qnat|/Creator \(qnat\)|<dc:title>qnat</dc:title>")
"""How a PNG, a PDF and an SVG file say who drew them."""


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
    rows = [row for row in read_table(path)["runs"] if row["status"] == "finished"]
    if not rows:
        raise RefusedError(f"The sweep in {path} has no finished run; --resume continues it.")
    return [(inside(path, row["folder"]), None if row["start"] == "cold" else row["start"]) for row in rows]


def figure_names(groups: Sequence[Sequence[Entry]], figure: pathlib.Path) -> list[pathlib.Path]:
    """The file of each group: the first is as it was asked for, the others are called NAME-2, and so on."""
    numbers = ["", *(f"-{number}" for number in range(2, len(groups) + 1))]
    return [figure.with_name(f"{figure.stem}{number}{figure.suffix}") for number in numbers]


def check_figures(entries: Sequence[Entry], figure: pathlib.Path) -> None:
    """Refuses to draw a comparison over a picture that somebody else made."""
    for path in figure_names(comparable(entries), figure):
        _check_figure(path)


def _check_figure(path: pathlib.Path) -> None:
    part = path.with_name(path.name + PART)
    if os.path.lexists(part):
        raise RefusedError(f"{part} is in the way; remove it, or give another name with --figure.")
    check_regular(path)
    with reading(path, instead="give another name with --figure"):
        if path.exists() and not _OWN.search(content_of(path)):
            raise RefusedError(f"{path} is there already, and not drawn by qnat; give another name with --figure.")


def load_runs(paths: Sequence[pathlib.Path]) -> list[Entry]:
    """The finished runs in these folders of runs or sweeps, ordered along the ladder.

    They are labelled by the options in which they differ.
    """
    folders, starts = zip(*(each for path in paths for each in _runs_in(path)), strict=True)
    runs = declared([Result.load(folder) for folder in folders])
    ladder = ladder_of(runs[0])
    names = _telling([run.spec for run in runs], ladder)
    labels = ({name: run.spec.get(name) for name in names} for run in runs)
    return ordered([Entry(*each) for each in zip(runs, labels, starts, strict=True)], ladder)


def comparable(entries: Sequence[Entry]) -> list[list[Entry]]:
    """The runs by the measure that judges them, in the order of the first of each: only those of one compare.

    One measure is one name, one unit and one kind of loss.
    Where nothing but the loss judges, it is that of a task. Several groups are labelled anew, each by its own
    differences, and by the task.
    """
    groups: dict[tuple[Any, str], list[Entry]] = {}
    for entry in entries:
        judge = entry.run.judge
        whose = "" if judge in (entry.run.measures or ()) else entry.run.spec["task"]
        groups.setdefault((judge, whose), []).append(entry)
    return list(groups.values()) if len(groups) == 1 else [_relabelled(group) for group in groups.values()]


def _relabelled(entries: Sequence[Entry]) -> list[Entry]:
    ladder = ladder_of(entries[0].run)
    names = dict.fromkeys(["task", *_telling([entry.run.spec for entry in entries], ladder)])
    return ordered([one._replace(labels={name: one.run.spec.get(name) for name in names}) for one in entries], ladder)


def _telling(specs: Sequence[dict[str, Any]], ladder: str | None) -> list[str]:
    """The fewest fields that tell the specs apart: the ladder, the words of a title, then in the order of the spec.

    Later fields often follow from earlier ones. The ladder alone does not tell two systems apart that stand on
    different rungs of it.
    """
    last = (RATE, "steps", "seed", "seeds", "every")
    names = dict.fromkeys(name for spec in specs for name in spec)
    titled = dict.fromkeys(["task", *(word for spec in specs for word in told(spec))])
    fields = [*(name for name in titled if name in names), *(name for name in names if name not in titled)]
    chosen: list[str] = []
    for name in (*(n for n in fields if n not in (ladder, *last)), *last):
        if name in names and _split(specs, [*chosen, name]) > _split(specs, chosen):
            chosen.append(name)
    return [*([ladder] if ladder is not None and _split(specs, [ladder]) > 1 else []), *chosen]


def _split(specs: Sequence[dict[str, Any]], names: Sequence[str]) -> int:
    """Into how many groups these fields divide the specs."""
    return len({tuple(str(spec.get(name)) for name in names) for spec in specs})


def declared(runs: Sequence[Result]) -> list[Result]:
    """The runs, of which those from before run.json said what is measured ask their task, if that is installed."""
    old = dict.fromkeys(run.spec["task"] for run in runs if run.measures is None)
    found = {name: problem for name in old if (problem := _problem(name)) is not None}
    return [_asked(run, found[run.spec["task"]]) if run.spec["task"] in found else run for run in runs]


def _asked(run: Result, problem: "type[Task]") -> Result:
    if run.measures is not None:
        return run
    known: dict[str, Any] = {"measures": problem.measures, "panels": problem.panels, "costs": problem.costs}
    return dataclasses.replace(run, **known, units=units_of(problem))


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


def ladder_of(run: Result) -> str | None:
    """The ladder of a run; of one from before run.json named it, that of its task, if that is installed."""
    if run.ladder is not None:
        return run.ladder
    try:
        return find_spec(run.spec["task"]).ladder
    except RefusedError:
        return None
