"""Densities with the parameters that a fit found; `qnat.experiment.Run.model` makes them from a run.

Rows are (N, d), in the units of the data, NaN where an entry is missing.
"""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from qnat.geometry.joint import Joint

from ..data.missing import Rows, Sequences, rows, sequences
from .chains import HiddenMarkov, HiddenMarkovParams
from .dynamical import DynamicalParams, LinearDynamical
from .emissions import AbstractEmission, Symbols
from .factor import FactorAnalysis, LinearParams, filled
from .mixture import IncompleteMixture
from .surrogate import AbstractSurrogateDensity, Parameters
from .unit import Unit

Kind = Literal["rows", "counts", "ranks"]
"""What a density with a surrogate is one of: rows, a column of counts, or the ranks of each column over N + 1."""


def _checked(x: ArrayLike, centre: Float[Array, " d"]) -> Float[np.ndarray, "N d"]:
    found = np.asarray(x, float)
    if found.ndim != 2 or found.shape[1] != len(centre) or not len(found):
        raise ValueError(f"Rows have {len(centre)} values each; got an array of shape {found.shape}.")
    if np.isinf(found).any():
        raise ValueError("Rows hold a value that is not finite; NaN marks one that is missing.")
    return found - np.asarray(centre)


def _sorted(x: ArrayLike, centre: Float[Array, " d"]) -> Rows:
    return jax.tree.map(jnp.asarray, rows(_checked(x, centre)))


def _one(x: ArrayLike, centre: Float[Array, " d"], emission: AbstractEmission | None = None) -> Sequences:
    found = _checked(x, centre)
    _check_symbols(found, emission)
    return jax.tree.map(jnp.asarray, sequences(found, np.zeros(len(found), int)))


def _check_symbols(z: Float[np.ndarray, "N d"], emission: AbstractEmission | None) -> None:
    """Refuses what is no symbol of its column."""
    if not isinstance(emission, Symbols):
        return
    sizes = np.array(emission.sizes)
    known = np.isnan(z) | ((z % 1 == 0) & (z >= 0) & (z < sizes))
    if not known.all():
        row, column = np.argwhere(~known)[0]
        raise ValueError(
            f"Column {column} of row {row} holds {z[row, column]:g}; its symbols are 0 to {sizes[column] - 1}."
        )


def _with(x: ArrayLike, means: Float[Array, "N d"], centre: Float[Array, " d"]) -> Float[Array, "N d"]:
    """The rows as they were, with means less the centre where an entry is missing."""
    found = np.asarray(x, float)
    return jnp.asarray(np.where(np.isnan(found), np.asarray(means) + np.asarray(centre), found))


class TrainedMixture(eqx.Module):
    """A mixture with its parameters.

    Attributes:
        model: the mixture. theta: its parameters. centre: (d,) what is taken off rows first.
    """

    model: IncompleteMixture
    theta: Joint
    centre: Float[Array, " d"]

    def log_prob(self, x: Float[ArrayLike, "N d"]) -> Float[Array, " N"]:
        """log p of what is seen of each row, in nats; 0 where all is missing."""
        return jax.nn.logsumexp(_scores(self, _sorted(x, self.centre)), axis=1)

    def responsibilities(self, x: Float[ArrayLike, "N d"]) -> Float[Array, "N K"]:
        """The probabilities of the components, given what is seen of each row."""
        return jax.nn.softmax(_scores(self, _sorted(x, self.centre)), axis=1)

    def impute(self, x: Float[ArrayLike, "N d"]) -> Float[Array, "N d"]:
        """The rows, with the conditional means of their missing entries, given what is seen of each."""
        data = _sorted(x, self.centre)
        shares = jax.nn.softmax(_scores(self, data), axis=1)
        return _with(x, _filled(self.model.emission, self.theta, data, shares), self.centre)


@eqx.filter_jit
def _scores(trained: TrainedMixture, data: Rows) -> Float[Array, "N K"]:
    return trained.model.emission.scores(trained.theta, data)


@eqx.filter_jit
def _filled(emission: AbstractEmission, theta: Joint, data: Rows, shares: Float[Array, "N K"]) -> Float[Array, "N d"]:
    return emission.filled(theta, data, shares)


