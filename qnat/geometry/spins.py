"""Configurations of bits and products of spins, in the one order that both branches use."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

_BLOCK = 4
"""Bits that one matrix product transforms. Two or eight of them take longer, single ones six times with a gradient."""


def all_bits(n: int) -> Float[np.ndarray, "d n"]:
    """Every state of n bits, the first the most significant; d = 2^n."""
    return (np.arange(2**n)[:, None] >> np.arange(n)[::-1] & 1).astype(float)


def bits_of(states: Int[Array, "*s"], n: int) -> Int[Array, "*s n"]:
    """The bits of states that are given by their number: rows of `all_bits`."""
    return states[..., None] >> np.arange(n)[::-1] & 1


def subsets(n: int, order: int) -> tuple[tuple[int, ...], ...]:
    """Every set of one to `order` of n units, by size, then lexicographically."""
    return tuple(each for size in range(1, order + 1) for each in itertools.combinations(range(n), size))


@functools.lru_cache(maxsize=16)
def masks(n: int, sets: tuple[tuple[int, ...], ...]) -> Int[np.ndarray, " T"]:
    """The number of the state in which just the units of a set are 1, set by set."""
    return np.array([sum(1 << (n - 1 - unit) for unit in each) for each in sets])


@jax.jit
def walsh(v: Float[Array, " d"]) -> Float[Array, " d"]:
    """The Walsh–Hadamard transform Σ_b Π_{i: aᵢ = 1} sᵢ(b) v_b of numbers on all states of n bits, spins s = 1 − 2b.

    Of probabilities it gives the means of all products of spins, of couplings, each at its mask, the exponents of all
    states; twice it is 2^n. It takes d log d operations, in products with small Hadamard matrices.
    """
    size, done = v.size.bit_length() - 1, 0
    transformed = v
    while done < size:
        bits = min(_BLOCK, size - done)
        numbers = np.arange(2**bits)
        hadamard = 1.0 - 2.0 * (np.bitwise_count(numbers[:, None] & numbers) & 1)
        transformed = jnp.einsum(
            "ab,xby->xay",
            hadamard.astype(v.dtype),
            transformed.reshape(2**done, 2**bits, -1),
            precision=jax.lax.Precision.HIGHEST,
        )
        done += bits
    return transformed.reshape(-1)
