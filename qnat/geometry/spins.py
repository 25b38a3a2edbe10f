"""Configurations of bits and products of spins, in the one order that both branches use."""

import itertools

import numpy as np
from jaxtyping import Float


def all_bits(n: int) -> Float[np.ndarray, "d n"]:
    """Every state of n bits, the first the most significant; d = 2^n."""
    return (np.arange(2**n)[:, None] >> np.arange(n)[::-1] & 1).astype(float)


def subsets(n: int, order: int) -> tuple[tuple[int, ...], ...]:
    """Every set of one to `order` of n units, by size, then lexicographically."""
    return tuple(each for size in range(1, order + 1) for each in itertools.combinations(range(n), size))
