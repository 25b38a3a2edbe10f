"""Many runs in one process, so that what they share is compiled once."""

import contextlib
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from .compare import Entry, entries_of
from .console import note
from .errors import NonFiniteError
from .plan import TABLE, Rung, sweep_standing
from .result import Run
from .store import FIGURE, clear, jsonable, locked, read_json, reported, write_json


def run_sweep(
    rungs: Sequence[Rung],
    out: str | pathlib.Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Runs every rung in its own folder under `out`; returns what table.json says.

    A run whose loss stops being finite is marked as failed, the rungs that start from it as skipped; the others go on.

    Args:
        rungs: from `qnat.experiment.plan.plan`. out: the folder of the sweep.
        resume: skip what has finished and continue the rest. force: replace the sweep in `out`.
        progress: as in `qnat.experiment.run`.
    """
    path = pathlib.Path(out)
    sweep_standing(path, rungs, resume=resume, force=force)
    with locked(path):
        sweep_standing(path, rungs, resume=resume, force=force)
        if force:
            _remove(path)
        rows = {rung.folder: _row(rung, "pending") for rung in rungs}
        table = {"task": rungs[0].spec.task_name, "swept": list(rungs[0].swept), "runs": list(rows.values())}
        _write(path, table)
        done: dict[str, tuple[Rung, Run]] = {}
        for number, rung in enumerate(rungs, start=1):
            row = rows[rung.folder]
            if rung.previous is not None and rung.previous not in done:
                row["status"] = "skipped"
                continue
            _say(f"{number}/{len(rungs)} {rung.folder}", progress)
            try:
                run = rung.spec.run(path / rung.folder, resume=resume, initial=_initial(rung, done), progress=progress)
            except NonFiniteError as error:
                row |= {"status": "failed", "message": str(error)}
                _say(f"{rung.folder}: {error}", True)
            else:
                done[rung.folder] = rung, run
                row |= _outcome(run)
            _write(path, table)
        _write(path, table)
        _draw(path, [Entry(run, rung.swept, rung.start) for rung, run in done.values()], rungs[0].spec.ladder)
    return table


def _initial(rung: Rung, done: dict[str, tuple[Rung, Run]]) -> Any:
    if rung.previous is None:
        return None
    previous, run = done[rung.previous]
    return rung.spec.warm_start(run.params, previous.spec, rung.start or "")


def _row(rung: Rung, status: str) -> dict[str, Any]:
    return {"folder": rung.folder, **rung.swept, "start": rung.start or "cold", "status": status}


def _outcome(run: Run) -> dict[str, Any]:
    return {
        "status": run.status,
        "steps": run.steps,
        "seconds": run.seconds,
        "compile_seconds": run.compile_seconds,
        **run.final,
        **{name: value["value"] for name, value in run.reference.items()},
    }


def _write(path: pathlib.Path, table: dict[str, Any]) -> None:
    with reported(path):
        write_json(path / TABLE, jsonable(table))


def _draw(path: pathlib.Path, entries: list[Entry], ladder: str | None) -> None:
    from .plot import draw_comparison

    if not entries:
        return
    with reported(path):
        draw_comparison(entries_of(entries, ladder), path / FIGURE)


def _remove(path: pathlib.Path) -> None:
    """Removes the runs that the sweep in this folder made."""
    if not (path / TABLE).exists():
        return
    for row in read_json(path / TABLE, "runs")["runs"]:
        folder = path / row["folder"]
        if folder.is_dir():
            with locked(folder):
                clear(folder)
            (folder / ".lock").unlink()
            with contextlib.suppress(OSError):  # somebody put files of their own there
                folder.rmdir()
    (path / FIGURE).unlink(missing_ok=True)


def _say(text: str, progress: bool | None) -> None:
    if progress or (progress is None and sys.stderr.isatty()):
        note(text)
