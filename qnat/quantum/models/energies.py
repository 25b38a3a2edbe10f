"""Energies of the latent distribution p(b) ∝ exp(−E(b)), as functions of all spin configurations s = 1 − 2b at once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.geometry.spins import all_bits, subsets


def spins(n: int) -> Float[np.ndarray, "d n"]:
    """The spins ±1 of every bit string, wire 0 the most significant bit."""
    return 1.0 - 2.0 * all_bits(n)


@functools.lru_cache(maxsize=16)
def spin_products(n: int, order: int) -> Float[np.ndarray, "d T"]:
    """Π_{i∈S} sᵢ for every bit string and every set 0 < |S| ≤ order, by size, then lexicographically."""
    table = spins(n)
    return np.stack([table[:, list(each)].prod(1) for each in subsets(n, order)], axis=1)


def network_init(key: PRNGKeyArray, n: int, hidden: int, scale: float) -> Float[Array, " T"]:
    """Normal weights; the output has standard deviation `scale`, so that the energies start about that small."""
    inner, outer = jax.random.split(key)
    first = jax.random.normal(inner, (hidden, n + 1)) / jnp.sqrt(n + 1)
    return jnp.concatenate([first.ravel(), scale * jax.random.normal(outer, (hidden,))])


def network_energy(weights: Float[Array, " T"], table: Float[Array, "d n"]) -> Float[Array, " d"]:
    """E(s) = v · tanh(W s + b), one hidden layer.

    The output has no bias: a constant changes no probability and would make the metric singular. The weights are W and
    b row by row, then v.
    """
    n = table.shape[1]
    hidden = weights.size // (n + 2)
    first, last = weights[:-hidden].reshape(hidden, n + 1), weights[-hidden:]
    return jnp.tanh(table @ first[:, :n].T + first[:, n]) @ last
