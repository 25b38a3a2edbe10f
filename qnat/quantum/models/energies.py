"""Energies of the latent distribution p(b) ∝ exp(−E(b)), as functions of all spin configurations s = 1 − 2b at once."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray


def spins(n: int) -> Float[np.ndarray, "d n"]:
    """The spins ±1 of every bit string, wire 0 the most significant bit."""
    return 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n)[::-1] & 1)


@functools.lru_cache(maxsize=16)
def spin_products(n: int, order: int) -> Float[np.ndarray, "d T"]:
    """Π_{i∈S} sᵢ for every bit string and every set 0 < |S| ≤ order, by size, then lexicographically."""
    sets = [s for size in range(1, order + 1) for s in itertools.combinations(range(n), size)]
    table = spins(n)
    return np.stack([table[:, list(s)].prod(1) for s in sets], axis=1)


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
