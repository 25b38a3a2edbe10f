"""Expectations of a family whose values are estimates and whose derivatives are unbiased estimates too."""

import abc
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.geometry.families import AbstractExponentialFamily
from qnat.geometry.families.gaussian import AbstractGaussian

Family = AbstractExponentialFamily


class Points(NamedTuple):
    """x: (S, …) points. weights: (S,), functions of θ, of which Σ wᵢ f(xᵢ) is an estimate of E[f]."""

    x: Float[Array, "S ..."]
    weights: Float[Array, " S"]


class AbstractEstimator(eqx.Module):
    """Points and weights whose derivatives by θ are right, to every order: E[f] = E[Σ wᵢ f(xᵢ)].

    Quadrature is one: nodes that move with θ, or weights that do.
    """

    @abc.abstractmethod
    def points(self, family: Family, theta: PyTree[Array], key: PRNGKeyArray | None) -> Points:
        """The points and their weights."""

    def baseline(self, values: Float[Array, "S ..."]) -> Float[Array, "S ..."]:
        """What is taken off each value and, its mean, added again: a number that its own point does not know."""
        return jnp.zeros_like(values)


class Pathwise(AbstractEstimator):
    """Draws that move with θ: f must be differentiable, and the family reparametrised.

    Attributes:
        samples: S. antithetic: draws in pairs about the mean. sobol: two randomly shifted sets of Sobol points in place
            of independent draws; both are of Gaussians.
    """

    samples: int = eqx.field(static=True)
    antithetic: bool = eqx.field(static=True, default=False)
    sobol: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        _check(self.samples, antithetic=self.antithetic, sobol=self.sobol)

    def points(self, family: Family, theta: PyTree[Array], key: PRNGKeyArray | None) -> Points:
        if not family.reparametrised:
            raise ValueError(f"Draws of {type(family).__name__} have no derivative by its parameters; use Score.")
        x = _draws(self, family, theta, key)
        return Points(x, jnp.full(self.samples, 1 / self.samples, jnp.result_type(x, float)))


class Score(AbstractEstimator):
    """Draws that stay, with weights p_θ(x)/p_stop(θ)(x) of value 1: f is evaluated only, never differentiated.

    Attributes:
        samples, antithetic, sobol: as of `Pathwise`.
        leave_one_out: the baseline of a draw is the mean over those that are independent of it: all others, all other
            pairs, or the other set of Sobol points.

    Reference: J. Foerster et al., ICML 2018, arXiv:1802.05098; R. Salimans, D. Knowles, Bayesian Anal. 8, 837 (2013).
    """

    samples: int = eqx.field(static=True)
    leave_one_out: bool = eqx.field(static=True, default=True)
    antithetic: bool = eqx.field(static=True, default=False)
    sobol: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        _check(self.samples, antithetic=self.antithetic, sobol=self.sobol)
        if self.leave_one_out and self.samples < 2 * self._together:
            least = 2 * self._together
            raise ValueError(
                f"A leave-one-out baseline needs at least {least} samples here; got {self.samples}. Take more."
            )

    @property
    def _together(self) -> int:
        """How many draws depend on each other; they follow each other."""
        return self.samples // 2 if self.sobol else 1 + self.antithetic

    def points(self, family: Family, theta: PyTree[Array], key: PRNGKeyArray | None) -> Points:
        x = jax.lax.stop_gradient(_draws(self, family, jax.lax.stop_gradient(theta), key))
        log_p = jax.vmap(lambda one: family.log_prob(theta, one))(x)
        return Points(x, jnp.exp(log_p - jax.lax.stop_gradient(log_p)) / self.samples)

    def baseline(self, values: Float[Array, "S ..."]) -> Float[Array, "S ..."]:
        if not self.leave_one_out:
            return jnp.zeros_like(values)
        size = self._together
        own = jnp.sum(values.reshape(-1, size, *values.shape[1:]), axis=1)
        others = (jnp.sum(values, axis=0) - own) / (self.samples - size)
        return jnp.repeat(others, size, axis=0)


