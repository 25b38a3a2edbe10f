"""Chunks of steps that JAX cannot trace."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from qnat.inference.process import Process

from ..task import Task
from .keep import Keep
from .step import Numbers, Record, State, step


def advance_in_python(
    task: Task,
    process: Process,
    keep: Keep | None,
    states: State,
    batches: list[list[Any]] | None,
    first: int,
    count: int,
    every: int,
    last: int,
) -> tuple[State, Record, PyTree[Array]]:
    """`advance` for what JAX cannot trace: one call of Python a step."""
    after, records, draws = [], [], []
    for seed in range(states.key.shape[0]):
        state, own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], states), []
        for index in range(first, first + count):
            batch = batches[seed][index - first] if batches else None
            state, record = step(task, process, state, index, every, last, batch)
            records.append(record)
            if keep is not None and keep.due(index + 1) and index < last:
                own.append(process.params(state.inner))
        after.append(state)
        draws.append(own)
    return _stacked(after), _columns(records, len(after)), _stacked([_stacked(own) for own in draws]) if own else None


def _stacked(trees: Sequence[PyTree[Array]]) -> PyTree[Array]:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _columns(records: Sequence[Record], seeds: int) -> Record:
    """(seeds, count) arrays from records in order of seed, then step; NaN where a record lacks a name."""

    def column(rows: Sequence[Mapping[str, Numbers]]) -> dict[str, np.ndarray]:
        names = dict.fromkeys(name for row in rows for name in row)
        return {n: np.array([float(row.get(n, np.nan)) for row in rows]).reshape(seeds, -1) for n in names}

    loss = column([{"loss": record.loss} for record in records])["loss"]
    return Record(loss, column([r.evaluated for r in records]), column([r.diagnostics for r in records]))
