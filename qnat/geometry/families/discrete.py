"""Bits, classes and counts."""

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, PRNGKeyArray

from ..mirror import pairing
from .base import AbstractExponentialFamily, AbstractUnweightedFamily, within


class Bernoulli(AbstractUnweightedFamily):
    """Bits; θ are logits, the means probabilities; a certain bit has θ = ±∞."""

    def potential(self, theta: Float[Array, "*s"]) -> Float[Array, ""]:
        return jnp.sum(jax.nn.softplus(theta))

    def to_primal(self, eta: Float[Array, "*s"]) -> Float[Array, "*s"]:
        inside = (eta >= 0) & (eta <= 1)
        return within(inside, jax.scipy.special.logit(eta), "The means of a Bernoulli family lie in [0, 1].")

    def log_density(self, theta: Float[Array, "*s"], t: Float[Array, "*s"]) -> Float[Array, ""]:
        return pairing(jax.nn.log_sigmoid(theta), t) + pairing(jax.nn.log_sigmoid(-theta), 1 - t)

    def statistic(self, x: Array) -> Float[Array, "*s"]:
        return x

    def sample(self, theta: Float[Array, "*s"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return jax.random.bernoulli(key, jax.nn.sigmoid(theta)).astype(theta.dtype)


class Categorical(AbstractUnweightedFamily):
    """Classes 0 … K − 1 along the last axis; θ are logits, up to a constant, the means probabilities.

    The K statistics sum to one, so the Fisher metric has the constant vector in its null space; `to_primal` gives the
    logits whose sum is zero, without those of impossible classes, which are −∞.
    """

    def potential(self, theta: Float[Array, "*s K"]) -> Float[Array, ""]:
        return jnp.sum(jax.nn.logsumexp(theta, axis=-1))

    def to_primal(self, eta: Float[Array, "*s K"]) -> Float[Array, "*s K"]:
        finite = jnp.all((eta >= 0) & (eta < jnp.inf), axis=-1, keepdims=True)
        inside = finite & jnp.any(eta > 0, axis=-1, keepdims=True)
        logits = jnp.log(eta) - jnp.mean(jnp.log(eta), axis=-1, keepdims=True, where=eta > 0)
        return within(inside, logits, "The means of a Categorical family are finite, not negative, and not all 0.")

    def statistic(self, x: Array) -> Float[Array, "*s K"]:
        return x

    def sample(self, theta: Float[Array, "*s K"], *, key: PRNGKeyArray) -> Float[Array, "*s K"]:
        """A class, one-hot, as `statistic` and `log_prob` take it."""
        return jax.nn.one_hot(jax.random.categorical(key, theta), theta.shape[-1], dtype=theta.dtype)


class Poisson(AbstractExponentialFamily):
    """Counts; θ are logarithms of the means, −∞ of a count that is always 0."""

    def potential(self, theta: Float[Array, "*s"]) -> Float[Array, ""]:
        return jnp.sum(jnp.exp(theta))

    def to_primal(self, eta: Float[Array, "*s"]) -> Float[Array, "*s"]:
        inside = (eta >= 0) & (eta < jnp.inf)
        return within(inside, jnp.log(eta), "The means of a Poisson family are finite and at least 0.")

    def statistic(self, x: Array) -> Float[Array, "*s"]:
        return x

    def log_base(self, x: Array) -> Float[Array, ""]:
        return -jnp.sum(gammaln(x + 1))

    def sample(self, theta: Float[Array, "*s"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return jax.random.poisson(key, jnp.exp(theta)).astype(theta.dtype)
