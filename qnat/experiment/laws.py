"""What every task promises, as a function that you run on one of your own."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .loop.artifacts import labelled
from .task import Task

# named streams of the key
_START, _DATA, _STEP, _DIRECTION = range(4)


def check_task(task: Task, *, key: PRNGKeyArray, has_loss: bool = True) -> None:
    """Raises AssertionError with a sentence unless `task` can be trained.

    The start depends on the key alone; the gradient looks like the parameters and is that of the value; evaluation
    gives scalars; labels fit the artifacts; metrics act on vectors like the parameters; `linearise` gives what
    `value_and_grad` and the first metric give. A task that JAX can trace is asked in one program.

    Args:
        task: the problem. key: for the start, the batch and a random direction.
        has_loss: the gradient is that of the value; False for estimators that have a gradient and no single loss.
    """
    batches = task.batches(jax.random.fold_in(key, _DATA))
    batch = None if batches is None else next(batches)
    facts = (eqx.filter_jit(_facts) if task.traceable else _facts)(task, batch, key, has_loss)
    found = {name: float(fact) for name, fact in facts.items()}
    assert found["same"], "init gave two starts for one key"
    if has_loss:
        slope, difference = found["slope"], found["difference"]
        close = 1e3 * found["eps"] ** (2 / 3) * (1 + abs(slope) + abs(found["value"]))
        assert abs(slope - difference) < close, f"the gradient gives a slope of {slope}, differences give {difference}"
    if "sweep" in found:
        assert found["sweep"] < 1e3 * found["eps"], (
            f"linearise differs from value_and_grad and the first metric by {found['sweep']} of their size"
        )


def _facts(task: Task, batch: Any, key: PRNGKeyArray, has_loss: bool) -> dict[str, Array]:
    """What the law compares; shapes are judged here, where they are known."""
    start_key, step_key, direction_key = (jax.random.fold_in(key, stream) for stream in (_START, _STEP, _DIRECTION))
    params, again = task.init(start_key), task.init(start_key)
    for name, scalar in task.evaluate(params).items():
        assert jnp.shape(scalar) == (), f"evaluate must give scalars, but '{name}' has the shape {jnp.shape(scalar)}"
    try:
        labelled(task.artifacts(params))
    except ValueError as error:
        raise AssertionError(str(error)) from None
    for name, metric in task.metrics.items():
        operator = eqx.filter_eval_shape(lambda metric=metric: metric.at(params, batch, key=step_key))
        assert jax.tree.map(jnp.shape, operator.in_structure()) == jax.tree.map(jnp.shape, params), (
            f"metric '{name}' acts on other vectors than the parameters"
        )
    leaves, treedef = jax.tree.flatten(params)
    eps = float(jnp.finfo(jnp.result_type(*leaves)).eps)
    keys = jax.random.split(direction_key, len(leaves))
    moves = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]

    def at(distance: Float[Array, ""]) -> tuple[Array, Array]:
        """The value some way from the start, and the slope along that way."""
        moved = [x + distance.astype(x.dtype) * move for x, move in zip(leaves, moves, strict=True)]
        value, grads = task.value_and_grad(jax.tree.unflatten(treedef, moved), batch, step_key)
        assert jnp.shape(value) == (), f"the value must be a scalar; its shape is {jnp.shape(value)}"
        shapes = [jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), tree) for tree in (params, grads)]
        assert shapes[0] == shapes[1], "the gradient does not look like the parameters"
        slopes = [jnp.vdot(g, move) for g, move in zip(jax.tree.leaves(grads), moves, strict=True)]
        return jnp.asarray(value), jnp.sum(jnp.stack(slopes))

    size = eps ** (1 / 3)
    ways = jnp.array([0.0, size, -size] if has_loss else [0.0])
    values, slopes = jax.lax.map(at, ways) if task.traceable else map(jnp.stack, zip(*map(at, ways), strict=True))
    same = jnp.stack([jnp.all(a == b) for a, b in zip(leaves, jax.tree.leaves(again), strict=True)]).all()
    facts = {"same": same, "value": values[0], "eps": jnp.asarray(eps), "slope": slopes[0]}
    if task.metrics:
        facts["sweep"] = _sweep(task, params, batch, step_key, jax.tree.unflatten(treedef, moves))
    return facts | ({"difference": (values[1] - values[2]) / (2 * size)} if has_loss else {})


def _sweep(task: Task, params: PyTree[Array], batch: Any, key: PRNGKeyArray, move: PyTree[Array]) -> Float[Array, ""]:
    """How far value, gradient and metric of `linearise` are from those of the two doors, relative to their size."""
    one, two = task.linearise(params, batch, key), Task.linearise(task, params, batch, key)
    found, wanted = (jax.tree.leaves((at.value, at.gradient, at.metric.mv(move))) for at in (one, two))
    pairs = zip(found, wanted, strict=True)
    errors = [jnp.max(jnp.abs(a - b), initial=0) / (1 + jnp.max(jnp.abs(b), initial=0)) for a, b in pairs]
    return jnp.max(jnp.stack(errors))
