"""Langevin dynamics: descent with as much noise as makes it a sampler."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree
from optax.tree_utils import tree_random_like

from qnat.optim.rate import Scalar, number

from .process import Info, Process, ValueAndGrad


class _Langevin(eqx.Module):
    value_and_grad: ValueAndGrad
    step_size: Scalar
    temperature: Scalar

    def init(self, params: PyTree[Array], *, key: PRNGKeyArray | None = None) -> PyTree[Array]:
        return params

    def step(self, state: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray) -> tuple[PyTree[Array], Info]:
        gradient_key, noise_key = jax.random.split(key)
        value, slope = self.value_and_grad(state, batch, gradient_key)
        size = jnp.sqrt(2 * self.step_size * self.temperature)

        def move(x: Array, g: Array, noise: Array) -> Array:
            return (x - self.step_size * g + size * noise).astype(x.dtype)

        return jax.tree.map(move, state, slope, tree_random_like(noise_key, state)), Info(value, {})

    def params(self, state: PyTree[Array]) -> PyTree[Array]:
        return state


def langevin(value_and_grad: ValueAndGrad, step_size: float, *, temperature: float = 1.0) -> Process:
    """A chain θ ← θ − h ∇U + √(2hT) N(0, 1), whose draws are those of exp(−U/T)/Z up to an error of order h.

    With gradients of batches it is stochastic gradient Langevin dynamics. Nothing is rejected: halve h to see whether
    the error matters. `qnat.experiment.run` with `keep` stores the draws.

    Args:
        value_and_grad: (params, batch, key) ↦ (U, ∇U), U minus a log-density in nats.
        step_size: h, in units of θ²/U. temperature: T.

    Reference: G. Parisi, Nucl. Phys. B 180, 378 (1981); M. Welling, Y. W. Teh, ICML 2011.
    """
    method = _Langevin(value_and_grad, number(step_size), number(temperature))
    return Process(method.init, method.step, method.params)
