"""qBang: a natural gradient whose metric is measured once and then follows the gradients."""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from qnat.geometry.metric import AbstractMetric

from .rate import Scalar, ScalarOrSchedule, Schedule, number, rate_at, traced_rate
from .running import Gradients

# one pair of closures for all rates, so that a jitted loop over them compiles once
_adam = functools.cache(optax.scale_by_adam)


class QBangState(NamedTuple):
    """step: steps so far. inverse: (P, P) inverse of the metric's estimate. adam: moments of the gradient.

    diagnostics: of the last step; the first one has the gradients that the metric took before it.
    """

    step: Int[Array, ""]
    inverse: Float[Array, "P P"]
    adam: optax.ScaleByAdamState
    diagnostics: Gradients


def sherman_morrison(
    inverse: Float[Array, "P P"], vector: Float[Array, " P"], weight: Float[Array, ""]
) -> Float[Array, "P P"]:
    """((1 − ε)B + ε g gᵀ)⁻¹ from B⁻¹, g and 0 ≤ ε < 1, in P² operations."""
    image = inverse @ vector
    correction = weight / (1 - weight + weight * (vector @ image)) * jnp.outer(image, image)
    return (inverse - correction) / (1 - weight)


class _QBang(eqx.Module):
    learning_rate: Scalar | Schedule
    metric: AbstractMetric
    decay: Scalar
    damping: Scalar
    adam: optax.GradientTransformation

    def init(self, params: PyTree[Array]) -> QBangState:
        matrix = self.metric.at(params).as_matrix()
        identity = jnp.eye(len(matrix), dtype=matrix.dtype)
        inverse = jax.scipy.linalg.solve(
            matrix + self.damping.astype(matrix.dtype) * identity, identity, assume_a="pos"
        )
        return QBangState(jnp.zeros((), jnp.int32), inverse, self.adam.init(params), Gradients(jnp.zeros(())))

    def update(
        self, updates: PyTree[Array], state: QBangState, params: PyTree[Array] | None = None, **extra: Any
    ) -> tuple[PyTree[Array], QBangState]:
        gradient, _ = ravel_pytree(updates)
        scaled, adam = self.adam.update(updates, state.adam, params)
        direction, unravel = ravel_pytree(scaled)
        count = state.step + 1
        rate = rate_at(self.learning_rate, state.step) / count**self.decay
        weight = (self.decay / count).astype(gradient.dtype)
        change = unravel(-rate.astype(direction.dtype) * (state.inverse @ direction))
        inverse = sherman_morrison(state.inverse, gradient, weight)
        passes = self.metric.passes()
        spent = jnp.where(state.step == 0, jnp.asarray(gradient.size if passes is None else passes, float), 0)
        return change, QBangState(count, inverse, adam, Gradients(spent))


def qbang(
    learning_rate: ScalarOrSchedule,
    metric: AbstractMetric,
    *,
    decay: float = 0.2,
    damping: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """Quantum Broyden adaptive natural gradient: Adam's step, preconditioned by a metric that is measured once.

    v₊ = v − η (k + 1)^(−ε₀) Bₖ⁻¹ m̂/(√v̂ + eps), then Bₖ₊₁ = (1 − εₖ)Bₖ + εₖ g gᵀ with εₖ = ε₀/(k + 1), whose inverse
    follows by the Sherman–Morrison formula. B₀ is the true metric where the optimiser was initialised, plus damping.
    With ε₀ = 0 the metric stays what it was there.

    Args:
        learning_rate: η, a number or an optax schedule. Adam's step does not shrink with the gradient, so what is left
            of the loss is of the size that η allows.
        metric: evaluated by `init`, without batch or key.
        decay: ε₀ in [0, 1), the share of the gradients in the metric.
        damping: λ added to the metric before it is inverted.
        b1, b2, eps: of Adam.

    Reference: D. Fitzek et al., Quantum 8, 1313 (2024), arXiv:2304.13882.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"qbang forgets its metric at a rate 0 <= decay < 1; decay is {decay}.")
    method = _QBang(traced_rate(learning_rate), metric, number(decay), number(damping), _adam(b1, b2, eps))
    return optax.GradientTransformationExtraArgs(method.init, method.update)
