"""Negative binomial counts and their mixtures: the surrogate is a gamma family of the same mean and variance."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree

from qnat.geometry.families import Gamma
from qnat.geometry.joint import Joint, MixtureFamily

from .surrogate import AbstractSurrogateDensity, Parameters, clusters, finite, joint, log_weights


def _log_prob(theta: Float[Array, "*s 2"], x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log Γ(x + r)/(Γ(r) x!) sʳ(1 − s)ˣ with s = β and r = α/(1 − β); NaN outside 0 < β < 1."""
    shape, success = theta[..., 0] + 1, -theta[..., 1]
    size = shape / (1 - success)
    log_p = gammaln(x + size) - gammaln(size) - gammaln(x + 1) + size * jnp.log(success) + x * jnp.log1p(-success)
    return jnp.where(_inside(theta), log_p, jnp.nan)


def _inside(theta: Float[Array, "*s 2"]) -> Bool[Array, "*s"]:
    return (theta[..., 0] > -1) & (theta[..., 1] < 0) & (theta[..., 1] > -1)


def _to_free(theta: Float[Array, "*s 2"]) -> Float[Array, "*s 2"]:
    """(log r, logit s)."""
    shape, success = theta[..., 0] + 1, -theta[..., 1]
    return jnp.stack([jnp.log(shape) - jnp.log1p(-success), jax.scipy.special.logit(success)], axis=-1)


def _from_free(free: Float[Array, "*s 2"]) -> Float[Array, "*s 2"]:
    shape = jnp.exp(free[..., 0]) * jax.nn.sigmoid(-free[..., 1])
    return jnp.stack([shape - 1, -jax.nn.sigmoid(free[..., 1])], axis=-1)


def _of_moments(mean: np.ndarray[Any, Any], variance: np.ndarray[Any, Any]) -> Float[Array, "*s 2"]:
    """θ of the gamma family with this mean and a variance that is larger."""
    rate = mean / variance
    return jnp.asarray(np.stack([mean * rate - 1, -rate], axis=-1))


def _counts(x: ArrayLike) -> np.ndarray[Any, np.dtype[np.float64]]:
    found = np.asarray(x, float)
    if found.ndim != 1 or found.size < 2:
        raise ValueError(f"Counts are a vector of at least two numbers; these have shape {found.shape}.")
    if (wrong := found[~(np.isfinite(found) & (found >= 0) & (found == np.round(found)))]).size:
        raise ValueError(f"A negative binomial takes counts 0, 1, 2, …; {wrong.size} are not, such as {wrong[0]}.")
    if found.var() <= found.mean():
        raise ValueError(
            f"A negative binomial has a variance above its mean; these counts have mean {found.mean():.4g} and "
            f"variance {found.var():.4g}. Take a Poisson or binomial distribution."
        )
    return found


class NegativeBinomial(AbstractSurrogateDensity):
    """p(x) = Γ(x + r)/(Γ(r) x!) sʳ(1 − s)ˣ of counts x; the surrogate Gamma(α, β) has s = β and r = α/(1 − β).

    Mean and variance of both are the same, α/β and α/β². The domain is 0 < β < 1, variances above the mean.
    """

    surrogate: Gamma

    def __init__(self) -> None:
        self.surrogate = Gamma()

    def log_prob(self, params: Parameters, x: Float[Array, " N"]) -> Float[Array, " N"]:
        return _log_prob(params.surrogate, x)

    def inside(self, theta: Float[Array, " 2"]) -> Bool[Array, ""]:
        return _inside(theta)

    def start(self, x: ArrayLike, *, key: PRNGKeyArray) -> Parameters:
        counts = _counts(x)
        return Parameters(_of_moments(counts.mean(), counts.var()))

    def to_free(self, params: Parameters) -> Float[Array, " 2"]:
        """(log r, logit s)."""
        return _to_free(params.surrogate)

    def from_free(self, free: Float[Array, " 2"]) -> Parameters:
        return Parameters(_from_free(free))


class NegativeBinomialMixture(AbstractSurrogateDensity):
    """p(x) = Σₖ πₖ p(x; rₖ, sₖ) of counts; the surrogate is a mixture of gammas with its label known.

    Attributes:
        components: K.
    """

    surrogate: MixtureFamily
    components: int = eqx.field(static=True)

    def __init__(self, components: int) -> None:
        self.surrogate = MixtureFamily(Gamma())
        self.components = components

    def log_prob(self, params: Parameters, x: Float[Array, " N"]) -> Float[Array, " N"]:
        _, parts = params.surrogate
        weights = log_weights(self.surrogate, params.surrogate)
        return jax.nn.logsumexp(weights[:, None] + _log_prob(parts[:, None], x), axis=0)

    def inside(self, theta: Joint) -> Bool[Array, ""]:
        return finite(theta) & jnp.all(_inside(theta[1]))

    def start(self, x: ArrayLike, *, key: PRNGKeyArray) -> Parameters:
        counts = _counts(x)
        labels = clusters(np.sqrt(counts)[:, None], self.components, key)
        groups = [counts[labels == k] for k in range(self.components)]
        mean = np.maximum([group.mean() for group in groups], 1 / counts.size)
        # a slice of counts is narrower than the component that it stands for
        variance = np.maximum([group.var() for group in groups], 1.1 * mean)
        parts = _of_moments(mean, variance)
        weights = np.array([group.size for group in groups]) / counts.size
        return Parameters(joint(self.surrogate, jnp.log(weights), parts))

    def to_free(self, params: Parameters) -> PyTree[Array]:
        """(log π, (log rₖ, logit sₖ)), the first up to a constant."""
        return log_weights(self.surrogate, params.surrogate), _to_free(params.surrogate[1])

    def from_free(self, free: PyTree[Array]) -> Parameters:
        return Parameters(joint(self.surrogate, free[0], _from_free(free[1])))
