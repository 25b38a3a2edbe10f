"""Many runs in one process, so that what they share is compiled once."""

import contextlib
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from .compare import Entry
from .console import note
from .errors import NonFiniteError
from .plan import RATE, TABLE, TUNING, Rung, sweep_standing, tuning_seed
from .result import Run
from .store import FIGURE, OBSERVABLES, clear, jsonable, locked, read_json, reported, write_json
from .tune import score, tune_rates


def run_sweep(
    rungs: Sequence[Rung],
    out: str | pathlib.Path,
    *,
    tune: bool = False,
    resume: bool = False,
    force: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Runs every rung in its own folder under `out`; returns what table.json says.

    A run whose loss stops being finite is marked as failed, the rungs that start from it as skipped; the others go on.

    Args:
        rungs: from `qnat.experiment.plan.plan`. out: the folder of the sweep.
        tune: first choose the learning rate of each, see `qnat.experiment.tune`; the trials are kept in out/tuning.
        resume: skip what has finished and continue the rest. force: replace the sweep in `out`.
        progress: as in `qnat.experiment.run`.
    """
    path = pathlib.Path(out)
    sweep_standing(path, rungs, tune=tune, resume=resume, force=force)
    with locked(path):
        sweep_standing(path, rungs, tune=tune, resume=resume, force=force)
        if force:
            _remove(path)
        rows = {rung.folder: _row(rung, "pending") for rung in rungs}
        table = {"task": rungs[0].spec.task_name, "swept": list(rungs[0].swept), "runs": list(rows.values())}
        if tune:
            rungs = _tuned(rungs, path, table, progress)
            for rung in rungs:
                rows[rung.folder][RATE] = getattr(rung.spec, RATE)
        _write(path, table)
        done: dict[str, tuple[Rung, Run]] = {}
        for number, rung in enumerate(rungs, start=1):
            row = rows[rung.folder]
            if rung.previous is not None and rung.previous not in done:
                row["status"] = "skipped"
                continue
            _say(f"{number}/{len(rungs)} {rung.folder}", progress)
            ready, initial = _prepared(rung, done)
            run = _attempt(ready, path, row, resume=resume, initial=initial, progress=progress)
            if run is not None:
                done[rung.folder] = rung, run
            _write(path, table)
        _write(path, table)
        _draw(path, rungs[0], [Entry(run, rung.swept, rung.start) for rung, run in done.values()])
    return table


def _tuned(rungs: Sequence[Rung], path: pathlib.Path, table: dict[str, Any], progress: bool | None) -> list[Rung]:
    """The rungs with their tuned learning rates; the table gets a row for every trial."""
    seed = tuning_seed(rungs)
    trials: list[dict[str, Any]] = []
    table[TUNING] = {"seed": seed, "runs": trials}

    def attempt(rung: Rung) -> Run | None:
        trials.append(row := {"folder": rung.folder, **rung.swept, "status": "pending"})
        _write(path, table)
        _say(f"tuning on seed {seed}: {rung.folder}", progress)
        run = _attempt(rung, path, row, resume=True, initial=None, progress=progress)
        row |= score(run)._asdict()
        return run

    return tune_rates(rungs, attempt)


def _attempt(
    rung: Rung, path: pathlib.Path, row: dict[str, Any], *, resume: bool, initial: Any, progress: bool | None
) -> Run | None:
    """Runs a rung and tells its row how it went; None if the loss stopped being finite."""
    try:
        run = rung.spec.run(path / rung.folder, resume=resume, initial=initial, progress=progress)
    except NonFiniteError as error:
        row |= {"status": "failed", "message": str(error)}
        _say(f"{rung.folder}: {error}", True)
        return None
    row |= _outcome(run)
    return run


def _prepared(rung: Rung, done: dict[str, tuple[Rung, Run]]) -> tuple[Rung, Any]:
    """The rung with its data, and the parameters to start from."""
    if rung.previous is None:
        return rung, None
    previous, run = done[rung.previous]
    initial = rung.spec.warm_start(run.params, previous.spec, rung.start or "")
    return rung._replace(spec=rung.spec.following(run.params)), initial


def _row(rung: Rung, status: str) -> dict[str, Any]:
    return {"folder": rung.folder, **rung.swept, "start": rung.start or "cold", "status": status}


def _outcome(run: Run) -> dict[str, Any]:
    return {
        "status": run.status,
        "steps": run.steps,
        "seconds": run.seconds,
        "compile_seconds": run.compile_seconds,
        **run.final,
        **run.known,
    }


def _write(path: pathlib.Path, table: dict[str, Any]) -> None:
    with reported(path):
        write_json(path / TABLE, jsonable(table))


def _draw(path: pathlib.Path, rung: Rung, entries: list[Entry]) -> None:
    from .plot_ladder import draw_ladder

    if not entries:
        return
    with reported(path):
        rung.spec.draw(entries, path / FIGURE)
        draw_ladder(entries, rung.spec.ladder, path / OBSERVABLES)


def _remove(path: pathlib.Path) -> None:
    """Removes the runs that the sweep in this folder made."""
    if not (path / TABLE).exists():
        return
    runs = [path / row["folder"] for row in read_json(path / TABLE, "runs")["runs"]]
    for folder in [*runs, *(path / TUNING).glob("*")]:
        if folder.is_dir():
            with locked(folder):
                clear(folder)
            (folder / ".lock").unlink()
            with contextlib.suppress(OSError):  # somebody put files of their own there
                folder.rmdir()
    with contextlib.suppress(OSError):
        (path / TUNING).rmdir()
    (path / FIGURE).unlink(missing_ok=True)
    (path / OBSERVABLES).unlink(missing_ok=True)


def _say(text: str, progress: bool | None) -> None:
    if progress or (progress is None and sys.stderr.isatty()):
        note(text)
