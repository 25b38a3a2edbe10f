"""What every optimiser promises, as a function that you run on one of your own."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree


def check_optimizer(
    optimizer: optax.GradientTransformationExtraArgs,
    value_fn: Callable[[PyTree[Array]], Float[Array, ""]],
    params: PyTree[Array],
    *,
    minimum: float,
    steps: int = 100,
    tolerance: float = 1e-3,
    extra: Callable[[PyTree[Array]], dict[str, Any]] | None = None,
) -> None:
    """Raises AssertionError unless `optimizer` is a good citizen of optax and minimises `value_fn`.

    The state keeps its structure, shapes and dtypes; updates look like the parameters; a jitted step is traced once;
    unknown extra arguments are accepted; a chain with clipping works, and a constant loss moves nothing.

    Args:
        optimizer: the transform, with learning rate included.
        value_fn: a smooth convex loss. params: where to start. minimum: its least value.
        steps: how many. tolerance: what must be left of the excess over the minimum, relative to the start.
        extra: further arguments of update, such as `operator=`, from the parameters.
    """
    chained = optax.chain(optimizer, optax.clip_by_global_norm(1e6))
    more = extra or (lambda _: {})
    traces = 0

    @eqx.filter_jit
    def step(params: PyTree[Array], state: Any, constant: Any) -> tuple[PyTree[Array], Any, PyTree[Array], Array]:
        nonlocal traces
        traces += 1
        here = value_fn(params)

        def loss(at: PyTree[Array]) -> Array:
            return jnp.where(constant, here, value_fn(at))

        value, grads = jax.value_and_grad(loss)(params)
        arguments = {"value": value, "grad": grads, "value_fn": loss, "something_unknown": 0} | more(params)
        # alone it must take the arguments too, which optax's chain keeps from a transform that does not
        jax.eval_shape(lambda: optimizer.update(grads, optimizer.init(params), params, **arguments))
        updates, state = chained.update(grads, state, params, **arguments)
        return optax.apply_updates(params, updates), state, updates, value

    start = eqx.filter_jit(chained.init)
    state, values = start(params), []
    shapes = jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), (state, params))
    for _ in range(steps):
        params, state, updates, value = step(params, state, np.False_)
        values.append(float(value))
        assert jax.tree.map(lambda x: (x.shape, x.dtype), updates) == shapes[1], (
            "updates do not look like the parameters"
        )
    assert jax.tree.map(lambda x: (x.shape, x.dtype), (state, params)) == shapes, "the state changed its shape or dtype"
    assert traces == 1, f"a jitted step was traced {traces} times; states and updates must keep their types"
    *_, still, last = step(params, start(params), np.True_)
    left, whole = float(last) - minimum, values[0] - minimum
    assert left <= tolerance * whole, f"{left / whole:.1e} of the excess is left after {steps} steps"
    largest = max(float(np.abs(x).max()) for x in jax.tree.leaves(still))
    assert largest <= 10 * jnp.finfo(jnp.result_type(*jax.tree.leaves(params))).eps, "a constant loss moves parameters"
