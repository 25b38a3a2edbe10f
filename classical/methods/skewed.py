"""Variational inference with a skew-normal density, by natural-gradient steps of its Gaussian surrogate."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Float, PRNGKeyArray

from classical.models import gaussian, gaussian_posterior
from classical.models.gaussian_posterior import Theta
from classical.models.posterior import Posterior
from classical.models.skew import from_third
from classical.models.surrogate import Parameters
from qnat.experiment.errors import RefusedError
from qnat.geometry.families import Gaussian
from qnat.inference.process import Info, Process
from qnat.optim import with_rate
from qnat.optim.rate import Scalar, number, once


class SkewedState(NamedTuple):
    """params: of the density. adam: of the steps of η."""

    params: Parameters
    adam: Any


class _Skewed(eqx.Module):
    energy: Callable[[Float[Array, " d"]], Float[Array, ""]]
    rate: Scalar
    auxiliary_rate: Scalar
    pairs: int = eqx.field(static=True)

    def free_energy(self, theta: Theta, eta: Float[Array, " d"], mean: Float[Array, " d"], key: PRNGKeyArray) -> Scalar:
        """F, from pairs ξ ± z, the former of weight Φ(ηᵀz); θ is that of (0, Ω), and held in log q, as η is."""
        family, held = Gaussian(), jax.lax.stop_gradient((theta, eta))
        noise = jax.random.normal(key, (self.pairs, mean.size), mean.dtype)
        z = jax.vmap(lambda each: family.from_noise(theta, each))(noise)

        def excess(z: Float[Array, " d"]) -> Float[Array, ""]:
            log_q = family.log_prob(held[0], z) + jnp.log(2.0) + log_ndtr(held[1] @ z)
            return self.energy(mean + z) + log_q

        def pair(z: Float[Array, " d"]) -> Float[Array, ""]:
            share = jax.scipy.stats.norm.cdf(eta @ z)
            return share * excess(z) + (1 - share) * excess(-z)

        return jnp.mean(jax.vmap(pair)(z))

    def optimizer(self) -> Any:
        return with_rate(once("scale_by_adam"), self.auxiliary_rate)

    def init(self, params: Parameters, *, key: PRNGKeyArray | None = None) -> SkewedState:
        return SkewedState(params, self.optimizer().init(params.auxiliary))

    def step(self, state: SkewedState, batch: Any = None, *, key: PRNGKeyArray) -> tuple[SkewedState, Info]:
        theta, eta = state.params
        value, slope = gaussian_posterior.by_means(
            Gaussian(), theta, lambda centred, mean: self.free_energy(centred, eta, mean, key)
        )
        centred = jnp.zeros_like(theta[0]), theta[1]
        mean = gaussian_posterior.mean_of(Gaussian(), theta)
        of_eta = jax.grad(lambda eta: self.free_energy(centred, eta, mean, key))(eta)
        change, adam = self.optimizer().update(of_eta, state.adam, eta)
        theta = Gaussian().retract(theta, jax.tree.map(lambda g: -self.rate * g, slope))
        return SkewedState(Parameters(theta, eta + change), adam), Info(value, {})

    def params(self, state: SkewedState) -> Parameters:
        return state.params


def about_mode(posterior: Posterior) -> Parameters:
    """A skew-normal density from derivatives at the mode: those of second order a covariance, of third its skewness.

    The third central moment along entry i is about −∂³E[v, v, v], v = Σeᵢ. Not traced.
    """
    slope = jax.jit(jax.value_and_grad(posterior.energy))
    found = scipy.optimize.minimize(lambda x: tuple(map(np.asarray, slope(x))), np.asarray(posterior.mean), jac=True)

    @jax.jit
    def third(x: Float[Array, " d"], v: Float[Array, " d"]) -> Float[Array, ""]:
        along = posterior.energy
        for _ in range(3):
            along = partial(_along, along, v)
        return along(x)

    curvature = np.asarray(jax.jit(jax.hessian(posterior.energy))(found.x))
    if not np.isfinite(curvature).all() or not np.linalg.eigvalsh(curvature)[0] > 0:
        raise RefusedError(
            "The posterior has no mode with a positive definite Hessian to start a skew-normal density from; choose "
            "another process."
        )
    covariance = np.linalg.inv((curvature + curvature.T) / 2)
    moments = from_third(found.x, covariance, np.array([-float(third(found.x, v)) for v in covariance]))
    return Parameters(gaussian.from_covariance(moments.location, moments.scale), jnp.asarray(moments.eta))


def _along(fn: Callable[[Array], Array], v: Float[Array, " d"], x: Float[Array, " d"]) -> Array:
    """The derivative of fn in a direction."""
    return jax.jvp(fn, (x,), (v,))[1]


def skewed(
    energy: Callable[[Float[Array, " d"]], Float[Array, ""]],
    rate: float = 0.1,
    auxiliary_rate: float = 0.05,
    *,
    samples: int = 100,
) -> Process:
    """Variational inference with q = 2N(x; ξ, Ω)Φ(ηᵀ(x − ξ)) by the natural gradient of its surrogate N(ξ, Ω) (SNGD).

    θ₊ = θ − ρ ∂F/∂(means) for the surrogate, never out of its cone, and Adam for η. Expectations are pathwise, over
    pairs ξ ± z of draws of the surrogate, whose two weights add up to one. The value is the free energy in nats.

    Args:
        energy: x ↦ −log p(x, data), differentiable. rate: ρ in (0, 1]. auxiliary_rate: of Adam.
        samples: draws of a step, an even number.

    Reference: J. So, R. E. Turner, arXiv:2310.11837.
    """
    if samples < 2 or samples % 2:
        raise ValueError(f"Draws come in pairs; {samples} is no even number of them. Take an even number.")
    method = _Skewed(energy, number(rate), number(auxiliary_rate), samples // 2)
    return Process(method.init, method.step, method.params)
