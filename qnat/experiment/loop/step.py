"""The traced part of the training loop: one step, and a chunk of steps as one compiled program.

The program takes the number of steps as an input, so one executable serves every chunk length, and a result does not
depend on where the chunks end: noise is a fold of the absolute step into the seed's key, and schedules count steps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from ..task import Task

CAPACITY = 1024
"""Rows that the buffers of one chunk hold."""

Numbers = Float[Array, "..."] | Float[np.ndarray, "..."]

# named streams of a seed's key
_INIT, _STEPS, _DATA = range(3)


class State(NamedTuple):
    """What a step carries; in the loop every leaf has a leading axis over seeds."""

    params: PyTree[Array]
    opt_state: PyTree[Array]
    key: PRNGKeyArray


class Record(NamedTuple):
    """What a step reports: the loss and the evaluated scalars before its update, the diagnostics after it."""

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


def start_one(
    task: Task, optimizer: optax.GradientTransformation, key: PRNGKeyArray, initial: PyTree[Array] | None
) -> State:
    """The state of one seed before its first step."""
    params = _strong(task.init(jax.random.fold_in(key, _INIT)) if initial is None else initial)
    return State(params, _strong(optimizer.init(params)), jax.random.fold_in(key, _STEPS))


@eqx.filter_jit
def start(
    task: Task, optimizer: optax.GradientTransformation, keys: PRNGKeyArray, initial: PyTree[Array] | None
) -> State:
    """The states of all seeds before their first step."""
    return jax.lax.map(lambda each: start_one(task, optimizer, *each), (keys, initial))


def _choose(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """`lax.cond`, or a plain branch where the step runs in Python."""
    if isinstance(condition, bool):
        return then() if condition else otherwise()
    return jax.lax.cond(condition, then, otherwise)


def _scalars(where: str, values: dict[str, Any]) -> dict[str, Array]:
    """Curves as floating-point scalars."""
    for name, value in values.items():
        if jnp.shape(value) != ():
            raise ValueError(f"{where} must be scalars, but '{name}' has the shape {jnp.shape(value)}.")
    return {name: jnp.asarray(value).astype(float) for name, value in values.items()}


def _diagnostics(opt_state: PyTree[Array]) -> dict[str, Array]:
    """The fields of every `diagnostics` in an optimiser's state; a name met again gets a number."""
    found: dict[str, Array] = {}
    for count, (_, diagnostics) in enumerate(optax.tree_utils.tree_get_all_with_path(opt_state, "diagnostics")):
        for name, value in diagnostics._asdict().items():
            found[f"{name}_{count}" if name in found else name] = value
    return _scalars("diagnostics", found)


def step(
    task: Task,
    optimizer: optax.GradientTransformation,
    state: State,
    index: int | Int[Array, ""],
    every: int | Int[Array, ""],
    last: int | Int[Array, ""],
    batch: Any = None,
) -> tuple[State, Record]:
    """Row `index` of the record, then the update that leads to the next one; there is none after row `last`."""
    params, opt_state, run_key = state
    key = jax.random.fold_in(run_key, index)
    value, grads = task.value_and_grad(params, batch, key)

    def evaluate() -> dict[str, Array]:
        return _scalars(f"{task.name}.evaluate", task.evaluate(params))

    def skip() -> dict[str, Array]:
        if not task.traceable:
            return {}
        return jax.tree.map(lambda s: jnp.full(s.shape, jnp.nan, s.dtype), eqx.filter_eval_shape(evaluate))

    def update() -> State:
        updates, new = optax.with_extra_args_support(optimizer).update(
            grads,
            opt_state,
            params,
            value=value,
            grad=grads,
            value_fn=lambda trial: task.value_and_grad(trial, batch, key)[0],
            batch=batch,
            key=key,
        )
        return State(optax.apply_updates(params, updates), new, run_key)

    evaluated = _choose((index % every == 0) | (index == last), evaluate, skip)
    state = _choose(index < last, update, lambda: state)
    return state, Record(_scalars("the loss", {"loss": value})["loss"], evaluated, _diagnostics(state.opt_state))


@eqx.filter_jit
def advance(
    task: Task,
    optimizer: optax.GradientTransformation,
    states: State,
    first: Int[Array, ""],
    count: Int[Array, ""],
    every: Int[Array, ""],
    last: Int[Array, ""],
    batches: PyTree[Array] = None,
) -> tuple[State, Record]:
    """Rows first .. first + count − 1 of every seed; count = 0 compiles.

    Args:
        task, optimizer, states: what is run. first, count, every, last: as in `step`.
        batches: (seeds, rows, ...), at least `count` rows; None for a task without data.

    Returns:
        the states after those rows, and their records, of shape (seeds, CAPACITY) with NaN beyond `count`.
    """

    def one_seed(state: State, batches: PyTree[Array]) -> tuple[State, Record]:
        def one(state: State, i: Int[Array, ""]) -> tuple[State, Record]:
            batch = jax.tree.map(lambda leaf: leaf[i], batches)
            return step(task, optimizer, state, first + i, every, last, batch)

        row = jax.eval_shape(one, state, count)[1]
        rows = jax.tree.map(lambda s: jnp.full(CAPACITY, jnp.nan, s.dtype), row)

        def body(i: Int[Array, ""], carry: tuple[State, Record]) -> tuple[State, Record]:
            state, row = one(carry[0], i)
            return state, jax.tree.map(lambda buffer, new: buffer.at[i].set(new), carry[1], row)

        return jax.lax.fori_loop(0, count, body, (state, rows))

    return jax.lax.map(lambda each: one_seed(*each), (states, batches))


def advance_in_python(
    task: Task,
    optimizer: optax.GradientTransformation,
    states: State,
    batches: list[Iterator[Any]] | None,
    first: int,
    count: int,
    every: int,
    last: int,
) -> tuple[State, Record]:
    """`advance` for tasks that JAX cannot trace: one call of Python a step."""
    seeds = states.key.shape[0]
    after, records = [], []
    for seed in range(seeds):
        state = jax.tree.map(lambda leaf, seed=seed: leaf[seed], states)
        for index in range(first, first + count):
            batch = next(batches[seed]) if batches else None
            state, record = step(task, optimizer, state, index, every, last, batch)
            records.append(record)
        after.append(state)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *after), _stacked(records, seeds)


def _stacked(records: list[Record], seeds: int) -> Record:
    """(seeds, count) arrays from records in order of seed, then step; NaN where a record lacks a name."""

    def column(rows: Sequence[Mapping[str, Numbers]]) -> dict[str, np.ndarray]:
        names = dict.fromkeys(name for row in rows for name in row)
        return {n: np.array([float(row.get(n, np.nan)) for row in rows]).reshape(seeds, -1) for n in names}

    loss = column([{"loss": record.loss} for record in records])["loss"]
    return Record(loss, column([r.evaluated for r in records]), column([r.diagnostics for r in records]))


def data_streams(task: Task, keys: PRNGKeyArray, first: int) -> list[Iterator[Any]] | None:
    """The batches of every seed from step `first` on; None if the task has none."""
    streams = []
    for key in keys:
        stream = task.batches(jax.random.fold_in(key, _DATA))
        if stream is None:
            return None
        for _ in range(first):
            next(stream)
        streams.append(stream)
    return streams
