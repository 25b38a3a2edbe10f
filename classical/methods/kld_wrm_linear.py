"""KLD-WRM with a linear model of the loss."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PyTree

from qnat.optim.rate import Scalar, ScalarOrSchedule, Schedule, chain, traced_rate, with_rate
from qnat.optim.running import StructuredMetric, scale_by_running_metric

from .kld_wrm import rate_ratio


class _LinearState(NamedTuple):
    step: Int[Array, ""]
    gradient: PyTree[Array]


class _Differences(eqx.Module):
    """g_k − ρ (λ_k/λ_{k−1}) g_{k−1}."""

    rho: float
    learning_rate: Scalar | Schedule

    def init(self, params: PyTree[Array]) -> _LinearState:
        return _LinearState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(
        self, updates: PyTree[Array], state: _LinearState, params: PyTree[Array] | None = None, **extra: Any
    ) -> tuple[PyTree[Array], _LinearState]:
        ratio = self.rho * rate_ratio(self.learning_rate, state.step)
        found = jax.tree.map(lambda g, old: g - ratio.astype(g.dtype) * old, updates, state.gradient)
        return found, _LinearState(state.step + 1, updates)


def kld_wrm_so(
    learning_rate: ScalarOrSchedule,
    metric: StructuredMetric,
    *,
    rho: float = 0.33,
    damping: float = 1e-3,
    refresh: int = 20,
    warm_up: int = 20,
) -> optax.GradientTransformationExtraArgs:
    """SO-KLD-WRM, a linear model of the loss: s = −η (F̄ + damping)⁻¹ (g − ρ (λ/λ₋₁) g₋₁).

    Differences of gradients are noisy, so ρ is small.

    Args:
        learning_rate: η = 1/λ, a number or a schedule.
        metric: such as `KroneckerFisher`. rho: memory of the average, in [0, 1).
        damping, refresh, warm_up: as in `qnat.optim.scale_by_running_metric`.
    """
    rate = traced_rate(learning_rate)
    differences = _Differences(rho, rate)
    direction = chain(
        optax.GradientTransformationExtraArgs(differences.init, differences.update),
        scale_by_running_metric(metric, damping=damping, memory=rho, refresh=refresh, warm_up=warm_up),
    )
    return with_rate(direction, rate)
