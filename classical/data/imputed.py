"""Rows in which entries are missing, one entry of which is drawn anew at a time."""

from typing import NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from .missing import Rows


class Picked(NamedTuple):
    """One entry a row. entry: (N,) which one. some: (N,) whether there is one; if not, `entry` says nothing."""

    entry: Int[Array, " N"]
    some: Bool[Array, " N"]


def with_entries(x: Float[Array, "N d"], picked: Picked, values: Float[Array, " N"]) -> Float[Array, "N d"]:
    """The rows with these values (N,) where an entry is picked."""
    # not a scatter, which XLA runs on a CPU one entry after another
    there = (jnp.arange(x.shape[1]) == picked.entry[:, None]) & picked.some[:, None]
    return jnp.where(there, values[:, None], x)


class IncompleteTable(eqx.Module):
    """Rows in which entries are missing, ready to draw entries from.

    Attributes:
        x: (N, d), 0 where missing. missing: (N, d). weights: (N,) of sum 1. order: (N, d) the entries of a row, those
            that are missing first. count: (N,) how many are. seen: (N, d) the rows of a column, those that have it
            first.
    """

    x: Float[Array, "N d"]
    missing: Bool[Array, "N d"]
    weights: Float[Array, " N"]
    order: Int[Array, "N d"]
    count: Int[Array, " N"]
    seen: Int[Array, "N d"]

    @classmethod
    def of(cls, data: Rows) -> Self:
        """Made of rows that are sorted by what they miss."""
        x, missing, weights = map(np.asarray, data.entries)
        order = np.argsort(~missing, axis=1, kind="stable")
        seen = np.argsort(missing, axis=0, kind="stable")
        return cls(*map(jnp.asarray, (x, missing, weights, order, missing.sum(axis=1), seen)))

    def marginals(self, key: PRNGKeyArray) -> Float[Array, "N d"]:
        """The rows, in each missing entry a value that another row has there."""
        rank = jax.random.randint(key, self.x.shape, 0, jnp.sum(~self.missing, axis=0))
        column = jnp.arange(self.x.shape[1])
        return jnp.where(self.missing, self.x[self.seen[rank, column], column], self.x)

    def pick(self, key: PRNGKeyArray, rows: Int[Array, " B"], *, missing: bool) -> Picked:
        """One entry of each of these rows that is missing, or one that is seen."""
        count = self.count[rows]
        first, beyond = (0, count) if missing else (count, self.x.shape[1])
        rank = jax.random.randint(key, rows.shape, first, jnp.maximum(beyond, 1))
        return Picked(self.order[rows, rank], count > 0 if missing else jnp.ones_like(count, bool))
