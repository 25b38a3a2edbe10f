"""Normal variables: of unit variance, and multivariate with any covariance."""

import abc
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..matrices import hermitian
from .base import AbstractExponentialFamily, within


class Normal(AbstractExponentialFamily):
    """Normal variables of unit variance; θ are the means, and both charts are the same."""

    reparametrised: ClassVar[bool] = True

    def potential(self, theta: Float[Array, "*s"]) -> Float[Array, ""]:
        return jnp.sum(theta**2) / 2

    def to_primal(self, eta: Float[Array, "*s"]) -> Float[Array, "*s"]:
        return within(jnp.isfinite(eta), eta, "The means of a Normal family are finite.")

    def statistic(self, x: Array) -> Float[Array, "*s"]:
        return x

    def log_base(self, x: Array) -> Float[Array, ""]:
        return -jnp.sum(x**2 + jnp.log(2 * jnp.pi)) / 2

    def mean_log_base(self, theta: Float[Array, "*s"]) -> Float[Array, ""]:
        return -jnp.sum(theta**2 + 1 + jnp.log(2 * jnp.pi)) / 2

    def sample(self, theta: Float[Array, "*s"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return theta + jax.random.normal(key, theta.shape, theta.dtype)


class AbstractGaussian(AbstractExponentialFamily):
    """Multivariate normal variables x (d,); θ begins with Λμ, the means with E[x]."""

    reparametrised: ClassVar[bool] = True

    def log_base(self, x: Float[Array, "*s"]) -> Float[Array, ""]:
        return -x.size * jnp.log(2 * jnp.pi) / 2

    def mean_log_base(self, theta: tuple[Float[Array, "*s"], PyTree[Array]]) -> Float[Array, ""]:
        return -theta[0].size * jnp.log(2 * jnp.pi) / 2

    @abc.abstractmethod
    def from_noise(
        self, theta: tuple[Float[Array, "*s"], PyTree[Array]], noise: Float[Array, "*s"]
    ) -> Float[Array, "*s"]:
        """The x that standard normal noise becomes, linear in it: that of −noise is the mirror image about the mean."""

    def sample(self, theta: tuple[Float[Array, "*s"], PyTree[Array]], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return self.from_noise(theta, jax.random.normal(key, theta[0].shape, theta[0].dtype))


Pair = tuple[Float[Array, " d"], Float[Array, "d d"]]


class Gaussian(AbstractGaussian):
    """Multivariate normal; θ = (Λμ, −Λ/2) with the precision Λ, means (E[x], E[xxᵀ]).

    Of −Λ/2 only the symmetric part matters. Second moments that are not symmetric up to rounding are refused where they
    are known; inside jit they are not checked, and what they give means nothing.
    """

    def potential(self, theta: Pair) -> Float[Array, ""]:
        shift, half = theta
        precision = -(half + half.T)
        factor = jnp.linalg.cholesky(precision)
        mean = jax.scipy.linalg.cho_solve((factor, True), shift)
        return shift @ mean / 2 - jnp.sum(jnp.log(jnp.diagonal(factor)))

    def to_primal(self, eta: Pair) -> Pair:
        mean, (second,) = eta[0], hermitian(second=eta[1])
        covariance = second - jnp.outer(mean, mean)
        factor = jnp.linalg.cholesky(covariance)
        rounding = mean.size * jnp.finfo(factor.dtype).eps * jnp.diagonal(second)
        inside = jnp.all(jnp.diagonal(factor) ** 2 > rounding)  # false for NaN
        # after the other factorisation: two at a time, batched, may wait for each other for ever (jaxlib 0.10)
        precision = jnp.linalg.inv(jnp.where(inside, covariance, jnp.nan))
        precision = (precision + precision.T) / 2
        sentence = (
            "A Gaussian has a positive definite covariance E[xxᵀ] − E[x]E[x]ᵀ; that of these means is singular up to "
            "rounding. Take more data than dimensions, or add some variance."
        )
        return within(inside, (precision @ mean, -precision / 2), sentence)

    def retract(self, theta: Pair, step: Pair) -> Pair:
        """Λ₊ = Λ + S + S Λ⁻¹ S/2 for a step S of the precision; the mean moves by Λ₊⁻¹(s − Sμ), s the step of Λμ."""
        shift, half = theta
        precision, change = -(half + half.T), -(step[1] + step[1].T)
        factor = jnp.linalg.cholesky(precision)
        mean = jax.scipy.linalg.cho_solve((factor, True), shift)
        precision = moved(factor, precision, change)
        return precision @ mean + step[0] - change @ mean, -precision / 2

    def statistic(self, x: Float[Array, " d"]) -> Pair:
        return x, jnp.outer(x, x)

    def from_noise(self, theta: Pair, noise: Float[Array, " d"]) -> Float[Array, " d"]:
        shift, half = theta
        factor = jnp.linalg.cholesky(-(half + half.T))
        mean = jax.scipy.linalg.cho_solve((factor, True), shift)
        return mean + jax.scipy.linalg.solve_triangular(factor.T, noise, lower=False)


def moved(factor: Float[Array, "d d"], matrix: Float[Array, "d d"], step: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """P + S + S P⁻¹ S/2 of P and its Cholesky factor, positive definite whatever the symmetric S is.

    It is the exponential map of the cone to second order.

    Reference: W. Lin, M. Schmidt, M. E. Khan, Handling the positive-definite constraint in the Bayesian learning
    rule, ICML 2020, arXiv:2002.10060.
    """
    root = jax.scipy.linalg.solve_triangular(factor, step, lower=True)
    return matrix + step + root.T @ root / 2
