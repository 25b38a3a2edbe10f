"""Densities with the parameters that a fit found; `qnat.experiment.Run.model` makes them from a run.

Rows are (N, d), in the units of the data, NaN where an entry is missing.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from qnat.geometry.joint import Joint

from ..data.missing import Rows, Sequences, rows, sequences
from .chains import HiddenMarkov, HiddenMarkovParams
from .dynamical import DynamicalParams, LinearDynamical
from .factor import FactorAnalysis, LinearParams
from .mixture import IncompleteMixture
from .surrogate import AbstractSurrogateDensity, Parameters


def _checked(x: ArrayLike, centre: Float[Array, " d"]) -> Float[np.ndarray, "N d"]:
    found = np.asarray(x, float)
    if found.ndim != 2 or found.shape[1] != len(centre) or not len(found):
        raise ValueError(f"Rows have {len(centre)} values each; got an array of shape {found.shape}.")
    if np.isinf(found).any():
        raise ValueError("Rows hold a value that is not finite; NaN marks one that is missing.")
    return found - np.asarray(centre)


def _sorted(x: ArrayLike, centre: Float[Array, " d"]) -> Rows:
    return jax.tree.map(jnp.asarray, rows(_checked(x, centre)))


def _one(x: ArrayLike, centre: Float[Array, " d"]) -> Sequences:
    found = _checked(x, centre)
    return jax.tree.map(jnp.asarray, sequences(found, np.zeros(len(found), int)))


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


@eqx.filter_jit
def _scores(trained: TrainedMixture, data: Rows) -> Float[Array, "N K"]:
    return trained.model.emission.scores(trained.theta, data)


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
        return _paths(self, _one(x, self.centre), best=False)[0]

    def states(self, x: Float[ArrayLike, "T d"]) -> Float[Array, "T K"]:
        """The probabilities of the states, given the whole sequence."""
        return _paths(self, _one(x, self.centre), best=False)[1]

    def best_path(self, x: Float[ArrayLike, "T d"]) -> Int[Array, " T"]:
        """The most probable states 0, 1, … of all rows together."""
        return jnp.argmax(_paths(self, _one(x, self.centre), best=True)[1], axis=1)


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


class TrainedSurrogate(eqx.Module):
    """A density with a surrogate, with its parameters.

    Attributes:
        density: the density. params: its parameters.
    """

    density: AbstractSurrogateDensity
    params: Parameters

    def log_prob(self, x: Float[ArrayLike, "N ..."]) -> Float[Array, " N"]:
        """log p of every row or count, in nats; of a copula, of ranks divided by one more than the rows."""
        return eqx.filter_jit(self.density.log_prob)(self.params, jnp.asarray(x))
