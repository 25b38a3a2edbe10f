"""Many runs in one process, so that what they share is compiled once."""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..console import literal, note, watched
from ..errors import NonFiniteError, RefusedError
from ..show.compare import comparable, declared
from ..show.lines import Entry, entries_of
from ..stopwatch import timed
from ..store.files import (
    DRAWN,
    FIGURE,
    FORMATS,
    LOCK,
    OBSERVABLES,
    RATE,
    TABLE,
    TUNING,
    figure_files,
    jsonable,
    read_table,
    replace_file,
    reported,
    write_json,
)
from ..store.opened import content_of
from ..store.place import clear, inside, locked
from ..store.result import Result, outcome
from ..words.spec import Rung, RunSpec
from .between import exact_scalars
from .plan import check_data, folders_of, sweep_standing, tuning_seed
from .tune import score, tune_rates

if TYPE_CHECKING:
    from ..show.ladder import Exact


def run_sweep(
    rungs: Sequence[Rung],
    out: str | pathlib.Path,
    *,
    tune: bool = False,
    resume: bool = False,
    force: bool = False,
    formats: Sequence[str] = FORMATS[:1],
    progress: bool | None = None,
) -> dict[str, Any]:
    """Runs every rung in its own folder under `out`; returns what table.json says.

    A run whose loss stops being finite is marked as failed, the rungs that start from it as skipped; the others go on.

    Args:
        rungs: from `qnat.experiment.sweep.plan.plan`. out: the folder of the sweep.
        tune: first choose the learning rate of each, see `qnat.experiment.sweep.tune`; out/tuning keeps the trials.
        resume: skip what has finished and continue the rest. force: replace the sweep in `out`.
        formats: of the figures. progress: both as in `qnat.experiment.run`.
    """
    path = pathlib.Path(out)
    check_data(rungs, sweep_standing(path, rungs, tune=tune, resume=resume, force=force))
    with locked(path), _untouched_if_refused(path, resume=resume):
        finished = sweep_standing(path, rungs, tune=tune, resume=resume, force=force)
        drawn = _drawn(path, rungs, formats) if len(finished) == len(rungs) else []
        if force:
            _remove(path)
        rows = {rung.folder: _row(rung, "pending") for rung in rungs}
        table = {
            "task": rungs[0].spec.task_name,
            "swept": list(rungs[0].swept),
            DRAWN: drawn,
            "runs": list(rows.values()),
        }
        if tune:
            rungs = _tuned(rungs, path, table, progress)
            for rung in rungs:
                rows[rung.folder][RATE] = getattr(rung.spec, RATE)
        _write(path, table)
        done: dict[str, Rung] = {}
        runs: dict[str, Result] = {}

        def recall(folder: str) -> Result:
            return runs[folder] if folder in runs else runs.setdefault(folder, _recalled(path / folder))

        for number, rung in enumerate(rungs, start=1):
            row = rows[rung.folder]
            if rung.previous is not None and rung.previous not in done:
                row["status"] = "skipped"
                continue
            if rung.folder not in finished:
                _say(f"{number}/{len(rungs)} {rung.folder}", progress)
                before = None if rung.previous is None else (done[rung.previous].spec, recall(rung.previous))
                run = _attempt(rung, path, row, resume=resume, before=before, formats=formats, progress=progress)
                _write(path, table)
                if run is None:
                    continue
                runs[rung.folder] = run
            row |= outcome(path / rung.folder)
            done[rung.folder] = rung
        if not drawn and done:
            entries = [Entry(recall(folder), rung.swept, rung.start, rung.title) for folder, rung in done.items()]
            table[DRAWN] = _draw(path, list(done.values()), entries, formats)
        _write(path, table)
    return table


@contextlib.contextmanager
def _untouched_if_refused(path: pathlib.Path, *, resume: bool) -> Iterator[None]:
    """Puts the table of a sweep back that cannot go on, because a checkpoint is damaged for example."""
    before = content_of(path / TABLE) if resume and (path / TABLE).exists() else None
    try:
        yield
    except RefusedError:
        if before is not None:
            replace_file(path / TABLE, lambda file: file.write(before))
        raise


def _tuned(rungs: Sequence[Rung], path: pathlib.Path, table: dict[str, Any], progress: bool | None) -> list[Rung]:
    """The rungs with their tuned learning rates; the table gets a row for every trial."""
    seed = tuning_seed(rungs)
    trials: list[dict[str, Any]] = []
    table[TUNING] = {"seed": seed, "runs": trials}

    def attempt(rung: Rung) -> Result | None:
        trials.append(row := {"folder": rung.folder, **rung.swept, "status": "pending"})
        _write(path, table)
        _say(f"tuning on seed {seed}: {rung.folder}", progress)
        run = _attempt(rung, path, row, resume=True, before=None, progress=progress)
        row |= ({} if run is None else outcome(path / rung.folder)) | score(run)._asdict()
        return run

    return tune_rates(rungs, attempt)


