"""Steps of an optax transform on the multiple of the gradient that suits: halved until inside, or the best of many."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, PyTree

from qnat.optim.accept import ValueFn, needed, select
from qnat.optim.rate import Scalar, scaled

_HALVINGS = 20
_POINTS = 1000
TOGETHER = 100
"""Points of a line search that are evaluated at once."""

Trial = Callable[[Scalar], PyTree[Array]]
"""Where the step of a multiple of the gradient leads."""
Choice = Callable[[Trial, Scalar | None, ValueFn | None], tuple[Bool[Array, ""], Scalar]]
"""(trial, value, value_fn) ↦ whether there is a good multiple, and which."""


class Length(NamedTuple):
    """length: the multiple of the gradient that the step took; 0 where none was good."""

    length: Scalar


class ScaledState(NamedTuple):
    """inner: the state of the transform whose steps are scaled."""

    inner: Any
    diagnostics: Length


class _Scaled(eqx.Module):
    """Steps of a transform on a multiple of the gradient that is chosen anew for each."""

    inner: optax.GradientTransformation
    choose: Choice

    def init(self, params: PyTree[Array]) -> ScaledState:
        return ScaledState(self.inner.init(params), Length(jnp.zeros(())))

    def update(
        self,
        updates: PyTree[Array],
        state: ScaledState,
        params: PyTree[Array],
        *,
        value: Scalar | None = None,
        value_fn: ValueFn | None = None,
        **extra: Any,
    ) -> tuple[PyTree[Array], ScaledState]:
        def step(length: Scalar) -> tuple[PyTree[Array], Any]:
            return self.inner.update(scaled(length, updates), state.inner, params)

        good, length = self.choose(lambda length: optax.apply_updates(params, step(length)[0]), value, value_fn)
        change, inner = step(length)
        change = select(good, change, jax.tree.map(jnp.zeros_like, change))
        return change, ScaledState(inner, Length(jnp.where(good, length, 0)))


class _Halving(eqx.Module):
    inside: Callable[[PyTree[Array]], Bool[Array, ""]]

    def __call__(self, trial: Trial, value: Scalar | None, value_fn: ValueFn | None) -> tuple[Bool[Array, ""], Scalar]:
        def outside(loop: tuple[Scalar, Bool[Array, ""]]) -> Bool[Array, ""]:
            length, good = loop
            return ~good & (length > 0.5**_HALVINGS)

        def halve(loop: tuple[Scalar, Bool[Array, ""]]) -> tuple[Scalar, Bool[Array, ""]]:
            length = loop[0] / 2
            return length, self.inside(trial(length))

        one = jnp.ones(())
        length, good = jax.lax.while_loop(outside, halve, (one, self.inside(trial(one))))
        return good, length


class _Search(eqx.Module):
    together: int = eqx.field(static=True)

    def __call__(self, trial: Trial, value: Scalar | None, value_fn: ValueFn | None) -> tuple[Bool[Array, ""], Scalar]:
        value, found = needed(value, value_fn)
        lengths = jnp.linspace(0, 1, _POINTS + 1)[1:]
        values = jax.lax.map(lambda length: found(trial(length)), lengths, batch_size=self.together)
        best = jnp.argmin(jnp.where(jnp.isnan(values), jnp.inf, values))
        return values[best] < value, lengths[best]


def halved(
    inner: optax.GradientTransformation, inside: Callable[[PyTree[Array]], Bool[Array, ""]]
) -> optax.GradientTransformationExtraArgs:
    """The step of `inner`, of half the gradient and half of that, at most twenty times, until it leads inside.

    If it never does, there is no step: `length` in the diagnostics is 0.

    Args:
        inner: an optax transform that needs gradient and parameters only.
        inside: whether parameters are in the domain.
    """
    method = _Scaled(inner, _Halving(inside))
    return optax.GradientTransformationExtraArgs(method.init, method.update)


def searched(inner: optax.GradientTransformation, *, together: int = TOGETHER) -> optax.GradientTransformationExtraArgs:
    """The best step of `inner` over 1000 multiples of the gradient, evenly spaced in (0, 1]; none if none is better.

    A thousand losses a step: for few parameters. `update` takes `value` and `value_fn`, as optax's line searches do.

    Args:
        inner: an optax transform that needs gradient and parameters only.
        together: points evaluated at once; 1 for transforms or losses that factorise matrices, of which jaxlib 0.10
            cannot do batches at the same time.
    """
    method = _Scaled(inner, _Search(together))
    return optax.GradientTransformationExtraArgs(method.init, method.update)
