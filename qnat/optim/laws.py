"""What every optimiser promises, and mirror descent of every family, as functions that you run on your own."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.geometry import Dual
from qnat.geometry.families import AbstractExponentialFamily

from .mirror import mirror_descent


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


@eqx.filter_jit
def _learned(
    family: AbstractExponentialFamily,
    theta: PyTree[Array],
    start: PyTree[Array],
    keys: PRNGKeyArray,
    steps: int,
) -> dict[str, tuple[Float[Array, " P"], Float[Array, " P"]]]:
    """Where mirror descent of unit rate arrives in either chart, and where it should; both as mean parameters."""
    xs = jax.vmap(lambda key: family.sample(theta, key=key))(keys)
    moments = jax.tree.map(lambda t: jnp.mean(t, axis=0), jax.vmap(family.statistic)(xs))
    target = family.to_primal(moments)

    def likelihood(at: PyTree[Array]) -> Array:
        return -jnp.mean(jax.vmap(lambda x: family.log_prob(at, x))(xs))

    def variational(at: PyTree[Array]) -> Array:
        return family.kl(family.to_primal(at), target)

    def descend(loss: Callable[[PyTree[Array]], Array], mirror: Any, at: PyTree[Array], count: int) -> PyTree[Array]:
        transform = mirror_descent(1.0, mirror, accept=None)

        def step(_: Array, at: PyTree[Array]) -> PyTree[Array]:
            change, _ = transform.update(jax.grad(loss)(at), transform.init(at), at)
            return optax.apply_updates(at, change)

        return jax.lax.fori_loop(0, count, step, at)

    learned = family.to_dual(descend(likelihood, family, start, 1))
    inferred = descend(variational, Dual(family), family.to_dual(start), steps)
    flat = [ravel_pytree(tree)[0] for tree in (learned, inferred, moments)]
    return {"maximum likelihood": (flat[0], flat[2]), "variational inference": (flat[1], flat[2])}


def check_mirror_steps(
    family: AbstractExponentialFamily,
    theta: PyTree[Array],
    start: PyTree[Array],
    *,
    key: PRNGKeyArray,
    draws: int = 4000,
    steps: int = 1,
) -> None:
    """Raises AssertionError unless mirror descent of unit rate solves the two problems of a family that it should.

    With `mirror=family` one step on −log p of data lands on their moments. With `mirror=Dual(family)` one on KL(q‖p) of
    a conjugate p lands on p, if `family.retract` is a sum; if not, `steps` do.

    Args:
        family: the family. theta: what data are drawn from, `draws` of them by `key`. start: where to start.
        steps: of variational inference.
    """
    for name, (found, wanted) in _learned(family, theta, start, jax.random.split(key, draws), steps).items():
        gap = float(np.max(np.abs(found - wanted)) / np.max(np.abs(wanted)))
        eps = float(jnp.finfo(found.dtype).eps)
        assert gap <= eps**0.5, f"{name}: a step of mirror descent must arrive; it is off by {gap:.3g}, relatively"
