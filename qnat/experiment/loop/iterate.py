"""The training loop, the only one in the repository."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree
from threadpoolctl import threadpool_limits

from ..errors import NonFiniteError
from ..stopwatch import PARTS, timed
from ..store.checkpoint import unpack
from ..store.folder import Memory
from ..store.result import Run, final_values
from ..task import Reference, Task
from . import step as traced
from .artifacts import final_artifacts
from .curves import Curves
from .feed import Feed
from .pace import Pace
from .progress import Interrupt, Silence, display
from .step import Record, State

CHECKPOINT_SECONDS = 1.0
"""A checkpoint is made at most this often."""


Supply = Feed | list[Iterator[Any]] | None
"""The data of a run: stacked for compiled chunks, or a stream a seed, or none."""


class Job(NamedTuple):
    """What is to be run, as `qnat.experiment.run` explains."""

    task: Task
    optimizer: optax.GradientTransformation
    steps: int
    seed: int
    seeds: int
    every: int
    initial: PyTree[Array] | None
    ladder: str | None


def train(job: Job, record: dict[str, Any], place: Memory, progress: bool | None) -> Run:
    """Runs a job to its end and stores what came out of it; its errors are those of `qnat.experiment.run`.

    Args:
        job: what is run. record: the resolved spec. place: where it goes. progress: show a bar; None asks the terminal.
    """
    curves = Curves(job.seeds, job.steps, job.every)
    spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    with timed("compile", spent):
        state, first, before = _begin(job, place, curves)
        place.status("running")
        streams = traced.data_streams(job.task, traced.seed_keys(job.seed, job.seeds), first)
        feed = Feed(streams, traced.CAPACITY) if streams and job.task.traceable else streams
        if job.task.traceable:
            jax.block_until_ready(_advance(job, state, feed, first, 0))
        # asked for once, and here: what is compiled for it belongs to no step
        reference = {name: value._replace(value=float(value.value)) for name, value in job.task.reference.items()}
    for part in PARTS:
        spent[part] += before.get(part, 0.0)
    spent["train"] += before.get("loop", 0.0)  # what checkpoints called it before writing came apart
    # JAX's small factorisations run in OpenBLAS, whose threads wait by spinning: on a busy machine that costs tenfold.
    calm = threadpool_limits(limits=1, user_api="blas")
    with calm, Interrupt().held() as interrupt, display(job.task.name, first, job.steps, progress) as bar:
        state = _loop(job, record, place, curves, state, feed, first, spent, interrupt, bar, reference.get("loss"))
    result = _result(job, record, place, curves, state, spent, reference)
    place.keep(result)
    return result


def _begin(job: Job, place: Memory, curves: Curves) -> tuple[State, int, dict[str, float]]:
    """(state, next row, seconds so far), from the last checkpoint or from the start, which becomes the first one."""
    keys = traced.seed_keys(job.seed, job.seeds)
    arguments = (job.task, job.optimizer, keys, job.initial)
    found = place.restore()
    if found is not None:
        skeleton = eqx.filter_eval_shape(traced.start, *arguments) if job.task.traceable else _start(*arguments)
        curves.add_rows(place.rows())
        return unpack(skeleton, found.leaves), found.meta["step"], dict(found.meta["seconds"])
    state = traced.start(*arguments) if job.task.traceable else _start(*arguments)
    place.save(state, 0, {})
    return state, 0, {}


def _start(task: Task, optimizer: optax.GradientTransformation, keys: Array, initial: PyTree[Array] | None) -> State:
    """`step.start` for a task that JAX cannot trace."""
    states = [traced.start_one(task, optimizer, key, _pick(initial, seed)) for seed, key in enumerate(keys)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def _pick(tree: PyTree[Array], seed: int) -> PyTree[Array]:
    return jax.tree.map(lambda leaf: leaf[seed], tree)


def _advance(job: Job, state: State, feed: Supply, first: int, count: int) -> tuple[State, Record]:
    if not job.task.traceable:
        assert not isinstance(feed, Feed)
        return traced.advance_in_python(job.task, job.optimizer, state, feed, first, count, job.every, job.steps)
    begin, length, every, last = (jnp.asarray(n) for n in (first, count, job.every, job.steps))
    batches = feed.take(count) if isinstance(feed, Feed) else None
    return traced.advance(job.task, job.optimizer, state, begin, length, every, last, batches)


def _loop(
    job: Job,
    record: dict[str, Any],
    place: Memory,
    curves: Curves,
    state: State,
    feed: Supply,
    first: int,
    spent: dict[str, float],
    interrupt: Interrupt,
    bar: Silence,
    exact: Reference | None,
) -> State:
    """Chunk after chunk until row `steps` is recorded; returns the final state."""
    saved = time.perf_counter()
    pace = Pace(job.every, feed.rows if isinstance(feed, Feed) else traced.CAPACITY)
    while first <= job.steps:
        count = pace.length(first, job.steps + 1 - first)
        chunk_began = time.perf_counter()
        with timed("train", spent):
            after, rows = jax.block_until_ready(_advance(job, state, feed, first, count))
        pace.measured(count, time.perf_counter() - chunk_began)
        curves.add(first, count, rows)
        if (bad := curves.first_non_finite(first, count)) is not None:
            place.save(state, first, spent)
            error = _non_finite(job, record, curves, *bad)
            place.status("failed", message=str(error))
            raise error
        state = after
        ends = first + count > job.steps
        with timed("write", spent):
            place.append(curves.rows(first, count - ends))
            if ends or interrupt.asked or time.perf_counter() - saved >= CHECKPOINT_SECONDS:
                place.save(state, first + count - ends, spent)
                saved = time.perf_counter()
            if ends:  # after the checkpoint: a run that is continued with more steps writes this row anew
                place.append(curves.rows(job.steps, 1))
        if interrupt.asked and not ends:
            raise KeyboardInterrupt(f"Stopped at step {first + count} of {job.steps}.")
        first += count
        bar.update(min(first, job.steps), curves.latest("loss", first - 1), _gap(job.task, exact, curves, first - 1))
    return state


def _gap(task: Task, exact: Reference | None, curves: Curves, step: int) -> float | None:
    """How far from the goal: the first exact measure that is recorded, or how far the loss is above its exact value."""
    found = (curves.latest(measure.name, step) for measure in task.measures if measure.exact)
    known, loss = next((value for value in found if value is not None), None), curves.latest("loss", step)
    return loss - float(exact.value) if known is None and loss is not None and exact is not None else known


def _non_finite(job: Job, record: dict[str, Any], curves: Curves, step: int, seed: int) -> NonFiniteError:
    where = f"step {step}" + (f" of seed {job.seed + seed}" if job.seeds > 1 else "")
    damping = curves.latest("damping", max(step - 1, 0))
    known = [f"{name} {record[name]}" for name in ("metric", "learning_rate") if record.get(name) is not None]
    known += [] if damping is None else [f"damping {damping:.3g}"]
    value = curves.arrays["loss"][seed, step]
    advice = "a smaller learning rate, more damping, or another seed" if step else "another seed or a milder problem"
    said = f" ({', '.join(known)})" if known else ""
    return NonFiniteError(f"The loss is {value} at {where}{said}; try {advice}.")


def _result(
    job: Job,
    record: dict[str, Any],
    place: Memory,
    curves: Curves,
    state: State,
    spent: dict[str, float],
    reference: dict[str, Reference],
) -> Run:
    with timed("compile", spent):
        artifacts, labels = final_artifacts(job.task, state.params)
    params = state.params
    if job.seeds == 1:
        params, artifacts = _pick((params, artifacts), 0)
    measured = {name: curves.arrays[name] for name in ("loss", *curves.evaluated)}
    return Run(
        path=place.path,
        spec=record,
        curves=curves.arrays,
        params=params,
        artifacts={name: np.asarray(array) for name, array in artifacts.items()},
        labels=labels,
        final=final_values(measured),
        reference={name: value._asdict() for name, value in reference.items()},
        status="finished",
        steps=job.steps,
        spent=spent,
        ladder=job.ladder,
        measures=job.task.measures,
        panels=job.task.panels,
        costs=job.task.costs,
    )