def expectation(
    estimator: AbstractEstimator,
    family: Family,
    theta: PyTree[Array],
    fn: Callable[[Array], Float[Array, "..."]],
    *,
    key: PRNGKeyArray | None = None,
) -> Float[Array, "..."]:
    """An unbiased estimate of E[fn(x)], x ~ p_θ, whose derivatives by θ are unbiased estimates of those of E.

    Args:
        estimator: how. family, theta: of x. fn: of one x; an array, and it may depend on θ too. key: of the draws.
    """
    x, weights = estimator.points(family, theta, key)
    values = jax.vmap(fn)(x)
    baseline = jax.lax.stop_gradient(estimator.baseline(values))
    return jnp.tensordot(weights, values - baseline, axes=1) + jnp.mean(baseline, axis=0)


def free_energy(
    family: Family,
    theta: PyTree[Array],
    energy: Callable[[Array], Float[Array, ""]],
    *,
    estimator: AbstractEstimator,
    key: PRNGKeyArray | None = None,
    exact_entropy: bool = False,
) -> Float[Array, ""]:
    """⟨E⟩ − S = KL(p_θ‖e^{−E}/Z) − log Z in nats, estimated: minus the evidence lower bound where E = −log p(x, data).

    Args:
        family, theta, estimator, key: as of `expectation`. energy: E of one x.
        exact_entropy: S in closed form. Else S is estimated by the same points with θ held in log p_θ: E of its
            derivative is 0, and an estimate of the gradient has no variance where p_θ = e^{−E}/Z. Its second
            derivatives are not those of the free energy, which lack the Fisher metric then.

    Reference: G. Roeder, Y. Wu, D. Duvenaud, NeurIPS 2017, arXiv:1703.09194.
    """
    if exact_entropy:
        return expectation(estimator, family, theta, energy, key=key) - family.entropy(theta)
    held = jax.lax.stop_gradient(theta)
    return expectation(estimator, family, theta, lambda x: energy(x) + family.log_prob(held, x), key=key)


def _check(samples: int, *, antithetic: bool, sobol: bool) -> None:
    if samples < 1:
        raise ValueError(f"An estimate needs at least one sample; got {samples}.")
    if antithetic and samples % 2:
        raise ValueError(f"Antithetic draws come in pairs; {samples} samples are odd. Take an even number.")
    if sobol and (samples & (samples - 1) or samples < 4):
        raise ValueError(f"Sobol points are a power of two, at least 4; got {samples} samples.")


def _draws(
    estimator: Pathwise | Score, family: Family, theta: PyTree[Array], key: PRNGKeyArray | None
) -> Float[Array, "S ..."]:
    """Draws, those that depend on each other in a row."""
    if key is None:
        raise ValueError(f"{type(estimator).__name__} draws at random; pass key=.")
    count = estimator.samples
    if not (estimator.antithetic or estimator.sobol):
        return jax.vmap(lambda each: family.sample(theta, key=each))(jax.random.split(key, count))
    if not isinstance(family, AbstractGaussian):
        raise ValueError(
            f"Antithetic draws and Sobol points are of Gaussians; {type(family).__name__} has independent draws only."
        )
    shape, dtype = theta[0].shape, theta[0].dtype
    if estimator.antithetic:
        count //= 2
    if estimator.sobol:
        points = _sobol(count // 2, int(np.prod(shape)))
        shifts = jax.random.uniform(key, (2, 1, points.shape[1]), dtype)
        # 0 is a point, and has no quantile where its shift is 0
        uniform = jnp.maximum((jnp.asarray(points, dtype) + shifts) % 1, jnp.finfo(dtype).tiny)
        noise = jax.scipy.stats.norm.ppf(uniform).reshape(count, *shape)
    else:
        noise = jax.random.normal(key, (count, *shape), dtype)
    if estimator.antithetic:
        noise = jnp.stack([noise, -noise], axis=1).reshape(2 * count, *shape)
    return jax.vmap(lambda each: family.from_noise(theta, each))(noise)


@functools.lru_cache(maxsize=8)
def _sobol(count: int, dimensions: int) -> Any:
    """(count, dimensions) of [0, 1), count a power of two."""
    from scipy.stats import qmc

    if dimensions > qmc.Sobol.MAXDIM:
        raise ValueError(f"Sobol points have at most {qmc.Sobol.MAXDIM} dimensions; {dimensions} are wanted.")
    return qmc.Sobol(dimensions, scramble=False).random_base2(count.bit_length() - 1)
