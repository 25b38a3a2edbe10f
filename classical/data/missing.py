"""Rows in which entries are missing, sorted by which: rows of one pattern share their marginal."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

_BLOCK, _CHUNK = 128, 4096
"""Rows of a block at most: they miss the same entries; and of a chunk: they are worked on at a time."""


class Rows(NamedTuple):
    """N rows of d entries, of which some may be missing, in M chunks of C blocks of B rows.

    The rows of a block miss the same entries; those that fill up the last one of a pattern have weight 0.

    Attributes:
        x: (M, C, B, d), 0 where an entry is missing. weights: (M, C, B), of sum 1.
        pattern: (M, C) which one of `missing` is that of a block. missing: (P, d) whether an entry is missing.
        place: (N,) where a row is among the M·C·B.
    """

    x: Float[Array | np.ndarray, "M C B d"]
    weights: Float[Array | np.ndarray, "M C B"]
    pattern: Int[Array | np.ndarray, "M C"]
    missing: Bool[Array | np.ndarray, "P d"]
    place: Int[Array | np.ndarray, " N"]

    @property
    def chunks(self) -> tuple[Array | np.ndarray, ...]:
        """What is worked on chunk by chunk: rows, weights and patterns."""
        return self.x, self.weights, self.pattern

    @property
    def entries(
        self,
    ) -> tuple[Float[Array | np.ndarray, "N d"], Bool[Array | np.ndarray, "N d"], Float[Array | np.ndarray, " N"]]:
        """The rows in their order, 0 where an entry is missing; which ones are; and the weights."""
        block = self.place // self.x.shape[2]
        missing = self.missing[self.pattern.reshape(-1)[block]]
        return self.x.reshape(-1, self.x.shape[-1])[self.place], missing, self.weights.reshape(-1)[self.place]


class Sequences(NamedTuple):
    """S sequences of at most T rows.

    Attributes:
        rows: all of them. order: (S, T) which row stands where; anything behind the end.
        lengths: (S,) rows of each. weights: (S,) of sum 1.
    """

    rows: Rows
    order: Int[Array | np.ndarray, "S T"]
    lengths: Int[Array | np.ndarray, " S"]
    weights: Float[Array | np.ndarray, " S"]

    @property
    def total(self) -> Float[Array, ""]:
        """Rows of all sequences, each counted by its weight."""
        return jnp.vdot(self.weights, jnp.asarray(self.lengths, self.weights.dtype))

    @property
    def entries(self) -> tuple[Float[Array, "S T d"], Float[Array, "S T d"]]:
        """The rows, 0 where an entry is missing, and 1 where one is seen; 0 behind the end."""
        x, missing, _ = map(jnp.asarray, self.rows.entries)
        inside = jnp.arange(self.order.shape[1]) < jnp.asarray(self.lengths)[:, None]
        return x[self.order], (~missing[self.order] & inside[..., None]).astype(x.dtype)


def rows(x: Float[np.ndarray, "N d"], weights: Float[np.ndarray, " N"] | None = None, *, chunk: int = _CHUNK) -> Rows:
    """Sorts rows by their pattern of missing entries, which are NaN, in NumPy, once.

    Which rows of a pattern make a block, and which blocks a chunk, is left to chance, always the same: files are often
    sorted, and a chunk should be like the whole.

    Args:
        x: the rows. weights: of the rows, not negative; None weighs them alike. chunk: rows of a chunk, about.
    """
    weights = np.ones(len(x)) if weights is None else np.asarray(weights, float)
    missing, pattern = np.unique(np.isnan(x), axis=0, return_inverse=True)
    pattern = pattern.reshape(-1)
    # half a pattern's rows on average, so that few rows are filling; eight blocks a chunk, for its rows to differ
    most = max(1, min(_BLOCK, chunk // 8, len(x) // (2 * len(missing))))
    size = 1 << (most.bit_length() - 1)
    generator = np.random.default_rng(0)
    order = generator.permutation(len(x))
    order = order[np.argsort(pattern[order], kind="stable")]
    counts = np.bincount(pattern, minlength=len(missing))
    blocks = -(-counts // size)
    block = generator.permutation(blocks.sum())
    starts, firsts = (np.concatenate([[0], np.cumsum(each)[:-1]]) for each in (blocks, counts))
    rank = np.arange(len(x)) - firsts[pattern[order]]
    place = np.empty(len(x), int)
    place[order] = block[starts[pattern[order]] + rank // size] * size + rank % size
    per = min(max(1, chunk // size), len(block))
    total = -(-len(block) // per) * per
    which = np.zeros(total, int)
    which[block] = np.repeat(np.arange(len(missing)), blocks)
    filled, heavy = np.zeros((total * size, x.shape[1])), np.zeros(total * size)
    filled[place], heavy[place] = np.nan_to_num(x), weights / weights.sum()
    return Rows(
        filled.reshape(-1, per, size, x.shape[1]),
        heavy.reshape(-1, per, size),
        which.reshape(-1, per),
        missing,
        place,
    )


def sequences(
    x: Float[np.ndarray, "N d"], of: Int[np.ndarray, " N"], weights: Float[np.ndarray, " S"] | None = None
) -> Sequences:
    """Rows as sequences of any lengths; an entry that is missing is NaN, also all of a row.

    Args:
        x: the rows, those of a sequence in its order. of: to which sequence 0, …, S − 1 a row belongs. weights: of the
            sequences; None counts each once.
    """
    lengths = np.bincount(of)
    index = np.zeros((len(lengths), lengths.max()), int)
    for sequence, length in enumerate(lengths):
        index[sequence, :length] = np.flatnonzero(of == sequence)
    return Sequences(rows(x), index, lengths, np.ones(len(lengths)) if weights is None else np.asarray(weights, float))
