"""KLD-WRM: natural gradients regularised by a wake of past iterates, where K-FAC only averages Fisher matrices.

With the average F̄ₖ = ρ F̄ₖ₋₁ + (1 − ρ) Fₖ that starts at F₀, the step s minimises a model of the loss plus
λₖ Σᵢ κᵢ ρᵏ⁻ⁱ KL(θᵢ ‖ θₖ + s), κ₀ = 1 and κᵢ = 1 − ρ after; 1/λ is the learning rate. The divergences are taken to
second order; Fisher matrices are blocks of Kronecker products, and their sums are taken factor by factor.

Reference: C. Puiu, arXiv:2204.04718.
"""

from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree
from optax.tree_utils import tree_vdot

from qnat.geometry.operators import BlockDiagonal
from qnat.geometry.structured import AbstractStructured
from qnat.optim.rate import Scalar, ScalarOrSchedule, Schedule, number, rate_at, scaled, traced_rate
from qnat.optim.running import Gradients, StructuredMetric, gradients_of

from ..models.network import Network, Weights

_STORED = 3


def rate_ratio(learning_rate: Scalar | Schedule, step: Int[Array, ""]) -> Scalar:
    """λ_k/λ_{k−1}."""
    return rate_at(learning_rate, jnp.maximum(step - 1, 0)) / rate_at(learning_rate, step)


class _QuadraticState(NamedTuple):
    """average: F̄. wake: ĝ − g + λ F̄ s of the last step. stored: the last iterates, the newest first.

    diagnostics: of the last step; an inner step is a gradient of the divergences.
    """

    step: Int[Array, ""]
    average: BlockDiagonal
    wake: PyTree[Array]
    stored: list[PyTree[Array]]
    diagnostics: Gradients


class _Quadratic(eqx.Module):
    learning_rate: Scalar | Schedule
    metric: StructuredMetric
    rho: Scalar
    damping: Scalar
    clip: Scalar
    inner_steps: int = eqx.field(static=True)
    network: Network | None

    def init(self, params: PyTree[Array]) -> _QuadraticState:
        stored = [params] * _STORED if self.network is not None else []
        zeros = jax.tree.map(jnp.zeros_like, params)
        return _QuadraticState(
            jnp.zeros((), jnp.int32), self.metric.start(params), zeros, stored, Gradients(jnp.zeros(()))
        )

    def update(
        self,
        updates: PyTree[Array],
        state: _QuadraticState,
        params: PyTree[Array] | None = None,
        *,
        batch: Any = None,
        key: PRNGKeyArray | None = None,
        **extra: Any,
    ) -> tuple[PyTree[Array], _QuadraticState]:
        if params is None:
            raise ValueError("KLD-WRM evaluates its metric at the parameters; pass params= to update.")
        rate = rate_at(self.learning_rate, state.step)
        new = self.metric.at(params, batch, key=key)
        kept = jnp.where(state.step == 0, 0.0, self.rho)
        average = jax.tree.map(lambda a, b: (kept * a + (1 - kept) * b).astype(b.dtype), state.average, new)
        ratio = self.rho * rate_ratio(self.learning_rate, state.step)
        corrected = jax.tree.map(lambda g, w: g + ratio.astype(g.dtype) * w, updates, state.wake)
        system = jax.tree.map(lambda a, b: a + rate.astype(b.dtype) * b, average, new)
        inverses = [cast(AbstractStructured, block).inverse(self.damping) for block in system.leaves()]
        solved = [inverse(g) for inverse, g in zip(inverses, jax.tree.leaves(corrected), strict=True)]
        step = scaled(-rate, jax.tree.unflatten(jax.tree.structure(updates), solved))
        if self.network is not None:
            step = self._refined(self.network, step, updates, params, new, state, rate, batch)
        pull = average.mv(step)
        length = jnp.maximum(tree_vdot(step, pull), jnp.finfo(rate.dtype).tiny)
        step, pull = (scaled(jnp.minimum(1.0, jnp.sqrt(self.clip / length)), tree) for tree in (step, pull))
        wake = jax.tree.map(lambda c, g, f: c - g + f / rate.astype(f.dtype), corrected, updates, pull)
        stored = [params, *state.stored[:-1]] if self.network is not None else []
        spent = gradients_of(self.metric, new, batch) + (0 if self.network is None else self.inner_steps)
        return step, _QuadraticState(state.step + 1, average, wake, stored, Gradients(spent))

    def _refined(
        self,
        network: Network,
        step: PyTree[Array],
        gradient: PyTree[Array],
        params: PyTree[Array],
        fisher: BlockDiagonal,
        state: _QuadraticState,
        rate: Scalar,
        batch: Any,
    ) -> PyTree[Array]:
        """A few inner steps with the divergences themselves, symmetrised, in place of their second order."""
        x, _ = batch
        anchors = [params, *state.stored[:-1]]
        weights = [(1 - self.rho) * self.rho**age * (state.step >= age) for age in range(_STORED)]
        outputs = [network(anchor, x) for anchor in anchors]

        def objective(s: Weights) -> Scalar:
            here = network(optax.apply_updates(params, s), x)
            gaps = [weight * symmetric_kl(network, here, there) for weight, there in zip(weights, outputs, strict=True)]
            model = tree_vdot(gradient, s) + tree_vdot(s, fisher.mv(s)) / 2
            return model + jnp.sum(jnp.stack(gaps)) / (2 * rate)

        def descend(_: int, carry: tuple[Weights, Weights]) -> tuple[Weights, Weights]:
            s, velocity = carry
            slope = jax.grad(objective)(s)
            velocity = jax.tree.map(lambda v, g: 0.5 * v - 0.1 * rate.astype(g.dtype) * g, velocity, slope)
            return optax.apply_updates(s, velocity), velocity

        start = (step, jax.tree.map(jnp.zeros_like, step))
        return jax.lax.fori_loop(0, self.inner_steps, descend, start)[0]


