"""The loop, the only one in the repository: chunks of steps, and between them the record, the log and Ctrl-C."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree
from threadpoolctl import threadpool_limits

from qnat.inference.process import Process

from ..errors import NonFiniteError
from ..stopwatch import PARTS, timed
from ..store.checkpoint import unpack
from ..store.draws import from_bytes, to_bytes
from ..store.folder import Memory
from ..store.result import Result, final_values, units_of
from ..task import Reference, Task
from . import in_python
from . import step as traced
from .artifacts import final_artifacts
from .curves import Curves
from .feed import Feed
from .job import Job
from .pace import Pace
from .progress import Interrupt, Silence, display
from .step import Record, State

CHECKPOINT_SECONDS = 1.0
"""A checkpoint is made at most this often."""


class Work(NamedTuple):
    """A job in hand: the resolved spec, where it is stored, what was recorded, what it took, what is known."""

    job: Job
    record: dict[str, Any]
    place: Memory
    curves: Curves
    spent: dict[str, float]
    reference: dict[str, Reference]


def train(job: Job, record: dict[str, Any], place: Memory, progress: bool | None) -> Result:
    """Runs a job to its end and stores what came out of it; its errors are those of `qnat.experiment.run`.

    Args:
        job: what is run. record: the resolved spec. place: where it goes. progress: show a bar; None asks the terminal.
    """
    curves = Curves(job.seeds, job.steps, job.every)
    spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    with timed("compile", spent):
        state, first, before = _begin(job, place, curves)
        supply = _Supply(job, state, first)
        if job.traceable:
            jax.block_until_ready(_advance(job, state, supply.take(0), first, 0, supply.rows))
        # asked for once, and here: what is compiled for it belongs to no step
        reference = {name: value._replace(value=float(value.value)) for name, value in job.task.reference.items()}
    for part in PARTS:
        spent[part] += before.get(part, 0.0)
    spent["train"] += before.get("loop", 0.0)  # what checkpoints called it before writing came apart
    work = Work(job, record, place, curves, spent, reference)
    with _left_as_ctrl_c_does(place):
        job.audience.start(record, job.task, first)
    # JAX's small factorisations run in OpenBLAS, whose threads wait by spinning: on a busy machine that costs tenfold.
    calm = threadpool_limits(limits=1, user_api="blas")
    with calm, Interrupt().held() as interrupt, display(job.task.name, first, job.steps, progress) as bar:
        state, steps = _loop(work, supply, state, first, interrupt, bar)
    result = _result(work, state, steps)
    place.keep(result)
    return result


def _begin(job: Job, place: Memory, curves: Curves) -> tuple[State, int, dict[str, float]]:
    """(state, next row, seconds so far), from the last checkpoint or from the start, which becomes the first one."""
    keys = traced.seed_keys(job.seed, job.seeds)
    arguments = (job.task, job.process, keys, job.initial)
    found = place.restore()
    traceable = job.traceable and job.task.starts_traced
    if found is not None:
        skeleton = eqx.filter_eval_shape(traced.start, *arguments) if traceable else _start(*arguments)
        curves.add_rows(place.rows())
        state = unpack(skeleton, found.leaves)
        place.status("running")
        return state, found.meta["step"], dict(found.meta["seconds"])
    place.status("running")  # before anything else is written: the folder is now known as that of a run
    state = traced.start(*arguments) if traceable else _start(*arguments)
    place.save(state, 0, {})
    return state, 0, {}


def _start(task: Task, process: Process, keys: Array, initial: PyTree[Array] | None) -> State:
    """`step.start` for what JAX cannot trace."""
    states = [traced.start_one(task, process, key, _pick(initial, seed)) for seed, key in enumerate(keys)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def _pick(tree: PyTree[Array], seed: int) -> PyTree[Array]:
    return jax.tree.map(lambda leaf: leaf[seed], tree)


class _Supply:
    """The batches of a run: stacked for compiled chunks, or lists, or none.

    Attributes:
        rows: that a chunk holds at most.
    """

    def __init__(self, job: Job, state: State, first: int) -> None:
        params = jax.eval_shape(lambda: _pick(job.process.params(state.inner), 0)) if job.traceable else None
        self.rows = traced.rows_of(job.keep, params, job.seeds)
        streams = traced.data_streams(job.task, traced.seed_keys(job.seed, job.seeds), first)
        self._streams: list[Iterator[Any]] | None = streams
        self._feed = Feed(streams, self.rows) if streams and job.traceable else None
        if self._feed is not None:
            self.rows = self._feed.rows

    def take(self, count: int) -> Any:
        """The batches of the next steps."""
        if self._feed is not None:
            return self._feed.take(count)
        return None if self._streams is None else [[next(stream) for _ in range(count)] for stream in self._streams]


def _advance(
    job: Job, state: State, batches: Any, first: int, count: int, rows: int
) -> tuple[State, Record, PyTree[Array]]:
    """The next rows; the last one is row `job.steps`."""
    if not job.traceable:
        return in_python.advance_in_python(
            job.task, job.process, job.keep, state, batches, first, count, job.every, job.steps
        )
    begin, length, every, last = (jnp.asarray(n) for n in (first, count, job.every, job.steps))
    return traced.advance(job.task, job.process, job.keep, state, begin, length, every, last, batches, capacity=rows)


def _loop(
    work: Work, supply: _Supply, state: State, first: int, interrupt: Interrupt, bar: Silence
) -> tuple[State, int]:
    """Chunk after chunk until the last row is recorded; returns the final state and how many steps led to it."""
    job, place, curves, spent = work.job, work.place, work.curves, work.spent
    saved = time.perf_counter()
    pace = Pace(job.every, supply.rows)
    while first <= job.steps:
        count = pace.length(first, job.steps + 1 - first)
        batches = supply.take(count)
        chunk_began = time.perf_counter()
        with timed("train", spent):
            after, rows, draws = jax.block_until_ready(_advance(job, state, batches, first, count, supply.rows))
        pace.measured(count, time.perf_counter() - chunk_began)
        curves.add(first, count, rows)
        if job.until is not None and (end := curves.first_row(job.until, first, count)) is not None:
            # the run ends inside the chunk: once more, up to there, as the last steps of a shorter run
            job, count = job._replace(steps=end), end + 1 - first
            with timed("train", spent):
                after, rows, draws = jax.block_until_ready(_advance(job, state, batches, first, count, supply.rows))
            curves.cut(end)
            curves.add(first, count, rows)
        if (bad := curves.first_non_finite(first, count)) is not None:
            place.save(state, first, spent)
            error = _non_finite(work, *bad, functools.partial(_params_at, work.job, supply, state, batches, first))
            place.status("failed", message=str(error))
            raise error
        state = after
        ends = first + count > job.steps
        due = ends or interrupt.asked or time.perf_counter() - saved >= CHECKPOINT_SECONDS
        new = curves.rows(first, count - ends)
        with timed("write", spent):
            if job.keep is not None:
                place.append_draws(to_bytes(_known(job, draws, first, count)))
            place.append(new)
            if due:
                place.save(state, first + count - ends, spent)
                saved = time.perf_counter()
            if ends:  # after the checkpoint: a run that is continued with more steps writes this row anew
                place.append(final := curves.rows(job.steps, 1))
                new += final
        with _left_as_ctrl_c_does(place, *(() if due else (state, first + count, spent))):
            job.audience.tell(new)
        if interrupt.asked and not ends:
            raise KeyboardInterrupt(f"Stopped at step {first + count} of {job.steps}.")
        first += count
        bar.update(min(first, job.steps), curves.latest("loss", first - 1), _gap(work, first - 1))
    return state, job.steps


@contextlib.contextmanager
def _left_as_ctrl_c_does(place: Memory, *unsaved: Any) -> Iterator[None]:
    """Leaves a folder that can be resumed if a callback raises; `unsaved` is what `place.save` takes, if need be."""
    failed = True
    try:
        yield
        failed = False
    finally:
        if failed:
            if unsaved:
                place.save(*unsaved)
            place.status("interrupted")


def _known(job: Job, draws: PyTree[Array], first: int, count: int) -> PyTree[np.ndarray]:
    """The draws that a chunk made; its buffers are longer."""
    assert job.keep is not None
    made = job.keep.before(min(first + count, job.steps)) - job.keep.before(min(first, job.steps))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:, :made], draws)


def _gap(work: Work, step: int) -> float | None:
    """How far from the goal: the first exact measure that is recorded, or how far the loss is above its exact value."""
    curves, exact = work.curves, work.reference.get("loss")
    found = (curves.latest(measure.name, step) for measure in work.job.task.measures if measure.exact)
    known, loss = next((value for value in found if value is not None), None), curves.latest("loss", step)
    return loss - float(exact.value) if known is None and loss is not None and exact is not None else known


def _params_at(job: Job, supply: _Supply, state: State, batches: Any, first: int, step: int) -> PyTree[Array]:
    """The parameters at a step of the chunk that began with a state, all seeds: computed once more."""
    return job.process.params(_advance(job, state, batches, first, step - first, supply.rows)[0].inner)


def _non_finite(work: Work, step: int, seed: int, params: Callable[[int], PyTree[Array]]) -> NonFiniteError:
    job, curves, record = work.job, work.curves, work.record
    where = f"step {step}" + (f" of seed {job.seed + seed}" if job.seeds > 1 else "")
    damping = curves.latest("damping", max(step - 1, 0))
    known = [f"{name} {record[name]}" for name in ("metric", "learning_rate") if record.get(name) is not None]
    known += [] if damping is None else [f"damping {damping:.3g}"]
    value = curves.arrays["loss"][seed, step]
    if type(job.task).trouble is not Task.trouble and (told := job.task.trouble(_pick(params(step), seed))):
        return NonFiniteError(f"The loss is {value} at {where}. {told}")
    advice = "a smaller learning rate, more damping, or another seed" if step else "another seed or a milder problem"
    said = f" ({', '.join(known)})" if known else ""
    return NonFiniteError(f"The loss is {value} at {where}{said}; try {advice}.")


def _result(work: Work, state: State, steps: int) -> Result:
    job, curves = work.job, work.curves
    params = job.process.params(state.inner)
    with timed("compile", work.spent):
        artifacts, labels = final_artifacts(job.task, params)
    draws = None if job.keep is None else from_bytes(work.place.draws(), params)
    if job.seeds == 1:
        params, artifacts, draws = _pick((params, artifacts, draws), 0)
    measured = {name: curves.arrays[name] for name in ("loss", *curves.evaluated)}
    return Result(
        path=work.place.path,
        spec=work.record,
        curves=curves.arrays,
        params=params,
        draws=draws,
        artifacts={name: np.asarray(array) for name, array in artifacts.items()},
        labels=labels,
        final=final_values(measured),
        reference={name: value._asdict() for name, value in work.reference.items()},
        status="finished",
        steps=steps,
        spent=work.spent,
        ladder=job.ladder,
        measures=job.task.judges,
        panels=job.task.panels,
        costs=job.task.costs,
        units=units_of(job.task),
    )
