"""A run: trained, drawn, finished."""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from qnat.inference.process import Process, descend

from .bounds import check_whole
from .console import note
from .errors import missing
from .finished import Run
from .loop.callbacks import Callback, followed
from .loop.iterate import train
from .loop.job import Job
from .loop.keep import Keep
from .measures import Measure
from .stopwatch import timed
from .store.files import FIGURE, FORMATS, RESULT, figure_files, read_run, reported
from .store.folder import Folder, Memory
from .store.place import clear, is_whole, locked, standing
from .store.result import Result, declarations
from .task import Task
from .trend import Until, within

Row = Mapping[str, Float[np.ndarray, " seeds"]]
"""A row of the record, by name, NaN where a curve has no value there."""


def run(
    task: Task,
    process: Process | optax.GradientTransformation,
    *,
    steps: int,
    seed: int,
    seeds: int = 1,
    every: int = 1,
    out: str | pathlib.Path | None = None,
    resume: bool = False,
    force: bool = False,
    keep: Keep | None = None,
    tolerance: float | None = None,
    until: Callable[[Row], bool] | None = None,
    callbacks: Sequence[Callback] = (),
    initial: PyTree[Array] | None = None,
    record: Mapping[str, Any] | None = None,
    citations: Sequence[str] = (),
    ladder: str | None = None,
    formats: Sequence[str] = FORMATS[:1],
    progress: bool | None = None,
) -> Run:
    """Iterates, records, stores.

    The loss is recorded at steps 0, 1, ..., `steps`, before the update of that step; `task.evaluate` at multiples of
    `every` and at the end; what the process says of its updates at every one. Steps run in compiled chunks of about
    half a second; the result does not depend on their length. Killed and resumed on the same machine, with the same
    versions and thread count, a run ends in the same bits.

    Args:
        task: the problem.
        process: what iterates, such as `qnat.inference.em` makes, or any optax transform, which descends the task.
        steps: number of updates; 0 evaluates the start.
        seed: of the first seed. seeds: how many seeds seed, seed + 1, ... are trained side by side.
        every: steps between evaluations.
        out: folder of the run; None keeps everything in memory.
        resume: continue the run in `out`, start it if there is none, return it if it has finished.
        force: replace the run in `out`.
        keep: which parameters to keep on the way, as `Run.draws`: the draws of a chain, for example.
        tolerance: ends the run with the first row that is good enough: the first exact measure of the task is below it
            for every seed; or, where none is recorded, the slope of the loss is, see `qnat.experiment.trend.within`.
        until: ends the run with the first of its rows, {name: (seeds,)}, for which it holds, for every seed if it
            answers for each; a resumed run asks from its checkpoint on.
        callbacks: what follows the run chunk by chunk, such as the loggers in `qnat.experiment.loggers`.
        initial: parameters to start from, in the shape of `Run.params`; None asks `task.init`.
        record: what identifies the run, such as the words that made task and optimiser; None stores their repr.
        citations: keys of what the run cites. ladder: the name in the record along which such runs are ordered.
        formats: of the figure in `out`: png, pdf, svg.
        progress: show a bar on standard error; None does if that is a terminal.

    Raises:
        RefusedError: before anything is written, see `qnat.experiment.store.place.standing`.
        NonFiniteError: the loss stopped being finite. StorageError: the folder could not be written.
        KeyboardInterrupt: Ctrl-C. After each of the last three the folder can be resumed.
    """
    check_whole(steps=(steps, 0), seed=(seed, 0), seeds=(seeds, 1), every=(every, 1))
    _check_kinds(process, keep)
    _check_tolerance(tolerance)
    if initial is not None and task.traceable:
        _check_initial(task, initial, seeds)
    if seeds == 1 and initial is not None:
        initial = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], initial)
    numbers = {"steps": steps, "seed": seed, "seeds": seeds, "every": every}
    known = {"task": task.name} | numbers | dict(record or _describe(task, process))
    known |= {} if keep is None else {"keep": keep._asdict()}
    known |= {} if tolerance is None else {"tolerance": tolerance}
    if not isinstance(process, Process):
        process = descend(task.value_and_grad, process, traceable=task.traceable)
    if strange := sorted(set(formats) - set(FORMATS)):
        raise ValueError(f"formats has '{strange[0]}'; choose among {', '.join(FORMATS)}.")
    if out is None and (resume or force):
        raise ValueError("resume and force speak of a folder; give out=.")
    ends = _ends(tolerance, task.measures, until)
    with followed(callbacks) as audience:
        job = Job(task, process, steps, seed, seeds, every, initial, keep, ends, ladder, audience)
        if out is not None:
            about: dict[str, Any] = {"citations": tuple(citations), "formats": formats, "progress": progress}
            found = _stored(job, known, pathlib.Path(out), **about, resume=resume, force=force)
        else:
            found = _made(job, train(job, known, Memory(), progress))
        audience.run = found
    return found


