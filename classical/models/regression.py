"""Likelihoods of regressions and of volatility, as one writes them: log p(data | parameters), and nothing else.

Derivatives are JAX's, where a method wants any. Parameters are dictionaries of arrays.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln, log_ndtr
from jaxtyping import Array, Float

from .gaussian import LOG_2PI

Params = Mapping[str, Float[Array, "..."]]


class Design(NamedTuple):
    """x: (N, d) inputs, a column of ones among them if there is an intercept. y: (N,) responses."""

    x: Float[Array, "N d"]
    y: Float[Array, " N"]


def logistic(params: Params, data: Design) -> Float[Array, ""]:
    """y is 0 or 1, of log-odds x·w."""
    logits = data.x @ params["weights"]
    return jnp.sum(data.y * logits - jax.nn.softplus(logits))


def probit(params: Params, data: Design) -> Float[Array, ""]:
    """y is 0 or 1, the latter with probability Φ(x·w)."""
    sign = 2 * data.y - 1
    return jnp.sum(log_ndtr(sign * (data.x @ params["weights"])))


def poisson(params: Params, data: Design) -> Float[Array, ""]:
    """y is a count of mean exp(x·w)."""
    log_mean = data.x @ params["weights"]
    return jnp.sum(data.y * log_mean - jnp.exp(log_mean) - gammaln(data.y + 1))


def linear(params: Params, data: Design) -> Float[Array, ""]:
    """y is normal about x·w, of a standard deviation that is a parameter too, by its logarithm."""
    log_noise = params["log_noise"]
    residuals = (data.y - data.x @ params["weights"]) * jnp.exp(-log_noise)
    return -jnp.sum(residuals**2) / 2 - data.y.size * (log_noise + LOG_2PI / 2)


def garch_variances(params: Params, returns: Float[Array, " N"]) -> Float[Array, " N+1"]:
    """Conditional variances of returns and of the next one: h₊ = v(1 − a) + αr² + βh, α + β = a, from h = v.

    log_variance is log v, persistence the log-odds of a, news those of α/a: any real numbers are a stationary model.
    """
    variance = jnp.exp(params["log_variance"])
    persistence = jax.nn.sigmoid(params["persistence"])
    alpha = persistence * jax.nn.sigmoid(params["news"])

    def after(h: Float[Array, ""], r: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        new = variance * (1 - persistence) + alpha * r**2 + (persistence - alpha) * h
        return new, new

    return jnp.concatenate([variance[None], jax.lax.scan(after, variance, returns)[1]])


def garch(params: Params, returns: Float[Array, " N"]) -> Float[Array, ""]:
    """Normal returns of mean 0, of variances that follow those before.

    Reference: T. Bollerslev, J. Econometrics 31, 307 (1986).
    """
    h = garch_variances(params, returns)[:-1]
    return -jnp.sum(returns**2 / h + jnp.log(h) + LOG_2PI) / 2
