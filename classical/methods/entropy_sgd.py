"""Entropy-SGD: descent on the local entropy −log ∫ exp(−f(x′) − γ|x′ − x|²/2) dx′ in place of the loss f."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from qnat.optim.rate import Scalar, number, with_rate

_AVERAGE = 0.75
"""What the mean of the inner iterates keeps at a step."""


class EntropyState(NamedTuple):
    """step: gradients so far. centre: x. mean: ⟨x′⟩, exponentially averaged. outer: state of the outer descent."""

    step: Int[Array, ""]
    centre: PyTree[Array]
    mean: PyTree[Array]
    outer: Any


class _EntropySGD(eqx.Module):
    outer: optax.GradientTransformation
    inner_steps: int = eqx.field(static=True)
    inner_rate: Scalar
    gamma: Scalar
    growth: Scalar
    noise: Scalar

    def init(self, params: PyTree[Array]) -> EntropyState:
        return EntropyState(jnp.zeros((), jnp.int32), params, params, self.outer.init(params))

    def update(
        self,
        updates: PyTree[Array],
        state: EntropyState,
        params: PyTree[Array] | None = None,
        *,
        key: PRNGKeyArray | None = None,
        **extra: Any,
    ) -> tuple[PyTree[Array], EntropyState]:
        if params is None or key is None:
            raise ValueError("entropy_sgd walks at random around the parameters; pass params= and key= to update.")
        gamma = self.gamma * (1 + self.growth) ** (state.step // self.inner_steps)
        size = jnp.sqrt(2 * self.inner_rate) * self.noise

        def walk(at: Array, gradient: Array, centre: Array, normal: Array) -> Array:
            drift = self.inner_rate * (gradient - gamma * (centre - at))
            return (at - drift + size * normal).astype(at.dtype)

        place = jax.tree.map(walk, params, updates, state.centre, _normal(key, params))
        mean = jax.tree.map(lambda m, p: _AVERAGE * m + (1 - _AVERAGE) * p, state.mean, place)

        def move() -> tuple[PyTree[Array], PyTree[Array], Any]:
            """Towards the mean, and a new walk from there."""
            gap = jax.tree.map(jnp.subtract, state.centre, mean)
            change, outer = self.outer.update(gap, state.outer, state.centre)
            centre = optax.apply_updates(state.centre, change)
            return centre, centre, outer

        ends = (state.step + 1) % self.inner_steps == 0
        centre, mean, outer = jax.lax.cond(ends, move, lambda: (state.centre, mean, state.outer))
        after = jax.tree.map(lambda c, p: jnp.where(ends, c, p), centre, place)
        change = jax.tree.map(jnp.subtract, after, params)
        return change, EntropyState(state.step + 1, centre, mean, outer)


def _normal(key: PRNGKeyArray, like: PyTree[Array]) -> PyTree[Float[Array, "..."]]:
    leaves, structure = jax.tree.flatten(like)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        structure, [jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
    )


_OUTER = optax.trace(0.9, nesterov=True)
_PLAIN = optax.identity()


def entropy_sgd(
    learning_rate: float,
    *,
    inner_steps: int = 20,
    inner_rate: float = 0.1,
    gamma: float = 1e-4,
    growth: float = 1e-3,
    noise: float = 1e-4,
    momentum: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Entropy-SGD: every L steps of a random walk x′ around x, x moves towards the mean of the walk.

    A step of this transform is one step of the walk, x′ ← x′ − η′(∇f(x′) − γ(x − x′)) + √(2η′) ε·N(0, 1), with a batch
    of its own: it costs one gradient like a step of any other optimiser, and the parameters that it passes through are
    the x′. After every L-th step they are x, which has moved by −η(x − ⟨x′⟩); the scale of the local entropy is
    γ = γ₀(1 + γ₁)^t after t such moves.

    Args:
        learning_rate: η of the moves of x.
        inner_steps: L ≥ 0; without inner steps this is gradient descent.
        inner_rate: η′. gamma, growth: γ₀ and γ₁. noise: ε.
        momentum: Nesterov's, of 0.9, in the moves of x.

    Reference: P. Chaudhari et al., arXiv:1611.01838.
    """
    if inner_steps < 0:
        raise ValueError(f"A walk has at least 0 steps; got inner_steps = {inner_steps}.")
    outer = with_rate(_OUTER if momentum else _PLAIN, learning_rate)
    if inner_steps == 0:
        return outer
    method = _EntropySGD(outer, inner_steps, number(inner_rate), number(gamma), number(growth), number(noise))
    return optax.GradientTransformationExtraArgs(method.init, method.update)
