"""Factor analysis and linear dynamical systems with their data."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.experiment.errors import RefusedError
from qnat.experiment.measures import Artifact

from ..data.missing import Rows, Sequences
from ..models.dynamical import DynamicalParams, LinearDynamical, changed_dynamics, first_of, move_of
from ..models.factor import (
    FactorAnalysis,
    Linear,
    LinearParams,
    changed,
    complete_log_prob,
    from_linear,
    to_linear,
)
from ..models.factor_chart import FactorChart
from ..models.trained_densities import TrainedDynamics, TrainedFactors
from .densities import AbstractLatentDensity, Centred, generator_of, moments


def _loose(names: tuple[str, ...], noise: Float[Array, " d"]) -> str:
    bad = np.flatnonzero(np.isnan(np.asarray(noise)))
    column = f"of column {names[bad[0]]} " if 0 < bad.size < len(names) else ""
    return (
        f"The noise {column}has vanished: the hidden vector explains all of it (a Heywood case); give a prior, such as "
        "prior 1, a smaller dimension, or another seed."
    )


class FactorDensity(AbstractLatentDensity):
    """Factor analysis or probabilistic PCA with a hidden vector of `dimension` numbers."""

    quadratic = True
    model: FactorAnalysis
    data: Rows
    names: tuple[str, ...] = eqx.field(static=True)
    items: float = eqx.field(static=True)
    centre: Float[Array, " d"]
    dimension: int = eqx.field(static=True)

    def start(self, key: PRNGKeyArray) -> LinearParams:
        """Random loadings that make half of each variance, noise the other half."""
        linear = _random_linear(self.data, self.dimension, key)
        if self.model.isotropic:  # elsewhere the first step could climb down
            linear = linear._replace(noise=jnp.full_like(linear.noise, jnp.mean(linear.noise)))
        return jax.jit(from_linear)(linear)

    def chart(self, name: str) -> FactorChart:
        """Loadings, bias and logarithms of the noise, the only coordinates."""
        scale = jnp.sqrt(jnp.asarray(np.diag(moments(self.data)[1])))
        return FactorChart(scale, self.model.isotropic)

    def complete(self, theta: LinearParams, x: Float[Array, "N d"]) -> Float[Array, " N"]:
        """log p of whole rows, less their mean, with the log prior of a row, in nats."""
        return complete_log_prob(theta, x) + self.log_prior(theta)

    def log_prior(self, theta: LinearParams) -> Float[Array, ""]:
        return self.model.penalty(theta)

    def described(self, theta: LinearParams) -> dict[str, Artifact]:
        """Loadings, the mean and the standard deviations of the noise, in the coordinates of `trained`."""
        loadings, bias, noise = to_linear(_turned(theta))
        along = {"column": self.names, "factor": range(1, self.dimension + 1)}
        one = {"column": self.names}
        return {
            "loadings": Artifact(loadings, ("column", "factor"), along),
            "means": Artifact(bias + self.centre, ("column",), one),
            "noise": Artifact(jnp.sqrt(noise), ("column",), one, long_name="standard deviation of the noise"),
        }

    def trained(self, theta: LinearParams) -> TrainedFactors:
        """With a hidden vector turned so that WᵀΨ⁻¹W is diagonal and falls: nothing else tells its coordinates."""
        return TrainedFactors(self.model, jax.jit(_turned)(theta), self.centre)

    def failed(self, theta: LinearParams) -> str:
        return _loose(self.names, 1 / theta.precision)

    @property
    def freedom(self) -> int:
        d, m = len(self.names), self.dimension
        # never more than a normal distribution has: beyond, different noises and loadings say the same
        return min(d + d * m - m * (m - 1) // 2 + (1 if self.model.isotropic else d), d * (d + 3) // 2)


def _principal(loadings: Float[Array, "d m"], noise: Float[Array, " d"]) -> Float[Array, "m m"]:
    """The rotation R for which RᵀWᵀΨ⁻¹WR is diagonal and falls; the largest entry of a column of WR is positive."""
    turn = jnp.linalg.svd(loadings / jnp.sqrt(noise)[:, None], full_matrices=False)[2].T
    turned = loadings @ turn
    return turn * jnp.sign(jnp.take_along_axis(turned, jnp.argmax(jnp.abs(turned), axis=0)[None], axis=0))


def _turned(theta: LinearParams) -> LinearParams:
    loadings, _, noise = to_linear(theta)
    return changed(theta, _principal(loadings, noise))


def _random_linear(rows: Rows, dimension: int, key: PRNGKeyArray) -> Linear:
    variances = np.diag(moments(rows)[1])
    loadings = generator_of(key).normal(size=(len(variances), dimension))
    loadings *= np.sqrt(variances / (2 * dimension))[:, None]
    return Linear(jnp.asarray(loadings), jnp.zeros(len(variances)), jnp.asarray(variances / 2))


def _stretched(theta: DynamicalParams) -> DynamicalParams:
    loadings, _, noise = to_linear(theta.emission)
    m = loadings.shape[1]
    move = theta.move[1] + theta.move[1].T
    root = jnp.linalg.cholesky(jnp.linalg.inv(-move[m:, m:]))
    return changed_dynamics(theta, root @ _principal(loadings @ root, noise))


_PERSISTENCE = 0.9
"""Of the hidden vector from row to row, before anything is known."""


@jax.jit
def _at_rest(linear: Linear) -> DynamicalParams:
    dimension = linear.loadings.shape[1]
    one = jnp.eye(dimension)
    first = first_of(jnp.zeros(dimension), one)
    return DynamicalParams(first, move_of(_PERSISTENCE * one, (1 - _PERSISTENCE**2) * one), from_linear(linear))


class DynamicalDensity(AbstractLatentDensity):
    """A linear dynamical system with a hidden vector of `dimension` numbers."""

    model: LinearDynamical
    data: Sequences
    names: tuple[str, ...] = eqx.field(static=True)
    items: float = eqx.field(static=True)
    centre: Float[Array, " d"]
    dimension: int = eqx.field(static=True)

    def start(self, key: PRNGKeyArray) -> DynamicalParams:
        """As of factor analysis, with a hidden vector that stays as it is by nine tenths a row, of variance 1."""
        return _at_rest(_random_linear(self.data.rows, self.dimension, key))

    def log_prior(self, theta: DynamicalParams) -> Float[Array, ""]:
        return self.model.penalty(theta)

    def described(self, theta: DynamicalParams) -> dict[str, Artifact]:
        """The first hidden vector, the dynamics, the observation matrix, its bias and the deviations of its noise.

        They are in the coordinates of `trained`, where the noise of the dynamics is that of N(0, 1).
        """
        m = self.dimension
        theta = _stretched(theta)
        loadings, bias, noise = to_linear(theta.emission)
        moved = theta.move[1][m:, :m] + theta.move[1][:m, m:].T
        along = {"column": self.names, "factor": range(1, m + 1), "next_factor": range(1, m + 1)}
        one = {"column": self.names}
        _, shift, half = theta.first
        first = jnp.linalg.inv(-(half + half.T))
        square = {"factor": range(1, m + 1), "other_factor": range(1, m + 1)}
        return {
            "first_mean": Artifact(first @ shift, ("factor",), {"factor": range(1, m + 1)}),
            "first_covariance": Artifact(first, ("factor", "other_factor"), square),
            "dynamics": Artifact(moved, ("next_factor", "factor"), {k: along[k] for k in ("next_factor", "factor")}),
            "loadings": Artifact(loadings, ("column", "factor"), {k: along[k] for k in ("column", "factor")}),
            "means": Artifact(bias + self.centre, ("column",), one),
            "noise": Artifact(jnp.sqrt(noise), ("column",), one, long_name="standard deviation of the noise"),
        }

    def trained(self, theta: DynamicalParams) -> TrainedDynamics:
        """With a hidden vector that has the noise of N(0, 1), and is turned as that of factor analysis."""
        return TrainedDynamics(self.model, jax.jit(_stretched)(theta), self.centre)

    def failed(self, theta: DynamicalParams) -> str:
        return _loose(self.names, 1 / theta.emission.precision)

    @property
    def freedom(self) -> int:
        d, m = len(self.names), self.dimension
        # of A, Q, the first vector, C, μ and R, less the m² coordinates of the hidden vector
        return m * m + m * (m + 1) + m + d * m + 2 * d - m * m


def _check_dimension(data: Centred, dimension: int, *, below: bool) -> None:
    columns = len(data.table.names)
    if dimension > columns - below:
        what = "less than" if below else "at most"
        raise RefusedError(f"dimension is {dimension}; a hidden vector has {what} the {columns} numbers of a row.")
    data.check_items(dimension + 1, "that this dimension needs")


def factor_analysis(data: Centred, dimension: int, prior: float, *, isotropic: bool) -> FactorDensity:
    """Factor analysis, or probabilistic PCA if the noise is `isotropic`, and its data.

    Args:
        data: rows. dimension: of the hidden vector.
        prior: rows of the mean and the variances of the data, all of it noise, that are counted beside the data.

    Raises:
        RefusedError: the hidden vector is not smaller than a row; there are too few rows.
    """
    _check_dimension(data, dimension, below=True)
    model = FactorAnalysis(isotropic, jnp.asarray(prior / data.weight), jnp.asarray(data.variances))
    return FactorDensity(
        model=model,
        data=data.rows,
        names=data.table.names,
        items=data.weight,
        centre=jnp.asarray(data.centre),
        dimension=dimension,
    )


def linear_dynamical(data: Centred, dimension: int, prior: float) -> DynamicalDensity:
    """A linear dynamical system and its data.

    Args:
        data: rows in sequences. dimension: of the hidden vector. prior: as of `factor_analysis`.

    Raises:
        RefusedError: the hidden vector is larger than a row; there are too few rows, or none follows another.
    """
    _check_dimension(data, dimension, below=False)
    if data.table.sequence is not None and len(np.unique(data.table.sequence)) == len(data.table.values):
        raise RefusedError("No row follows another in its sequence; give longer sequences, or choose density fa.")
    model = LinearDynamical(jnp.asarray(prior / data.weight), jnp.asarray(data.variances))
    return DynamicalDensity(
        model=model,
        data=data.sequences,
        names=data.table.names,
        items=data.weight,
        centre=jnp.asarray(data.centre),
        dimension=dimension,
    )
