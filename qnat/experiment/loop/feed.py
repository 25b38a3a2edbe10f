"""Batches of data for compiled chunks of steps."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

_BYTES = 2**23
"""What the batches of one chunk may occupy, unless one batch a seed is larger."""


class Feed:
    """Takes batches from one stream a seed and stacks them for a compiled program, which wants one shape.

    Attributes:
        rows: batches that a chunk holds at most.
    """

    def __init__(self, streams: Sequence[Iterator[Any]], capacity: int) -> None:
        heads = [next(stream) for stream in streams]
        self._streams = [itertools.chain([head], stream) for head, stream in zip(heads, streams, strict=True)]
        self._leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(heads[0])]
        self._structure = jax.tree.structure(heads[0])
        size = len(streams) * sum(leaf.nbytes for leaf in self._leaves)
        self.rows = max(1, min(capacity, _BYTES // max(size, 1)))

    def take(self, count: int) -> PyTree[Array]:
        """The next `count` batches of every seed, (seeds, rows, ...), with zeros after them."""
        stacks = [np.zeros((len(self._streams), self.rows, *leaf.shape), leaf.dtype) for leaf in self._leaves]
        for seed, stream in enumerate(self._streams):
            for row, batch in enumerate(itertools.islice(stream, count)):
                for stack, leaf in zip(stacks, jax.tree.leaves(batch), strict=True):
                    if np.shape(leaf) != stack.shape[2:]:
                        raise ValueError(
                            f"Batches have the shapes {stack.shape[2:]} and {np.shape(leaf)}; make all of one shape."
                        )
                    stack[seed, row] = leaf
        return jax.tree.unflatten(self._structure, [jnp.asarray(stack) for stack in stacks])
