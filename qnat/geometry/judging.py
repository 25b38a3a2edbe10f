"""What the laws of this room judge by: a sentence that fails, machine epsilon, relative gaps, random vectors."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

Facts = Mapping[str, Array]


def require(holds: Any, sentence: str) -> None:
    """Raises AssertionError with the sentence unless it holds."""
    if not bool(holds):
        raise AssertionError(sentence)


def epsilon(*trees: Any) -> float:
    """Machine epsilon of arrays or of their structures."""
    return float(jnp.finfo(jnp.result_type(*jax.tree.leaves(trees))).eps)


def relative_gap(a: Array, b: Array) -> Float[Array, ""]:
    """Largest difference, relative to the larger of the two; 0 for two zeros, infinite for NaN."""
    scale = jnp.maximum(jnp.maximum(jnp.max(jnp.abs(a)), jnp.max(jnp.abs(b))), 1e-30)
    gap = jnp.max(jnp.abs(a - b)) / scale
    return jnp.where(jnp.isnan(gap), jnp.inf, gap)


def generator(key: PRNGKeyArray) -> np.random.Generator:
    """NumPy's random numbers, which need no compiling."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())


def normal_vectors(key: PRNGKeyArray, like: PyTree[Any], *count: int) -> Float[np.ndarray, "*count P"]:
    """Normal vectors with as many elements as a pytree of arrays, in its precision."""
    leaves = jax.tree.leaves(like)
    size = sum(math.prod(leaf.shape) for leaf in leaves)
    return generator(key).normal(size=(*count, size)).astype(jnp.result_type(*leaves))
