"""A run: trained, drawn, finished."""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from .loop.iterate import Job, train
from .stopwatch import timed
from .store.files import FIGURE, clear, locked, reported, standing
from .store.folder import Folder, Memory
from .store.result import Run, declarations
from .task import Task


def run(
    task: Task,
    optimizer: optax.GradientTransformation,
    *,
    steps: int,
    seed: int,
    seeds: int = 1,
    every: int = 1,
    out: str | pathlib.Path | None = None,
    resume: bool = False,
    force: bool = False,
    initial: PyTree[Array] | None = None,
    record: Mapping[str, Any] | None = None,
    citations: Sequence[str] = (),
    ladder: str | None = None,
    progress: bool | None = None,
) -> Run:
    """Trains, records, stores.

    The loss is recorded at steps 0, 1, ..., `steps`, before the update of that step; `task.evaluate` at multiples of
    `every` and at the end; the optimiser's diagnostics at every update. Steps run in compiled chunks of about half a
    second; the result does not depend on their length. Killed and resumed on the same machine, with the same versions
    and thread count, a run ends in the same bits.

    Args:
        task: the problem. optimizer: any optax transform.
        steps: number of updates; 0 evaluates the start.
        seed: of the first seed. seeds: how many seeds seed, seed + 1, ... are trained side by side.
        every: steps between evaluations.
        out: folder of the run; None keeps everything in memory.
        resume: continue the run in `out`, start it if there is none, return it if it has finished.
        force: replace the run in `out`.
        initial: parameters to start from, in the shape of `Run.params`; None asks `task.init`.
        record: what identifies the run, such as the words that made task and optimiser; None stores their repr.
        citations: keys of what the run cites. ladder: the name in the record along which such runs are ordered.
        progress: show a bar on standard error; None does if that is a terminal.

    Raises:
        RefusedError: before anything is written, see `qnat.experiment.store.files.standing`.
        NonFiniteError: the loss stopped being finite. StorageError: the folder could not be written.
        KeyboardInterrupt: Ctrl-C. After each of the last three the folder can be resumed.
    """
    for name, value, least in (("steps", steps, 0), ("seed", seed, 0), ("seeds", seeds, 1), ("every", every, 1)):
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}.")
    if seeds == 1 and initial is not None:
        initial = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], initial)
    job = Job(task, optimizer, steps, seed, seeds, every, initial, ladder)
    known = _describe(job) if record is None else dict(record)
    if out is None:
        if resume or force:
            raise ValueError("resume and force speak of a folder; give out=.")
        return train(job, known, Memory(), progress)
    path = pathlib.Path(out)
    standing(path, known, resume=resume, force=force)  # refuses before the folder is made
    with locked(path):
        found = standing(path, known, resume=resume, force=force)  # and again, now that nobody else writes
        if found == "finished":
            return Run.load(path)
        if found == "new":
            clear(path)
        folder = Folder(path, known, citations=citations, ladder=ladder, **declarations(task))
        try:
            result = train(job, known, folder, progress)
            _draw(result, path)
            folder.finish(result)
        except KeyboardInterrupt:
            folder.status("interrupted")
            raise
        finally:
            folder.close()
        return result


def _draw(result: Run, path: pathlib.Path) -> None:
    with reported(path), timed("draw", result.spent):
        from .show.figure import draw_run

        draw_run(result, path / FIGURE)


def _describe(job: Job) -> dict[str, Any]:
    """The record of a task that no spec made, without the addresses of functions, which differ between processes."""
    texts = {"task": job.task.name, "problem": repr(job.task), "optimizer": repr(job.optimizer)}
    numbers = {"steps": job.steps, "seed": job.seed, "seeds": job.seeds, "every": job.every}
    return {name: re.sub(r" at 0x[0-9a-f]+", "", text) for name, text in texts.items()} | numbers