class TrainedMarkov(eqx.Module):
    """A hidden Markov model with its parameters; rows are those of one sequence.

    Attributes:
        model: the model. theta: its parameters. centre: (d,) what is taken off rows first.
    """

    model: HiddenMarkov
    theta: HiddenMarkovParams
    centre: Float[Array, " d"]

    def log_prob(self, x: Float[ArrayLike, "T d"]) -> Float[Array, ""]:
        """log p of the sequence, in nats."""
        return _paths(self, _one(x, self.centre, self.model.emission), best=False)[0]

    def states(self, x: Float[ArrayLike, "T d"]) -> Float[Array, "T K"]:
        """The probabilities of the states, given the whole sequence."""
        return _paths(self, _one(x, self.centre, self.model.emission), best=False)[1]

    def best_path(self, x: Float[ArrayLike, "T d"]) -> Int[Array, " T"]:
        """The most probable states 0, 1, … of all rows together."""
        return jnp.argmax(_paths(self, _one(x, self.centre, self.model.emission), best=True)[1], axis=1)

    def impute(self, x: Float[ArrayLike, "T d"]) -> Float[Array, "T d"]:
        """The rows, with the conditional means of missing entries given the sequence; their most probable symbols."""
        data = _one(x, self.centre, self.model.emission)
        shares = _paths(self, data, best=False)[1]
        return _with(x, _filled(self.model.emission, self.theta[2], data.rows, shares), self.centre)


@eqx.filter_jit
def _paths(trained: TrainedMarkov, data: Sequences, *, best: bool) -> tuple[Float[Array, ""], Float[Array, "T K"]]:
    """The sum over paths or the best one, and its derivative in the scores of rows."""
    start, move, emission = trained.theta
    scores = trained.model.emission.scores(emission, data.rows)[data.order]
    value, slope = jax.value_and_grad(lambda s: trained.model.path_sum(start, move, s, data, best=best))(scores)
    return value * data.total, slope[0] * data.total


class TrainedFactors(eqx.Module):
    """Factor analysis with its parameters.

    Attributes:
        model: the model. theta: its parameters. centre: (d,) what is taken off rows first.
    """

    model: FactorAnalysis
    theta: LinearParams
    centre: Float[Array, " d"]

    def log_prob(self, x: Float[ArrayLike, "N d"]) -> Float[Array, " N"]:
        """log p of what is seen of each row, in nats; 0 where all is missing."""
        return eqx.filter_jit(self.model.log_prob)(self.theta, _sorted(x, self.centre))

    def hidden_means(self, x: Float[ArrayLike, "N d"]) -> Float[Array, "N m"]:
        """E[z | x] of every row, the hidden vector of the loadings of the run; 0 where all is missing."""
        return eqx.filter_jit(self.model.hidden_means)(self.theta, _sorted(x, self.centre))

    def impute(self, x: Float[ArrayLike, "N d"]) -> Float[Array, "N d"]:
        """The rows, with the conditional means of their missing entries, given what is seen of each."""
        return _with(x, jax.jit(filled)(self.theta, self.hidden_means(x)), self.centre)


class TrainedDynamics(eqx.Module):
    """A linear dynamical system with its parameters; rows are those of one sequence.

    Attributes:
        model: the model. theta: its parameters. centre: (d,) what is taken off rows first.
    """

    model: LinearDynamical
    theta: DynamicalParams
    centre: Float[Array, " d"]

    def log_prob(self, x: Float[ArrayLike, "T d"]) -> Float[Array, ""]:
        """log p of the sequence, in nats."""
        data = _one(x, self.centre)
        free = eqx.tree_at(lambda model: model.prior, self.model, 0.0)
        return eqx.filter_jit(free.clamped)(self.theta, data) * data.total

    def hidden_means(self, x: Float[ArrayLike, "T d"]) -> Float[Array, "T m"]:
        """E[z | x] of every row, given the whole sequence: the smoothed vector of the run's dynamics."""
        return eqx.filter_jit(self.model.hidden_means)(self.theta, _one(x, self.centre))[0]

    def impute(self, x: Float[ArrayLike, "T d"]) -> Float[Array, "T d"]:
        """The rows, with the conditional means of their missing entries, given the whole sequence."""
        return _with(x, jax.jit(filled)(self.theta.emission, self.hidden_means(x)), self.centre)


class TrainedSurrogate(eqx.Module):
    """A density with a surrogate, with its parameters.

    Attributes:
        density: the density. params: its parameters. unit: of the columns; of counts and ranks 1. kind: of the data.
    """

    density: AbstractSurrogateDensity
    params: Parameters
    unit: Unit
    kind: Kind = eqx.field(static=True)

    def log_prob(self, x: Float[ArrayLike, "N ..."]) -> Float[Array, " N"]:
        """log p of every row or count, in nats; of a copula, of ranks divided by one more than the rows."""
        given = np.asarray(x, float)
        given = given[:, None] if self.kind == "counts" and given.ndim == 1 else given
        found = _checked(given, self.unit.centre) / np.asarray(self.unit.scale)
        if np.isnan(found).any():
            raise ValueError("Entries are missing, and this density takes whole rows.")
        if self.kind == "ranks" and not ((found > 0) & (found < 1)).all():
            raise ValueError("A copula is of ranks divided by one more than the rows, between 0 and 1; values are not.")
        found = jnp.asarray(found[:, 0] if self.kind == "counts" else found)
        return eqx.filter_jit(self.density.log_prob)(self.params, found) - self.unit.volume
