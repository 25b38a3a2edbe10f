"""What every process promises, as a function that you run on one of your own."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from .process import Process


def check_process(process: Process, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray) -> None:
    """Raises AssertionError with a sentence unless `process` can be run, stored and continued.

    The state is a pytree of arrays, which a step leaves in its structure, shapes and dtypes; a step is a function of
    state, batch and key alone; its value and scalars are scalars, of the same names every time; and the parameters of a
    state look like those that it was made from. A process that JAX can trace is asked in one program.

    Args:
        process: what iterates. params: where it starts. batch: what a step is given. key: for the start and the steps.
    """
    looks: dict[str, PyTree] = {}

    def twice(params: PyTree[Array], batch: Any, key: PRNGKeyArray) -> Array:
        start_key, step_key = jax.random.split(key)
        start = process.init(params, key=start_key)
        after, info = process.step(start, batch, key=step_key)
        again, repeated = process.step(start, batch, key=step_key)
        _, following = process.step(after, batch, key=jax.random.fold_in(step_key, 1))
        looks["before"], looks["after"] = _look(start), _look(after)
        looks["given"], looks["params"] = _look(params), _look(process.params(after))
        looks["said"], looks["later"] = _look((info.value, info.scalars)), _look((following.value, following.scalars))
        looks["shapes"] = [jnp.shape(leaf) for leaf in jax.tree.leaves(info)]
        pairs = zip(jax.tree.leaves((after, info)), jax.tree.leaves((again, repeated)), strict=True)
        same = [jnp.array_equal(_data(a), _data(b), equal_nan=True) for a, b in pairs]
        return jnp.stack(same).all()

    same = (jax.jit(twice) if process.traceable else twice)(params, batch, key)
    assert looks["before"] == looks["after"], f"a step made of the state {looks['before']} one like {looks['after']}"
    assert looks["given"] == looks["params"], f"the parameters look like {looks['params']}, not like {looks['given']}"
    assert looks["said"] == looks["later"], f"a step says {looks['said']}, and the next one {looks['later']}"
    assert not any(looks["shapes"]), f"what a step says must be scalars; the shapes are {looks['shapes']}"
    assert bool(same), "two steps from one state, with one batch and one key, differ"


def _data(leaf: Any) -> Array:
    """A leaf as numbers, a typed key as its data."""
    leaf = jnp.asarray(leaf)
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _look(tree: PyTree[Any]) -> PyTree[Any]:
    """Structure, shapes and dtypes."""
    return jax.tree.map(lambda leaf: (jnp.shape(leaf), str(jnp.asarray(leaf).dtype)), tree)
