"""Learning rates that a compiled loop takes as an input."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

Scalar = Float[Array, ""]
Schedule = Callable[[Int[Array, ""]], Scalar]
ScalarOrSchedule = float | Scalar | Schedule


def number(value: float | Scalar) -> Scalar:
    """A scalar array of full type, which a loop may carry (a bare Python number would be weakly typed)."""
    return jnp.asarray(value, dtype=float)


def traced_rate(rate: ScalarOrSchedule) -> Scalar | Schedule:
    """Numbers as arrays, so that a jitted loop over optimisers of different rates compiles once."""
    return rate if callable(rate) else number(rate)


def rate_at(rate: Scalar | Schedule, step: Int[Array, ""]) -> Scalar:
    """A learning rate, or what its schedule says at this step."""
    return jnp.asarray(rate(step) if callable(rate) else rate)


def scaled(factor: Scalar, tree: PyTree[Array]) -> PyTree[Array]:
    """`factor` times the tree, in the tree's own precision."""
    return jax.tree.map(lambda x: factor.astype(x.dtype) * x, tree)


@functools.cache
def once(name: str, *numbers: float) -> optax.GradientTransformation:
    """A transform of optax by its name, made once: a jitted loop knows it by its identity.

    "lars" and "lamb" are the directions of optax's optimisers without decay.
    """
    # biases are taken to be the last columns of matrices, so that no vector needs a mask
    if name == "lars":
        return optax.chain(optax.scale_by_trust_ratio(trust_coefficient=1e-3), optax.trace(0.9))
    if name == "lamb":
        return optax.chain(optax.scale_by_adam(eps=1e-6), optax.scale_by_trust_ratio())
    return optax.with_extra_args_support(getattr(optax, name)(*numbers))


class WithRateState(NamedTuple):
    """step: steps so far. inner: state of the transform."""

    step: Int[Array, ""]
    inner: Any


class _WithRate(eqx.Module):
    transform: optax.GradientTransformation
    learning_rate: Scalar | Schedule

    def init(self, params: PyTree[Array]) -> WithRateState:
        return WithRateState(jnp.zeros((), jnp.int32), self.transform.init(params))

    def update(
        self, updates: PyTree[Array], state: WithRateState, params: PyTree[Array] | None = None, **extra: Any
    ) -> tuple[PyTree[Array], WithRateState]:
        transform = optax.with_extra_args_support(self.transform)
        updates, inner = transform.update(updates, state.inner, params, **extra)
        return scaled(-rate_at(self.learning_rate, state.step), updates), WithRateState(state.step + 1, inner)


def with_rate(
    transform: optax.GradientTransformation, learning_rate: ScalarOrSchedule
) -> optax.GradientTransformationExtraArgs:
    """`optax.chain(transform, optax.scale_by_learning_rate(learning_rate))` with the rate as an array leaf.

    An optax optimiser is a pair of closures, so a jitted loop compiles anew for each rate; here two optimisers made of
    the same transform differ in a traced number only.

    Args:
        transform: for example `optax.scale_by_adam()`, made once and reused.
        learning_rate: a number or an optax schedule.
    """
    method = _WithRate(transform, traced_rate(learning_rate))
    return optax.GradientTransformationExtraArgs(method.init, method.update)


class _Chain(eqx.Module):
    transforms: tuple[optax.GradientTransformation, ...]

    def init(self, params: PyTree[Array]) -> tuple[Any, ...]:
        return tuple(transform.init(params) for transform in self.transforms)

    def update(
        self, updates: PyTree[Array], state: tuple[Any, ...], params: PyTree[Array] | None = None, **extra: Any
    ) -> tuple[PyTree[Array], tuple[Any, ...]]:
        after = []
        for transform, before in zip(self.transforms, state, strict=True):
            updates, new = optax.with_extra_args_support(transform).update(updates, before, params, **extra)
            after.append(new)
        return updates, tuple(after)


def chain(*transforms: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """`optax.chain` that keeps the array leaves of its transforms, such as a damping, as inputs of a jitted loop."""
    method = _Chain(transforms)
    return optax.GradientTransformationExtraArgs(method.init, method.update)
