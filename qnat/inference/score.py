"""Means and score gradients from counted draws, with their standard errors."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .estimate import Estimate


def sample_mean(values: Float[Array, "... m"], counts: Float[Array, " m"]) -> Estimate:
    """The mean over draws, `counts` of which had each of the values along the last axis."""
    shots = jnp.sum(counts)
    mean = values @ counts / shots
    return Estimate(mean, jnp.sqrt((values - mean[..., None]) ** 2 @ counts / (shots - 1) / shots))


def score_gradient(
    statistics: Float[Array, "d T"], values: Float[Array, "d m"], counts: Float[Array, "d m"]
) -> Estimate:
    """Cov(∂E, f) from draws (x, y), `counts` of which gave f = values[x, y]: the score estimator, unbiased.

    Each draw's baseline is the mean of f over the others, which is the sample covariance with the factor N/(N − 1).
    """
    shots = jnp.sum(counts)
    scores = statistics - jnp.sum(counts, axis=1) @ statistics / shots
    residuals = values - jnp.sum(counts * values) / shots
    total = jnp.sum(counts * residuals, axis=1) @ scores
    variance = jnp.sum(counts * residuals**2, axis=1) @ scores**2 / shots - (total / shots) ** 2
    return Estimate(total / (shots - 1), jnp.sqrt(jnp.maximum(variance, 0) / (shots - 1)))


def total(estimates: Estimate) -> Estimate:
    """The sum of independent estimates, stacked along the first axis."""
    value, error = estimates
    return Estimate(jnp.sum(value, axis=0), jnp.sqrt(jnp.sum(error**2, axis=0)))
