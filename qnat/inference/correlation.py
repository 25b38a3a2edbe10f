"""How many independent draws a chain is worth."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def autocorrelation_time(series: Float[Array, "chains draws"]) -> Float[Array, ""]:
    """τ = 1 + 2 Σ ρ(t) ≥ 1, in draws, of a stationary series: its mean varies as that of draws/τ independent values.

    The sum ends at the first window of five τ, and chains that disagree count as slow: their spread is in the variance
    that ρ is relative to.

    Reference: U. Wolff, Comput. Phys. Commun. 156, 143 (2004); A. Sokal, Monte Carlo methods in statistical mechanics.
    """
    draws = series.shape[1]
    centred = series - jnp.mean(series)
    transformed = jnp.fft.rfft(centred, 2 * draws, axis=1)
    products = jnp.fft.irfft(jnp.abs(transformed) ** 2, 2 * draws, axis=1)[:, :draws]
    covariance = jnp.mean(products, axis=0) / jnp.arange(draws, 0, -1)
    rho = covariance / jnp.where(covariance[0] > 0, covariance[0], 1)
    tau = 2 * jnp.cumsum(rho) - 1
    done = jnp.arange(draws) >= 5 * tau
    window = jnp.where(jnp.any(done), jnp.argmax(done), draws - 1)
    return jnp.maximum(tau[window], 1.0)
