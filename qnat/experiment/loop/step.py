"""The traced part of the loop: one step, and a chunk of steps as one compiled program.

The program takes the number of steps as an input, so one executable serves every chunk length, and a result does not
depend on where the chunks end: noise is a fold of the absolute step into the seed's key, and schedules count steps.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from qnat.inference.process import Process

from ..task import Task
from .keep import Count, Keep

CAPACITY = 1024
"""Rows that the buffers of one chunk hold."""
_BYTES = 2**23
"""What the draws of one chunk may occupy, unless one draw a seed is larger."""

Numbers = Float[Array, "..."] | Float[np.ndarray, "..."]

# named streams of a seed's key
_INIT, _STEPS, _DATA, _PROCESS = range(4)


class State(NamedTuple):
    """What a step carries; in the loop every leaf has a leading axis over seeds."""

    inner: PyTree[Array]
    key: PRNGKeyArray


class Record(NamedTuple):
    """What a step reports: the value and the evaluated scalars before it, what it says of itself after it."""

    loss: Numbers
    evaluated: Mapping[str, Numbers]
    diagnostics: Mapping[str, Numbers]


def seed_keys(seed: int, seeds: int) -> PRNGKeyArray:
    """Keys of the seeds seed, seed + 1, ...: run k of many is the run of seed + k alone."""
    return jax.vmap(jax.random.key)(jnp.arange(seed, seed + seeds))


def _strong(tree: PyTree[Array]) -> PyTree[Array]:
    """Arrays without weak types, which a loop carry may not change."""

    def strong(leaf: Any) -> Array:
        leaf = jnp.asarray(leaf)
        return leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else jnp.asarray(leaf, dtype=leaf.dtype)

    return jax.tree.map(strong, tree)


def first_params(task: Task, key: PRNGKeyArray) -> PyTree[Array]:
    """Where the task has the seed of that key start."""
    return task.init(jax.random.fold_in(key, _INIT))


def start_one(task: Task, process: Process, key: PRNGKeyArray, initial: PyTree[Array] | None) -> State:
    """The state of one seed before its first step."""
    params = _strong(first_params(task, key) if initial is None else initial)
    inner = process.init(params, key=jax.random.fold_in(key, _PROCESS))
    return State(_strong(inner), jax.random.fold_in(key, _STEPS))


@eqx.filter_jit
def start(task: Task, process: Process, keys: PRNGKeyArray, initial: PyTree[Array] | None) -> State:
    """The states of all seeds before their first step."""
    return jax.lax.map(lambda each: start_one(task, process, *each), (keys, initial))


def _choose(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """`lax.cond`, or a plain branch where the step runs in Python."""
    if isinstance(condition, bool):
        return then() if condition else otherwise()
    return jax.lax.cond(condition, then, otherwise)


def _scalars(where: str, values: Mapping[str, Any]) -> dict[str, Array]:
    """Curves as floating-point scalars."""
    for name, value in values.items():
        if jnp.shape(value) != ():
            raise ValueError(f"{where} must be scalars, but '{name}' has the shape {jnp.shape(value)}.")
    return {name: jnp.asarray(value).astype(float) for name, value in values.items()}


def step(
    task: Task, process: Process, state: State, index: Count, every: Count, last: Count, batch: Any = None
) -> tuple[State, Record]:
    """Row `index` of the record, and the step to the next one, which is not taken after row `last`."""
    inner, info = process.step(state.inner, batch, key=jax.random.fold_in(state.key, index))

    def evaluate() -> dict[str, Array]:
        return _scalars(f"{task.name}.evaluate", task.evaluate(process.params(state.inner)))

    def skip() -> dict[str, Array]:
        if isinstance(index, int):
            return {}
        return jax.tree.map(lambda s: jnp.full(s.shape, jnp.nan, s.dtype), eqx.filter_eval_shape(evaluate))

    evaluated = _choose((index % every == 0) | (index == last), evaluate, skip)
    inner = _choose(index < last, lambda: _strong(inner), lambda: state.inner)
    loss = _scalars("the loss", {"loss": info.value})["loss"]
    return State(inner, state.key), Record(loss, evaluated, _scalars("diagnostics", info.scalars))


def rows_of(keep: Keep | None, params: PyTree[Any], seeds: int) -> int:
    """Rows that the buffers of a chunk hold, so that its draws do not fill the memory; `params` of one seed."""
    if keep is None:
        return CAPACITY
    size = seeds * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
    return max(1, min(CAPACITY, _BYTES // max(size, 1) * keep.every))


@eqx.filter_jit
def advance(
    task: Task,
    process: Process,
    keep: Keep | None,
    states: State,
    first: Int[Array, ""],
    count: Int[Array, ""],
    every: Int[Array, ""],
    last: Int[Array, ""],
    batches: PyTree[Array] = None,
    *,
    capacity: int = CAPACITY,
) -> tuple[State, Record, PyTree[Array]]:
    """Rows first .. first + count − 1 of every seed; count = 0 compiles.

    Args:
        task, process, keep, states: what is run. first, count, every, last: as in `step`.
        batches: (seeds, rows, ...), at least `count` rows; None for a task without data.
        capacity: rows of the buffers.

    Returns:
        the states after those rows; their records, of shape (seeds, capacity) with NaN beyond `count`; and the draws,
        of shape (seeds, ...), those of these rows first, or None.
    """
    slots = 0 if keep is None else capacity // keep.every + 1

    def one_seed(state: State, batches: PyTree[Array]) -> tuple[State, Record, PyTree[Array]]:
        def one(state: State, i: Int[Array, ""]) -> tuple[State, Record]:
            batch = jax.tree.map(lambda leaf: leaf[i], batches)
            return step(task, process, state, first + i, every, last, batch)

        def kept(draws: PyTree[Array], state: State, i: Int[Array, ""]) -> PyTree[Array]:
            if keep is None:
                return None
            after = first + i + 1
            wanted: Bool[Array, ""] = keep.due(after) & (after <= last)
            # what is not due is written past the end, and dropped
            place = jnp.where(wanted, keep.before(after) - keep.before(first) - 1, slots)
            return jax.tree.map(lambda d, p: d.at[place].set(p, mode="drop"), draws, process.params(state.inner))

        row = jax.eval_shape(one, state, count)[1]
        rows = jax.tree.map(lambda s: jnp.full(capacity, jnp.nan, s.dtype), row)
        shapes = None if keep is None else process.params(state.inner)
        draws = jax.tree.map(lambda p: jnp.zeros((slots, *p.shape), p.dtype), shapes)

        def body(i: Int[Array, ""], carry: tuple[State, Record, Any]) -> tuple[State, Record, Any]:
            state, row = one(carry[0], i)
            rows = jax.tree.map(lambda buffer, new: buffer.at[i].set(new), carry[1], row)
            return state, rows, kept(carry[2], state, i)

        return jax.lax.fori_loop(0, count, body, (state, rows, draws))

    return jax.lax.map(lambda each: one_seed(*each), (states, batches))


def data_streams(task: Task, keys: PRNGKeyArray, first: int) -> list[Iterator[Any]] | None:
    """The batches of every seed from step `first` on; None if the task has none."""
    streams = (task.batches(jax.random.fold_in(key, _DATA), first) for key in keys)
    return [stream for stream in streams if stream is not None] or None
