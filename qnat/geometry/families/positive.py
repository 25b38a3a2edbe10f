"""Positive variables: exponential, gamma and inverse gamma."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .base import AbstractUnweightedFamily, within
from .special import digamma_gap, wishart_excess


class Exponential(AbstractUnweightedFamily):
    """Waiting times; θ is minus the rate, its mean parameter the mean."""

    reparametrised: ClassVar[bool] = True

    def potential(self, theta: Float[Array, "*s"]) -> Float[Array, ""]:
        return -jnp.sum(jnp.log(-theta))

    def to_primal(self, eta: Float[Array, "*s"]) -> Float[Array, "*s"]:
        inside = (eta > 0) & (eta < jnp.inf)
        return within(inside, -jnp.reciprocal(eta), "The means of an Exponential family are finite and above 0.")

    def statistic(self, x: Array) -> Float[Array, "*s"]:
        return x

    def sample(self, theta: Float[Array, "*s"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return jax.random.exponential(key, theta.shape, theta.dtype) / -theta


class Gamma(AbstractUnweightedFamily):
    """Positive variables of shape a and rate b along a last axis of two; θ = (a − 1, −b), means (E[log x], E[x]).

    The charts are exact up to rounding, and hold no more digits than this: a is known to ε/a from θ, and to 2aε∣E[log
    x]∣ from the means, ε the rounding of one number. A draw of a shape below 1/700, or 1/80 in single precision, may be
    0.
    """

    reparametrised: ClassVar[bool] = True

    def potential(self, theta: Float[Array, "*s 2"]) -> Float[Array, ""]:
        return _potential(theta[..., 0] + 1, -theta[..., 1])

    def to_dual(self, theta: Float[Array, "*s 2"]) -> Float[Array, "*s 2"]:
        return _means(theta[..., 0] + 1, -theta[..., 1])

    def to_primal(self, eta: Float[Array, "*s 2"]) -> Float[Array, "*s 2"]:
        inside, shape, rate = _shape_and_rate(eta[..., 0], eta[..., 1])
        sentence = "The means of a Gamma family are finite, with E[log x] < log E[x]."
        return within(inside[..., None], jnp.stack([shape - 1, -rate], axis=-1), sentence)

    def statistic(self, x: Float[Array, "*s"]) -> Float[Array, "*s 2"]:
        return jnp.stack([jnp.log(x), x], axis=-1)

    def sample(self, theta: Float[Array, "*s 2"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return jax.random.gamma(key, theta[..., 0] + 1, dtype=theta.dtype) / -theta[..., 1]


class InverseGamma(AbstractUnweightedFamily):
    """1/x of a gamma variable of shape a and rate b, along a last axis of two; θ = (−a − 1, −b), t = (log x, 1/x).

    The digits are those of `Gamma`.
    """

    reparametrised: ClassVar[bool] = True

    def potential(self, theta: Float[Array, "*s 2"]) -> Float[Array, ""]:
        return _potential(-1 - theta[..., 0], -theta[..., 1])

    def to_dual(self, theta: Float[Array, "*s 2"]) -> Float[Array, "*s 2"]:
        return _means(-1 - theta[..., 0], -theta[..., 1]) * jnp.array([-1, 1], theta.dtype)

    def to_primal(self, eta: Float[Array, "*s 2"]) -> Float[Array, "*s 2"]:
        inside, shape, rate = _shape_and_rate(-eta[..., 0], eta[..., 1])
        sentence = "The means of an InverseGamma family are finite, with −E[log x] < log E[1/x]."
        return within(inside[..., None], jnp.stack([-1 - shape, -rate], axis=-1), sentence)

    def statistic(self, x: Float[Array, "*s"]) -> Float[Array, "*s 2"]:
        return jnp.stack([jnp.log(x), 1 / x], axis=-1)

    def sample(self, theta: Float[Array, "*s 2"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return -theta[..., 1] * jnp.exp(-jax.random.loggamma(key, -1 - theta[..., 0], dtype=theta.dtype))


def _potential(shape: Float[Array, "*s"], rate: Float[Array, "*s"]) -> Float[Array, ""]:
    return jnp.sum(gammaln(shape) - shape * jnp.log(rate))


def _means(shape: Float[Array, "*s"], rate: Float[Array, "*s"]) -> Float[Array, "*s 2"]:
    """(E[log x], E[x]) of gamma variables."""
    return jnp.stack([jnp.log(shape / rate) - digamma_gap(shape), shape / rate], axis=-1)


def _shape_and_rate(
    log_mean: Float[Array, "*s"], mean: Float[Array, "*s"]
) -> tuple[Bool[Array, "*s"], Float[Array, "*s"], Float[Array, "*s"]]:
    """Whether there are gamma variables of these means, their shape and their rate: log a − ψ(a) is the gap."""
    gap = jnp.log(mean) - log_mean
    shape = wishart_excess(gap)
    return (gap > 0) & (gap < jnp.inf), shape, shape / mean
