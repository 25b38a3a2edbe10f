"""Draws as bytes, one after another, so that a file of them grows as a log does."""

import math

import jax
import numpy as np
from jaxtyping import Array, PyTree


def to_bytes(draws: PyTree[np.ndarray]) -> bytes:
    """Draws (seeds, draws, ...): every draw is the leaves of all seeds, side by side."""
    flat = [np.ascontiguousarray(np.moveaxis(leaf, 1, 0)) for leaf in jax.tree.leaves(draws)]
    rows = [leaf.reshape(len(leaf), -1).view(np.uint8) for leaf in flat if leaf.size]
    return np.concatenate(rows, axis=1).tobytes() if rows else b""


def from_bytes(data: bytes, params: PyTree[Array]) -> PyTree[np.ndarray]:
    """The draws (seeds, draws, ...) of parameters (seeds, ...)."""
    leaves, structure = jax.tree.flatten(params)
    sizes = [math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize for leaf in leaves]
    rows = np.frombuffer(data, np.uint8).reshape(-1, max(sum(sizes), 1))
    found = []
    for leaf, end, size in zip(leaves, np.cumsum(sizes), sizes, strict=True):
        column = np.ascontiguousarray(rows[:, end - size : end]).view(leaf.dtype)
        found.append(np.moveaxis(column.reshape(len(rows), *leaf.shape), 0, 1))
    return jax.tree.unflatten(structure, found)
