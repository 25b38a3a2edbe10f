"""What every task promises, as a function that you run on one of your own."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .task import Task


def check_task(task: Task, *, key: PRNGKeyArray, has_loss: bool = True) -> None:
    """Raises AssertionError with a sentence unless `task` can be trained.

    The start depends on the key alone; the gradient looks like the parameters and is that of the value; evaluation
    gives scalars; metrics act on vectors like the parameters.

    Args:
        task: the problem. key: for the start, the batch and a random direction.
        has_loss: the gradient is that of the value; False for estimators that have a gradient and no single loss.
    """
    start_key, data_key, step_key, direction_key = jax.random.split(key, 4)
    params = task.init(start_key)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), params, task.init(start_key))
    assert jax.tree.all(same), "init gave two starts for one key"
    batches = task.batches(data_key)
    batch = None if batches is None else next(batches)
    value, grads = task.value_and_grad(params, batch, step_key)
    assert jnp.shape(value) == (), f"the value must be a scalar; its shape is {jnp.shape(value)}"
    shapes = [jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), tree) for tree in (params, grads)]
    assert shapes[0] == shapes[1], "the gradient does not look like the parameters"
    if has_loss:
        leaves, treedef = jax.tree.flatten(params)
        keys = jax.random.split(direction_key, len(leaves))
        moves = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
        eps = float(jnp.finfo(jnp.result_type(*leaves)).eps)
        size = eps ** (1 / 3)

        def at(distance: float) -> float:
            moved = [x + distance * move for x, move in zip(leaves, moves, strict=True)]
            return float(task.value_and_grad(jax.tree.unflatten(treedef, moved), batch, step_key)[0])

        slope = sum(float(jnp.vdot(g, move)) for g, move in zip(jax.tree.leaves(grads), moves, strict=True))
        difference = (at(size) - at(-size)) / (2 * size)
        close = 1e3 * eps ** (2 / 3) * (1 + abs(slope) + abs(float(value)))
        assert abs(slope - difference) < close, f"the gradient gives a slope of {slope}, differences give {difference}"
    for name, scalar in task.evaluate(params).items():
        assert jnp.shape(scalar) == (), f"evaluate must give scalars, but '{name}' has the shape {jnp.shape(scalar)}"
    for name, metric in task.metrics.items():
        structure = jax.tree.map(jnp.shape, metric.at(params, batch, key=step_key).in_structure())
        assert structure == jax.tree.map(jnp.shape, params), (
            f"metric '{name}' acts on other vectors than the parameters"
        )
