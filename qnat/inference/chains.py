"""Draws of Markov chains that run side by side, and how far they can be trusted."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Chains(NamedTuple):
    """The draws of C chains, as many as fit: where there are more, every second one is kept, then every fourth, ….

    Attributes:
        position: (C, d) where the chains are. draws: (C, capacity, d), the first `kept` of which are taken.
        kept: how many draws of each chain there are. stride: steps from one to the next. step: steps so far.
    """

    position: Float[Array, "C d"]
    draws: Float[Array, "C capacity d"]
    kept: Int[Array, ""]
    stride: Int[Array, ""]
    step: Int[Array, ""]


def start_chains(position: Float[Array, "C d"], capacity: int = 1000) -> Chains:
    """Chains without a draw.

    Args:
        position: where they start. capacity: draws of each that are kept at most, an even number.
    """
    if capacity < 4 or capacity % 2:
        raise ValueError(f"The capacity of chains is an even number of at least 4; got {capacity}.")
    chains, size = position.shape
    zero, one = jnp.zeros((), jnp.int32), jnp.ones((), jnp.int32)
    return Chains(position, jnp.zeros((chains, capacity, size), position.dtype), zero, one, zero)


def extended(chains: Chains, position: Float[Array, "C d"]) -> Chains:
    """The chains a step later."""
    capacity, step = chains.draws.shape[1], chains.step + 1
    due = step % chains.stride == 0
    # written past the end, and dropped, unless it is due
    draws = chains.draws.at[:, jnp.where(due, chains.kept, capacity)].set(position, mode="drop")
    count = chains.kept + due
    full = count == capacity

    def thinned() -> Float[Array, "C capacity d"]:
        half = draws[:, 1::2]
        return jnp.concatenate([half, jnp.zeros_like(half)], axis=1)

    draws = jax.lax.cond(full, thinned, lambda: draws)
    return Chains(
        position,
        draws,
        jnp.where(full, capacity // 2, count).astype(count.dtype),
        jnp.where(full, 2, 1).astype(chains.stride.dtype) * chains.stride,
        step,
    )


def moments(chains: Chains) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """Mean and covariance of all draws; NaN where there are none."""
    there = _there(chains)
    total = jnp.sum(there) * chains.draws.shape[0]
    mean = jnp.sum(jnp.where(there[:, None], chains.draws, 0), axis=(0, 1)) / total
    centred = jnp.where(there[:, None], chains.draws - mean, 0)
    return mean, jnp.einsum("cni,cnj->ij", centred, centred) / (total - 1)


def _there(chains: Chains) -> Bool[Array, " capacity"]:
    return jnp.arange(chains.draws.shape[1]) < chains.kept


def split_r_hat(chains: Chains) -> Float[Array, " d"]:
    """√(variance of all halves of chains together / the mean within them): 1 where they agree, NaN below four draws.

    Reference: A. Gelman, J. Carlin, H. Stern, D. Dunson, A. Vehtari, D. Rubin, Bayesian Data Analysis (2013), 11.4.
    """
    whole = chains.kept // 2
    place = jnp.arange(chains.draws.shape[1])
    parts = jnp.stack([place < whole, (place >= whole) & (place < 2 * whole)])  # (2, capacity)
    half = whole.astype(chains.draws.dtype)
    weights = parts[:, None, :, None] / half
    means = jnp.sum(weights * chains.draws, axis=2)  # (2, C, d)
    squares = jnp.sum(weights * (chains.draws - means[:, :, None]) ** 2, axis=2)
    within = jnp.mean(squares, axis=(0, 1)) * half / (half - 1)
    between = jnp.var(means, axis=(0, 1), ddof=1)
    return jnp.where(half > 1, jnp.sqrt(((half - 1) / half * within + between) / within), jnp.nan)


def effective_sample_size(chains: Chains) -> Float[Array, " d"]:
    """How many independent draws the mean of each entry is worth: by Geyer's initial monotone sequence.

    Chains that disagree count as slow. NaN below four draws.

    Reference: C. Geyer, Stat. Sci. 7, 473 (1992); A. Vehtari et al., Bayesian Anal. 16, 667 (2021).
    """
    there, n = _there(chains), chains.kept.astype(chains.draws.dtype)
    count, capacity, _ = chains.draws.shape
    masked = jnp.where(there[:, None], chains.draws, 0)
    means = jnp.sum(masked, axis=1) / n
    centred = jnp.where(there[:, None], chains.draws - means[:, None], 0)
    spectrum = jnp.abs(jnp.fft.rfft(centred, 2 * capacity, axis=1)) ** 2
    covariance = jnp.mean(jnp.fft.irfft(spectrum, 2 * capacity, axis=1)[:, :capacity], axis=0) / n  # (capacity, d)
    variance = covariance[0] * n / (n - 1)
    total = covariance[0] + (jnp.var(means, axis=0, ddof=1) if count > 1 else 0.0)
    rho = jnp.where(there[:, None], 1 - (variance - covariance) / total, 0).at[0].set(1.0)
    even = rho[::2]
    pairs = even + rho[1::2]
    positive = jnp.cumprod(pairs > 0, axis=0)
    monotone = jax.lax.cummin(jnp.where(positive, pairs, 0), axis=0)
    # the term behind the last pair, which halves the bias of the cut
    behind = jnp.concatenate([jnp.ones_like(positive[:1]), positive[:-1]]) - positive
    tau = 2 * jnp.sum(monotone, axis=0) - 1 + jnp.sum(behind * jnp.maximum(even, 0), axis=0)
    tau = jnp.maximum(tau, 1 / jnp.log10(jnp.maximum(count * n, 10)))
    return jnp.where(n > 3, count * n / tau, jnp.nan)
