"""Batches of a data set."""

import itertools
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray


def epochs(parts: Sequence[Array], size: int, key: PRNGKeyArray, start: int = 0) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches without replacement, in a new order every epoch; what does not fill a batch is left out of an epoch.

    Args:
        parts: (N, ...) each. size: items in a batch. key: of the orders. start: the batch to begin with.
    """
    arrays = [np.asarray(part) for part in parts]
    begin, skipped = divmod(start, len(arrays[0]) // size)
    for epoch in itertools.count(begin):
        seed = np.asarray(jax.random.key_data(jax.random.fold_in(key, epoch)))
        order = np.random.default_rng(seed).permutation(len(arrays[0]))
        for first in range(skipped * size, len(order) - size + 1, size):
            yield tuple(array[order[first : first + size]] for array in arrays)
        skipped = 0


def check_size(size: int, items: int) -> None:
    """Refuses a batch that the data cannot fill."""
    if not 1 <= size <= items:
        raise ValueError(f"A batch has between 1 and {items} items, as many as the data; got {size}.")
