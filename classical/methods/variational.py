"""Gaussian variational inference by natural gradients: from values of the energy alone, or from its derivatives."""

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from qnat.geometry.families.gaussian import AbstractGaussian
from qnat.inference.expectation import AbstractEstimator, Pathwise, Score, free_energy
from qnat.inference.process import Info, Process
from qnat.optim.rate import Scalar, number

from ..models import gaussian_posterior as posterior
from ..models.gaussian_posterior import Theta
from .retractions import RETRACTIONS

Energy = Callable[[Float[Array, " d"]], Float[Array, ""]]
"""x ↦ −log p(x, data) in nats."""
Retraction = Literal["second_order", "multiplicative", "additive"]


_GROSS = 10.0
"""Nats by which F may rise in a step, estimated by the same draws: above what a good step and noise do."""
_HALVINGS = 20


class _Natural(eqx.Module):
    slope: Callable[..., tuple[Scalar, Theta]]
    family: AbstractGaussian
    rate: Scalar
    retraction: Retraction = eqx.field(static=True)
    judge: Callable[[Theta, PRNGKeyArray], Scalar] | None

    def init(self, params: Theta, *, key: PRNGKeyArray | None = None) -> Theta:
        return params

    def step(self, state: Theta, batch: Any = None, *, key: PRNGKeyArray) -> tuple[Theta, Info]:
        value, slope = self.slope(state, key)

        def moved(length: Scalar) -> Theta:
            step = jax.tree.map(lambda g: -length * self.rate * g, slope)
            return RETRACTIONS[self.retraction](self.family, state, step)

        if self.judge is None:
            return moved(jnp.ones(())), Info(value, {})
        judge = self.judge

        def worse(count: Scalar) -> Bool[Array, ""]:
            return ~(judge(moved(0.5**count), key) <= value + _GROSS) & (count < _HALVINGS)

        count = jax.lax.while_loop(worse, lambda count: count + 1, jnp.zeros(()))
        return moved(0.5**count), Info(value, {})

    def params(self, state: Theta) -> Theta:
        return state


def _process(slope: Any, family: AbstractGaussian, rate: float, retraction: Retraction, judge: Any = None) -> Process:
    if retraction not in RETRACTIONS:
        raise ValueError(f"Retractions are {', '.join(RETRACTIONS)}; got {retraction!r}.")
    if not 0 < rate <= 1:
        raise ValueError(f"The rate of a natural gradient of a posterior is in (0, 1]; got {rate}.")
    method = _Natural(slope, family, number(rate), retraction, judge)
    return Process(method.init, method.step, method.params)


class _ByValues(eqx.Module):
    energy: Energy
    family: AbstractGaussian
    estimator: AbstractEstimator

    def __call__(self, theta: Theta, key: PRNGKeyArray | None) -> tuple[Scalar, Theta]:
        def loss(centred: Theta, mean: Float[Array, " d"]) -> Scalar:
            energy = lambda x: self.energy(mean + x)  # noqa: E731
            return free_energy(self.family, centred, energy, estimator=self.estimator, key=key)

        return posterior.by_means(self.family, theta, loss)


def qbvi(
    energy: Energy,
    family: AbstractGaussian,
    rate: float = 0.05,
    *,
    estimator: AbstractEstimator | None = None,
    retraction: Retraction = "second_order",
) -> Process:
    """Quasi-black-box variational inference: θ₊ = θ − ρ ∂F/∂η, F the free energy, from values of the energy alone.

    It is natural-gradient descent on KL(q‖posterior), whose gradient by the mean parameters η is estimated by scores
    with a control variate; the energy is never differentiated. The state and parameters are the natural parameters of
    q, the value is F in nats, minus the evidence lower bound.

    Args:
        energy: x ↦ −log p(x, data). family: of q, a Gaussian of any structure.
        rate: ρ in (0, 1]. estimator: None for `Score(2000, antithetic=True)`.
        retraction: how a step stays among precision matrices, see `classical.methods.retractions`.

    Reference: M. Magris, M. Shabani, A. Iosifidis, arXiv:2205.11568; M. E. Khan, W. Lin, arXiv:1703.04265.
    """
    used = Score(2000, antithetic=True) if estimator is None else estimator
    return _process(_ByValues(energy, family, used), family, rate, retraction)


class _ByDerivatives(eqx.Module):
    energy: Energy
    family: AbstractGaussian
    estimator: AbstractEstimator

    def __call__(self, theta: Theta, key: PRNGKeyArray | None) -> tuple[Scalar, Theta]:
        def local(x: Float[Array, " d"]) -> Any:
            return self.energy(x), jax.grad(self.energy)(x), jax.hessian(self.energy)(x)

        points = self.estimator.points(self.family, theta, key)
        value, slope, curvature = jax.tree.map(
            lambda leaf: jnp.tensordot(points.weights, leaf, axes=1), jax.vmap(local)(points.x)
        )

        def linear(centred: Theta, _mean: Float[Array, " d"]) -> Scalar:
            mean, covariance = self.family.to_dual(centred)[0], posterior.covariance_of(self.family, centred)
            return slope @ mean + jnp.sum(curvature * covariance) / 2 - self.family.entropy(centred)

        return value - self.family.entropy(theta), posterior.by_means(self.family, theta, linear)[1]

    def value(self, theta: Theta, key: PRNGKeyArray | None) -> Scalar:
        points = self.estimator.points(self.family, theta, key)
        return points.weights @ jax.vmap(self.energy)(points.x) - self.family.entropy(theta)


def cvi(
    energy: Energy,
    family: AbstractGaussian,
    rate: float = 0.1,
    *,
    estimator: AbstractEstimator | None = None,
    retraction: Retraction = "second_order",
) -> Process:
    """Conjugate-computation variational inference: the step of `qbvi` with gradients and Hessians of the energy.

    By the theorems of Bonnet and Price ∂⟨E⟩/∂μ = ⟨∇E⟩ and ∂⟨E⟩/∂Σ = ⟨∇²E⟩/2, averaged over draws; the entropy is
    exact. A step after which F would be more than ten nats higher, by the same draws, is halved until it is not: where
    the energy is not convex, its curvature says nothing of how far a step may go.

    Args:
        energy, family, rate, retraction: as of `qbvi`; the energy is differentiated twice.
        estimator: of the averages; None for `Pathwise(50, antithetic=True)`.

    Reference: M. E. Khan, W. Lin, arXiv:1703.04265; M. E. Khan, H. Rue, arXiv:2107.04562.
    """
    used = Pathwise(50, antithetic=True) if estimator is None else estimator
    found = _ByDerivatives(energy, family, used)
    return _process(found, family, rate, retraction, found.value)
