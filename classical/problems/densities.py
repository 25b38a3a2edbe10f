"""Densities and their data: where a fit starts, what it found, what went wrong."""

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.experiment.errors import RefusedError
from qnat.experiment.measures import Artifact
from qnat.inference.em import AbstractLatentModel

from ..data.missing import Rows, Sequences, rows, sequences
from ..data.tables import Table

_SYMBOLS = 10_000


class Centred(NamedTuple):
    """A table whose columns have mean zero, so that second moments keep their digits.

    Attributes:
        table: the values, their mean taken off. centre: (d,) that mean. variances: (d,) of the columns.
        chunk: rows of a batch; None if there are none.
    """

    table: Table
    centre: Float[np.ndarray, " d"]
    variances: Float[np.ndarray, " d"]
    chunk: int | None

    @property
    def weight(self) -> float:
        """Of all rows: how many there are, unless they have weights."""
        weights = self.table.weights
        return float(len(self.table.values) if weights is None else weights.sum())

    @property
    def rows(self) -> Rows:
        """Independent rows."""
        given = {} if self.chunk is None else {"chunk": self.chunk}
        return _on_device(rows(self.table.values, self.table.weights, **given))

    @property
    def sequences(self) -> Sequences:
        """Rows in their sequences, which have the weight of their first one; all in one where the table has none."""
        of = self.table.sequence
        of = np.zeros(len(self.table.values), int) if of is None else of
        weights = self.table.weights
        weights = None if weights is None else weights[np.unique(of, return_index=True)[1]]
        return _on_device(sequences(self.table.values, of, weights))

    @property
    def as_symbols(self) -> "Centred":
        """The values as they were, numbers of symbols 0, 1, ….

        Raises:
            RefusedError: one is no such number.
        """
        values = self.table.values + self.centre
        rounded = np.round(values)
        wrong = np.isfinite(values) & ~((np.abs(values - rounded) < 1e-9) & (rounded >= 0) & (rounded < _SYMBOLS))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise RefusedError(
                f"Column {self.table.names[column]} holds {values[row, column]:g}, and emission categorical takes "
                f"symbols 0, 1, … below {_SYMBOLS}; number them, or choose another emission."
            )
        return self._replace(table=self.table._replace(values=rounded))

    def check_items(self, least: int, what: str) -> None:
        """Refuses fewer rows than a density needs."""
        if (items := len(self.table.values)) < least:
            raise RefusedError(
                f"The data have {items} rows, fewer than the {least} {what}; give more rows, or ask for less."
            )


def _on_device(tree: Any) -> Any:
    return jax.tree.map(jnp.asarray, tree)


def centred(table: Table, *, chunk: int | None = None) -> Centred:
    """A table less its means.

    Raises:
        RefusedError: a column is constant.
    """
    weights = np.ones(len(table.values)) if table.weights is None else table.weights
    seen = ~np.isnan(table.values)
    share = weights[:, None] * seen
    share = share / np.maximum(share.sum(axis=0), np.finfo(float).tiny)
    centre = np.sum(share * np.nan_to_num(table.values), axis=0)
    values = table.values - centre
    variances = np.sum(share * np.nan_to_num(values) ** 2, axis=0)
    least, most = np.nanmin(table.values, axis=0), np.nanmax(table.values, axis=0)
    for i in np.flatnonzero(most - least <= 8 * np.finfo(float).eps * np.maximum(abs(least), abs(most))):
        raise RefusedError(f"Column {table.names[i]} is constant, and has no density; leave it out with columns.")
    return Centred(table._replace(values=values), centre, variances, chunk)


class AbstractDensity(eqx.Module):
    """A density and its data, as `DensityTask` fits it.

    Attributes:
        data: what every step sees, where there are no batches. names: of the columns. items: how many rows there are,
            each counted by its weight.
    """

    data: eqx.AbstractVar[Any]
    names: eqx.AbstractVar[tuple[str, ...]]
    items: eqx.AbstractVar[float]

    @abc.abstractmethod
    def start(self, key: PRNGKeyArray) -> PyTree[Array]:
        """Where a fit starts; not traced."""

    @abc.abstractmethod
    def loss(self, params: PyTree[Array], data: Any) -> Float[Array, ""]:
        """−log p of rows, with the log prior where there is one: the mean over rows, in nats."""

    @abc.abstractmethod
    def described(self, params: PyTree[Array]) -> Mapping[str, Artifact]:
        """What the parameters say, in the units of the data."""

    @abc.abstractmethod
    def trained(self, params: PyTree[Array]) -> Any:
        """What a user works with."""

    @abc.abstractmethod
    def failed(self, params: PyTree[Array]) -> str:
        """What is not a number any more, and what to do; "" if nothing is known of it."""

    @property
    @abc.abstractmethod
    def freedom(self) -> int:
        """How many numbers are fitted."""

    def watched(self, params: PyTree[Array]) -> dict[str, Float[Array, ""]]:
        """Further scalars worth a curve."""
        return {}

    def log_prior(self, params: PyTree[Array]) -> Float[Array, ""]:
        """Of a row, up to a constant."""
        return jnp.zeros(())

    def log_likelihood(self, params: PyTree[Array]) -> Float[Array, ""]:
        """The mean of log p over all rows, in nats, without the prior; final."""
        return -self.loss(params, self.data) - self.log_prior(params)


class AbstractLatentDensity(AbstractDensity):
    """A latent model with data whose mean was taken off.

    Attributes:
        model: says the likelihood, and what maximises it. centre: (d,) what was taken off the columns.
    """

    model: eqx.AbstractVar[AbstractLatentModel]
    centre: eqx.AbstractVar[Float[Array, " d"]]

    def loss(self, params: PyTree[Array], data: Rows | Sequences) -> Float[Array, ""]:
        return -self.model.clamped(params, data)


def moments(rows: Rows) -> tuple[Float[np.ndarray, "N d"], Float[np.ndarray, "d d"]]:
    """The rows, missing entries 0, which is the mean; and the covariance of the entries that are there."""
    x, missing, weights = jax.tree.map(np.asarray, rows).entries
    seen = 1.0 - missing
    pairs = seen.T @ (weights[:, None] * seen)
    covariance = x.T @ (weights[:, None] * x) / np.where(pairs > 0, pairs, 1)
    variances = np.diag(covariance)
    least = np.linalg.eigvalsh(covariance / np.sqrt(np.outer(variances, variances)))[0]
    # covariances of pairs need not be those of one distribution: then the columns are taken for independent
    return x, covariance if least > 1e-6 * len(x) ** -0.5 else np.diag(variances)


def generator_of(key: PRNGKeyArray) -> np.random.Generator:
    """NumPy's generator of a key."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))