def _attempt(
    rung: Rung,
    path: pathlib.Path,
    row: dict[str, Any],
    *,
    resume: bool,
    before: tuple[RunSpec, Result] | None,
    formats: Sequence[str] = FORMATS[:1],
    progress: bool | None,
) -> Result | None:
    """Runs a rung, after the run that it starts from; None, and said in its row, if the loss stopped being finite."""
    start: dict[str, Any] = {}
    if before is not None:
        earlier, run = before
        start = {"initial": rung.spec.warm_start(run.params, earlier, rung.start or ""), "previous": run.params}
    try:
        start |= {"resume": resume, "formats": formats, "progress": progress}
        return declared([rung.spec.run(path / rung.folder, **start)])[0]
    except NonFiniteError as error:
        row |= {"status": "failed", "message": str(error)}
        _say(f"{rung.folder}: {error}", True)
        return None


def _recalled(folder: pathlib.Path) -> Result:
    return declared([Result.load(folder)])[0]


def _row(rung: Rung, status: str) -> dict[str, Any]:
    row = {"folder": rung.folder, **rung.swept, "start": rung.start or "cold", "status": status}
    return row if rung.previous is None else row | {"previous": rung.previous}


def _write(path: pathlib.Path, table: dict[str, Any]) -> None:
    with reported(path):
        write_json(path / TABLE, jsonable(table))


def _drawn(path: pathlib.Path, rungs: Sequence[Rung], formats: Sequence[str]) -> list[str]:
    """The figures that show these finished runs and no others; none if one of them is missing or empty."""
    table = read_table(path)
    figures: list[str] = table.get(DRAWN, [])
    shown = {row["folder"] for row in table["runs"] if row["status"] == "finished"}
    whole = all((path / name).exists() and (path / name).stat().st_size for name in figures)
    asked = {file.name for file in figure_files(path, FIGURE, formats)} <= set(figures)
    return figures if whole and asked and shown == {rung.folder for rung in rungs} else []


def _judged_alike(entries: list[Entry]) -> list[Entry]:
    """Those that the measure judges which judges the first; says so if there are others."""
    alike = comparable(entries)[0]
    if len(alike) < len(entries):
        judge = alike[0].run.judge
        name = literal(judge.name + (f" ({judge.of})" if judge.of else ""))
        note(f"{FIGURE} shows the {len(alike)} of {len(entries)} runs that are judged by {name}; compare draws all.")
    kept = {id(entry.run) for entry in alike}
    return [entry for entry in entries if id(entry.run) in kept]


def _draw(path: pathlib.Path, done: Sequence[Rung], every: list[Entry], formats: Sequence[str]) -> list[str]:
    """Draws the figures of runs and of their rungs; returns their names."""
    spec, entries = done[0].spec, _judged_alike(every)
    rungs = [rung for rung, entry in zip(done, every, strict=True) if any(entry is one for one in entries)]
    with reported(path), timed("draw"):
        from ..show.comparison import draw_comparison
        from ..show.ladder import draw_ladder
        from ..show.sequence import draw_sequence
        from ..show.style import save_figure

        # a panel a rung, unless other options were swept too
        if spec.figure == "sequence" and set(entries[0].labels) <= {spec.ladder, "seed"}:
            figures = {FIGURE: draw_sequence(entries, str(spec.ladder))}
        else:
            figures = {FIGURE: draw_comparison(entries_of(entries, spec.ladder))}
        if ladder := draw_ladder(entries, spec.ladder, axis=spec.axis, exact=_exact(rungs, entries)):
            figures[OBSERVABLES] = ladder
        files = {file: figure for name, figure in figures.items() for file in figure_files(path, name, formats)}
        for file, figure in files.items():
            save_figure(figure, file)
    return [file.name for file in files]


def _exact(rungs: Sequence[Rung], entries: Sequence[Entry]) -> "Exact | None":
    """What is exact between the runs; None where nothing is between two values of the ladder."""
    ladder = rungs[0].spec.ladder
    if ladder is None or not isinstance(getattr(rungs[0].spec, ladder), float):
        return None
    specs = {id(entry.run): rung.spec for rung, entry in zip(rungs, entries, strict=True)}
    return lambda run, values: exact_scalars(specs[id(run)], ladder, values)


def _remove(path: pathlib.Path) -> None:
    """Removes the runs that the sweep in this folder made."""
    if not (path / TABLE).exists():
        return
    for folder in (inside(path, name) for name in folders_of(read_table(path))):
        if folder.is_dir():
            with locked(folder):
                clear(folder)
            (folder / LOCK).unlink()
            with contextlib.suppress(OSError):  # somebody put files of their own there
                folder.rmdir()
    with contextlib.suppress(OSError):
        (path / TUNING).rmdir()
    for file in (*figure_files(path, FIGURE), *figure_files(path, OBSERVABLES)):
        file.unlink()


def _say(text: str, progress: bool | None) -> None:
    if progress or (progress is None and watched()):
        note(text)
