"""Entropy-SGD: descent on the local entropy −log ∫ exp(−f(x′) − γ|x′ − x|²/2) dx′ in place of the loss f."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray, PyTree
from optax.tree_utils import tree_random_like

from qnat.inference.process import Info, Process, ValueAndGrad, descend
from qnat.optim.rate import Scalar, number, with_rate

_AVERAGE = 0.75
"""What the mean of the inner iterates keeps at a step."""


class EntropyState(NamedTuple):
    """step: gradients so far. centre: x. place: x′. mean: ⟨x′⟩, exponentially averaged. outer: of the outer descent."""

    step: Int[Array, ""]
    centre: PyTree[Array]
    place: PyTree[Array]
    mean: PyTree[Array]
    outer: Any


class _EntropySGD(eqx.Module):
    value_and_grad: ValueAndGrad
    outer: optax.GradientTransformation
    inner_steps: int = eqx.field(static=True)
    inner_rate: Scalar
    gamma: Scalar
    growth: Scalar
    noise: Scalar

    def init(self, params: PyTree[Array], *, key: PRNGKeyArray | None = None) -> EntropyState:
        return EntropyState(jnp.zeros((), jnp.int32), params, params, params, self.outer.init(params))

    def step(self, state: EntropyState, batch: Any = None, *, key: PRNGKeyArray) -> tuple[EntropyState, Info]:
        gradient_key, noise_key = jax.random.split(key)
        value, slope = self.value_and_grad(state.place, batch, gradient_key)
        gamma = self.gamma * (1 + self.growth) ** (state.step // self.inner_steps)
        size = jnp.sqrt(2 * self.inner_rate) * self.noise

        def walk(at: Array, gradient: Array, centre: Array, normal: Array) -> Array:
            drift = self.inner_rate * (gradient - gamma * (centre - at))
            return (at - drift + size * normal).astype(at.dtype)

        place = jax.tree.map(walk, state.place, slope, state.centre, tree_random_like(noise_key, state.place))
        mean = jax.tree.map(lambda m, p: _AVERAGE * m + (1 - _AVERAGE) * p, state.mean, place)

        def move() -> EntropyState:
            """Towards the mean, and a new walk from there."""
            gap = jax.tree.map(jnp.subtract, state.centre, mean)
            change, outer = self.outer.update(gap, state.outer, state.centre)
            centre = optax.apply_updates(state.centre, change)
            return EntropyState(state.step + 1, centre, centre, centre, outer)

        ends = (state.step + 1) % self.inner_steps == 0
        going = state._replace(step=state.step + 1, place=place, mean=mean)
        return jax.lax.cond(ends, move, lambda: going), Info(value, {})

    def params(self, state: EntropyState) -> PyTree[Array]:
        return state.centre


_OUTER = optax.trace(0.9, nesterov=True)
_PLAIN = optax.identity()


def entropy_sgd(
    value_and_grad: ValueAndGrad,
    learning_rate: float,
    *,
    inner_steps: int = 20,
    inner_rate: float = 0.1,
    gamma: float = 1e-4,
    growth: float = 1e-3,
    noise: float = 1e-4,
    momentum: bool = True,
) -> Process:
    """Entropy-SGD: every L steps of a random walk x′ around x, x moves towards the mean of the walk.

    A step of this process is one step of the walk, x′ ← x′ − η′(∇f(x′) − γ(x − x′)) + √(2η′) ε·N(0, 1), with a batch of
    its own: it costs one gradient like a step of any other method. After every L-th step x moves by −η(x − ⟨x′⟩); the
    scale of the local entropy is γ = γ₀(1 + γ₁)^t after t such moves. The loss of a step is that of x′, the parameters
    are x.

    Args:
        value_and_grad: of f, as `qnat.experiment.Task.value_and_grad`.
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
        return descend(value_and_grad, outer)
    numbers = map(number, (inner_rate, gamma, growth, noise))
    method = _EntropySGD(value_and_grad, outer, inner_steps, *numbers)
    return Process(method.init, method.step, method.params)
