"""Tried steps: whether a trial value is good enough, by a non-monotone rule."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from .rate import Scalar

ValueFn = Callable[[PyTree[Array]], Scalar]

WINDOW = 5


def empty_window() -> Float[Array, " w"]:
    """A window of accepted values with nothing in it."""
    return jnp.full(WINDOW, -jnp.inf, dtype=float)


def push(window: Float[Array, " w"], value: Float[Array, ""]) -> Float[Array, " w"]:
    """The window with its oldest value replaced."""
    return jnp.append(window[1:], value.astype(window.dtype))


def only(value: Float[Array, ""]) -> Float[Array, " w"]:
    """The window in which this value alone stands."""
    return push(empty_window(), value)


def acceptable(window: Float[Array, " w"], trial: Float[Array, ""], decrease: Float[Array, ""]) -> Bool[Array, ""]:
    """Whether `trial` is finite and lies at least `decrease` below the worst of the last accepted values.

    Comparing with the worst of five instead of the last lets a step climb a little, which frees runs that a monotone
    rule deadlocks.

    Reference: L. Grippo, F. Lampariello, S. Lucidi, SIAM J. Numer. Anal. 23, 707 (1986).
    """
    return jnp.isfinite(trial) & (jnp.max(window) - trial > decrease)


class TriedDiagnostics(NamedTuple):
    """residual: norm of the inner gradient, or of the dual mismatch. scale: halvings of the step. accepted: 1 or 0.

    model_gradients: gradients of the divergence that the step took.
    """

    residual: Scalar
    scale: Scalar
    accepted: Scalar
    model_gradients: Scalar


class TriedState(NamedTuple):
    """step: steps so far. scale: factor on the rates. window: last accepted values. inner: an inner optimiser's."""

    step: Int[Array, ""]
    scale: Scalar
    window: Float[Array, " w"]
    inner: Any
    diagnostics: TriedDiagnostics


def start(inner: Any) -> TriedState:
    """The state before the first step."""
    zero = jnp.zeros(())
    diagnostics = TriedDiagnostics(zero, zero, zero, zero)
    return TriedState(jnp.zeros((), jnp.int32), jnp.ones(()), empty_window(), inner, diagnostics)


def halving(
    window: Float[Array, " w"],
    scale: Scalar,
    step: Int[Array, ""],
    value: Scalar | None,
    value_fn: ValueFn | None,
    trial: PyTree[Array],
) -> tuple[Bool[Array, ""], Scalar, Float[Array, " w"]]:
    """(accepted, next scale, next window): the scale halves after a rejected try and recovers after accepted ones."""
    value, value_fn = needed(value, value_fn)
    window = jnp.where(step == 0, push(window, value), window)
    found = value_fn(trial)
    accepted = acceptable(window, found, jnp.zeros_like(found))
    scale = jnp.where(accepted, jnp.minimum(1.2 * scale, 1.0), scale / 2)
    return accepted, scale, jnp.where(accepted, push(window, found), window)


def needed(value: Scalar | None, value_fn: ValueFn | None) -> tuple[Scalar, ValueFn]:
    """What trying a step needs, as optax's line searches do.

    Raises:
        ValueError: one of the two is missing.
    """
    if value is None or value_fn is None:
        raise ValueError(
            "This optimiser tries its steps; pass value= and value_fn= to update, or make it with accept=None."
        )
    return value, value_fn


def select(accepted: Bool[Array, ""], new: PyTree[Array], old: PyTree[Array]) -> PyTree[Array]:
    """The new tree if accepted, else the old one."""
    return jax.tree.map(lambda a, b: jnp.where(accepted, a, b), new, old)