def symmetric_kl(network: Network, a: Float[Array, "N K"], b: Float[Array, "N K"]) -> Scalar:
    """KL(p_a‖p_b) + KL(p_b‖p_a) of the output distributions, the mean over items."""
    means = [jax.vmap(network.family.to_dual)(z) for z in (a, b)]
    return jnp.mean(jnp.sum((a - b) * (means[0] - means[1]), axis=-1))


def kld_wrm_q(
    learning_rate: ScalarOrSchedule,
    metric: StructuredMetric,
    *,
    rho: float = 0.5,
    damping: float = 1e-3,
    clip: float | None = None,
    network: Network | None = None,
    inner_steps: int = 7,
) -> optax.GradientTransformationExtraArgs:
    """Q-KLD-WRM, a quadratic model of the loss with the Fisher matrix of the batch; with a network QE-KLD-WRM.

    s = −η (F̄ + ηF)⁻¹ ĝ with ĝ = g + ρ (λ/λ₋₁)(ĝ₋₁ − g₋₁ + λ₋₁ F̄₋₁ s₋₁). QE starts there and takes `inner_steps` steps
    of gradient descent on the quadratic model with the Kullback–Leibler divergences, symmetrised, from the last three
    iterates themselves.

    Args:
        learning_rate: η = 1/λ, a number or a schedule.
        metric: such as `KroneckerFisher`. rho: memory of the average, in [0, 1).
        damping: added to F̄ + ηF, > 0.
        clip: a longer step is shortened to sᵀF̄s = clip, half of which is a divergence in nats; None for no bound. F̄
            looks back few batches only, and without a bound high rates fail.
        network: the model of the divergences, for QE. inner_steps: of QE.
    """
    bound = number(jnp.inf if clip is None else clip)
    method = _Quadratic(traced_rate(learning_rate), metric, number(rho), number(damping), bound, inner_steps, network)
    return optax.GradientTransformationExtraArgs(method.init, method.update)
