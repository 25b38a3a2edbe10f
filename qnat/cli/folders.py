"""Folders of runs and sweeps, as they are: listed, shown, finished."""

import json
import os
import pathlib
import statistics
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from qnat.experiment.console import note, say
from qnat.experiment.errors import RefusedError
from qnat.experiment.reading import reading
from qnat.experiment.store.account import check_log
from qnat.experiment.store.files import (
    CHECKPOINT,
    LOG,
    PREVIOUS,
    RUN,
    TUNING,
    jsonable,
    read_run,
    read_table,
)
from qnat.experiment.store.log import last_row
from qnat.experiment.store.place import inside, is_held
from qnat.experiment.sweep.plan import folders_of
from qnat.experiment.words.wording import rebuild

if TYPE_CHECKING:
    from qnat.experiment.store.result import Result
    from qnat.experiment.words.spec import RunSpec


class Standing(NamedTuple):
    """A run as its folder tells it.

    Attributes:
        task: its name. status: "running" only if a process holds the folder; one that was killed is "interrupted".
        steps: updates made so far. wanted: asked for. values: the last of every curve in the log, medians over seeds.
        judge: the measure, with its unit, or the loss; how good it is now is None before the first row.
    """

    task: str
    status: str
    steps: int
    wanted: int
    values: dict[str, float]
    judge: tuple[str, str]

    @property
    def measured(self) -> str:
        """How good it is, in words."""
        name, unit = self.judge
        value = self.values.get(name)
        words = name.replace("_", " ")
        return "" if value is None else f"{words} {value:.3g}" + (f" {unit}" if unit else "")

    @property
    def progress(self) -> str:
        """Steps made, and of how many if not all."""
        return str(self.steps) if self.steps == self.wanted else f"{self.steps} of {self.wanted}"


def standing_of(path: pathlib.Path) -> Standing:
    """What the folder of a run says, without reading its result.

    Raises:
        RefusedError: it is not the folder of a run, or damaged.
    """
    document = read_run(path)
    with reading(path, "the damaged run in", "give the folder of a run"):
        return _standing(path, document)


def _standing(path: pathlib.Path, document: Mapping[str, Any]) -> Standing:
    status, spec = str(document["status"]), document["spec"]
    if status == "finished":
        steps, last = int(document["steps"]), document["final"]
    else:
        status = "interrupted" if status == "running" and not is_held(path) else status
        check_log(path, spec)
        last = last_row(path / LOG)
        # row k stands before update k + 1, which was made with it, or is no step of this run
        steps = min(int(last.pop("step", -1)) + 1, int(spec.get("steps", 0)))
    values = {name: float(statistics.median(map(float, v if isinstance(v, list) else [v]))) for name, v in last.items()}
    measures = document.get("measures") or ()
    judge = next(((one["name"], one.get("unit", "")) for one in measures if one["name"] in values), ("loss", ""))
    return Standing(str(document["task"]), status, steps, int(spec.get("steps", steps)), values, judge)


def runs_below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The folders of runs in a folder and in the sweeps in it, tuning trials left out; links are not followed."""
    for place, names, files in os.walk(folder):
        names.sort()
        names[:] = [] if RUN in files else [name for name in names if name != TUNING and not name.startswith(".")]
        if RUN in files:
            yield pathlib.Path(place)


def list_runs(folder: pathlib.Path) -> None:
    """Prints a table of the runs in a folder; those that cannot be read are named after it.

    Raises:
        RefusedError: there is no such folder.
    """
    if not folder.is_dir():
        raise RefusedError(f"{folder} is not a folder; give one that holds runs.")
    rows, unreadable = [], []
    for path in runs_below(folder):
        try:
            one = standing_of(path)
        except (RefusedError, OSError) as error:
            unreadable.append(str(error))
            continue
        rows.append((str(path), one.task, one.status, one.progress, one.measured))
    heads = ("folder", "task", "status", "steps", "measure")
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    if rows:
        for row in (heads, *rows):
            say("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    elif not unreadable:
        say(f"No runs in {folder}.")
    for sentence in unreadable:
        note(sentence)


def table_of(path: pathlib.Path) -> dict[str, Any] | None:
    """table.json of a sweep; None if the folder is one of a run.

    Raises:
        RefusedError: it is neither, or damaged.
    """
    return None if os.path.lexists(path / RUN) else read_table(path)


def documents_of(path: pathlib.Path) -> list[dict[str, Any]]:
    """run.json of a run; of a sweep those of its runs that have begun, the tuning trials among them.

    Raises:
        RefusedError: the folder is of neither, no run has begun, or one is damaged.
    """
    if (table := table_of(path)) is None:
        return [read_run(path)]
    places = (inside(path, folder) for folder in folders_of(table))
    if not (begun := [place for place in places if os.path.lexists(place / RUN)]):
        raise RefusedError(f"The sweep in {path} has no run yet; --resume starts it.")
    return [read_run(place) for place in begun]


def say_progress(table: Mapping[str, Any]) -> None:
    """A line on a sweep that has not finished."""
    statuses = [row["status"] for row in table["runs"]]
    counts = {status: statuses.count(status) for status in dict.fromkeys(statuses)}
    if counts.keys() != {"finished"}:
        said = ", ".join(f"{count} {status}" for status, count in counts.items())
        say(f"\nOf {len(statuses)} runs: {said}. The same command with --resume goes on.")


def show_unfinished(path: pathlib.Path, *, as_json: bool) -> None:
    """Prints how far a run is that has not finished."""
    one = standing_of(path)
    if as_json:
        document = {"status": one.status, "steps": one.steps, **one.values, "out": str(path)}
        say(json.dumps(jsonable(document), allow_nan=False))
        return
    width = max(map(len, one.values), default=0)
    for name, value in one.values.items():
        say(f"{name:{width}}  {value:.6g}")
    advice = "" if one.status == "running" else f" --resume continues it, 'qnat finish {path}' ends it here."
    say(f"\n{path} is {one.status} at step {one.steps} of {one.wanted}.{advice}")


def to_finish(path: pathlib.Path) -> "RunSpec":
    """The spec of a run that `finish` may finish.

    Raises:
        RefusedError: there is nothing to finish.
    """
    if table_of(path) is not None:
        raise RefusedError(f"{path} is the folder of a sweep; finish its runs one by one, or --resume it.")
    if (document := read_run(path))["status"] == "finished":
        raise RefusedError(f"The run in {path} has finished; 'qnat show {path}' prints it.")
    if is_held(path):
        raise RefusedError(f"Another process is writing {path}; wait for it, or stop it first.")
    if not any((path / name).exists() for name in (CHECKPOINT, PREVIOUS)):
        raise RefusedError(f"The run in {path} made no checkpoint, so there is nothing to finish; --resume starts it.")
    return rebuild(document["spec"])


def finish(spec: "RunSpec", path: pathlib.Path) -> "Result":
    """The run in a folder with the steps that it has: its last good checkpoint, evaluated and stored as the end."""
    try:
        return spec.run(path, resume=True, until=lambda _: True)
    except ValueError as error:  # such as data that are made from the run before it
        raise RefusedError(str(error)) from None