def _made(job: Job, result: Result) -> Run:
    """The run of a job of this process, which knows its task."""
    return Run(**{field.name: getattr(result, field.name) for field in dataclasses.fields(result)}, problem=job.task)


def _ends(tolerance: float | None, measures: Sequence[Measure], holds: Callable[[Row], bool] | None) -> Until | None:
    """What ends the run early: its tolerance, or a predicate of rows, whichever holds first."""
    wanted: list[Until] = [] if tolerance is None else [within(tolerance, measures)]
    if holds is not None:
        wanted.append(
            lambda curves, step: bool(np.all(holds({name: curve[:, step] for name, curve in curves.items()})))
        )
    return (lambda curves, step: any(ends(curves, step) for ends in wanted)) if wanted else None


def _check_tolerance(tolerance: Any) -> None:
    if tolerance is not None and not (isinstance(tolerance, int | float | np.number) and 0 < tolerance < np.inf):
        raise ValueError(f"tolerance is {tolerance!r}; it must be a finite number greater than 0.")


def _check_kinds(process: Any, keep: Any) -> None:
    if not (isinstance(process, Process) or (hasattr(process, "init") and hasattr(process, "update"))):
        raise ValueError(f"The process is {process!r}; give an optax transform, or a qnat.inference.Process.")
    if isinstance(keep, Keep):
        check_whole(**{"keep.every": (keep.every, 1), "keep.burn_in": (keep.burn_in, 0)})
    elif keep is not None:
        raise ValueError(f"keep is {keep!r}; give Keep(every, burn_in).")


def _check_initial(task: Task, initial: PyTree[Array], seeds: int) -> None:
    """Refuses parameters that are not like those of the task, an axis over several seeds apart."""
    wanted = task.skeleton()
    lead = (seeds,) if seeds > 1 else ()
    looks = [jax.tree.map(lambda leaf, lead=lead: (*lead, *jnp.shape(leaf)), wanted), jax.tree.map(jnp.shape, initial)]
    if looks[0] != looks[1]:
        raise ValueError(f"initial has arrays of the shapes {looks[1]}; the task {task.name} wants {looks[0]}.")


def _stored(
    job: Job,
    record: dict[str, Any],
    path: pathlib.Path,
    *,
    citations: tuple[str, ...],
    formats: Sequence[str],
    progress: bool | None,
    resume: bool,
    force: bool,
) -> Run:
    """A run in a folder, or what the folder has of it."""
    standing(path, record, resume=resume, force=force)  # refuses before the folder is made
    with locked(path):
        found = standing(path, record, resume=resume, force=force)  # and again, now that nobody else writes
        # a run that ended early goes on where nothing ends it any more
        if found == "finished" and (job.until is not None or read_run(path)["steps"] == job.steps):
            return dataclasses.replace(Run.load(path), problem=job.task)
        if found == "new":
            clear(path)
        elif (stored := read_run(path))["status"] == "finished" and not is_whole(path, stored):
            note(f"{path / RESULT} is missing or damaged; it is made again from the last checkpoint.")
        folder = Folder(path, record, citations=citations, ladder=job.ladder, **declarations(job.task))
        try:
            result = train(job, record, folder, progress)
            _draw(result, path, formats)
            folder.finish(result)
        except BaseException as error:
            folder.ended(error)
            raise
        finally:
            folder.close()
        return _made(job, result)


def _draw(result: Result, path: pathlib.Path, formats: Sequence[str]) -> None:
    with reported(path), timed("draw", result.spent):
        try:
            from .show.figure import draw_run
        except ModuleNotFoundError as error:  # the numbers are worth more than their picture
            note(f"No figure is drawn: {missing(error)}")
        else:
            for file in figure_files(path, FIGURE, formats):
                draw_run(result, file)


def _describe(task: Task, process: Process | optax.GradientTransformation) -> dict[str, Any]:
    """The record of a task that no spec made, without the addresses of functions, which differ between processes."""
    kind = "process" if isinstance(process, Process) else "optimizer"
    texts = {"problem": repr(task), kind: repr(process)}
    # rates and temperatures, which repr shows as arrays without their values
    leaves = jax.tree.leaves(eqx.filter((task, process), eqx.is_inexact_array))
    scalars = [float(leaf) for leaf in leaves if leaf.ndim == 0]
    return {name: re.sub(r" at 0x[0-9a-f]+", "", text) for name, text in texts.items()} | {"scalars": scalars}
