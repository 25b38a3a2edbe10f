"""Mixtures and hidden Markov models with their data."""

from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from qnat.experiment.measures import Artifact
from qnat.geometry import AbstractMetric
from qnat.geometry.charts import AbstractChart
from qnat.geometry.joint import Joint

from ..data.missing import Rows, Sequences
from ..methods.density_fisher import SampledFisher, quadrature_fisher
from ..models.chains import HiddenMarkov, HiddenMarkovParams
from ..models.emissions import AbstractEmission, DiagonalGaussians, FullGaussians, Gaussians, Symbols, probabilities
from ..models.gaussian_chart import GaussianMixtureChart
from ..models.mixture import IncompleteMixture, Mixture
from ..models.mixture_charts import CentredMeans, OrderedMeans, RelativeMeans, SquaredMeans, StandardMeans
from ..models.trained_densities import TrainedMarkov, TrainedMixture
from .densities import AbstractLatentDensity, Centred, generator_of, moments
from .view import View

_NODES = 2001


def _spread(
    emission: AbstractEmission, rows: Rows, count: int, key: PRNGKeyArray, axis: Float[ArrayLike, " d"] | None = None
) -> Any:
    """Statistics of components of equal weight around rows that are far apart, as wide as the data.

    Along an axis, if there is one, the components are in order. Those of symbols are random.
    """
    generator = generator_of(key)
    weights = np.full(count, 1 / count)
    if isinstance(emission, Symbols):
        sums = [generator.dirichlet(np.full(size, size), count) / count for size in emission.sizes]
        return weights, np.concatenate(sums, axis=1)
    from sklearn.cluster import kmeans_plusplus

    x, covariance = moments(rows)
    centres = kmeans_plusplus(x, count, random_state=int(generator.integers(2**31)))[0]
    if axis is not None:
        centres = centres[np.argsort(centres @ np.asarray(axis))]
    second = centres[:, :, None] * centres[:, None] + covariance
    second = np.einsum("kii->ki", second) if isinstance(emission, DiagonalGaussians) else second
    return weights, (centres / count, second / count)


@eqx.filter_jit
def _maximised(model: AbstractEmission | HiddenMarkov, eta: Any) -> Any:
    return model.maximise(eta)


def _components(
    emission: AbstractEmission, theta: Joint, names: tuple[str, ...], centre: Array, view: View | None
) -> dict[str, Artifact]:
    """Means and covariances, or the probabilities of symbols, of every component."""
    along = {"component": range(1, len(theta[0]) + 1)}
    if isinstance(emission, Symbols):
        symbols = [f"{name}={s}" for name, size in zip(names, emission.sizes, strict=True) for s in range(size)]
        return {"emission": Artifact(probabilities(theta[1]), ("component", "symbol"), along | {"symbol": symbols})}
    columns = along | {"column": names}
    means, covariances = _means_and_covariances(theta[1])
    spread = jnp.sqrt(jnp.diagonal(covariances, axis1=1, axis2=2))
    found = {
        "means": Artifact(means + centre, ("component", "column"), columns),
        "standard_deviations": Artifact(spread, ("component", "column"), columns),
    }
    if isinstance(emission, FullGaussians):
        known = columns | {"other_column": names}
        found["covariances"] = Artifact(covariances, ("component", "column", "other_column"), known)
    return found | ({} if view is None else view.described(means, covariances))


def _means_and_covariances(
    parts: tuple[Float[Array, "K d"], Float[Array, "K d *d"]],
) -> tuple[Float[Array, "K d"], Float[Array, "K d d"]]:
    shifts, halves = parts
    if halves.ndim == 2:
        return -shifts / (2 * halves), jax.vmap(jnp.diag)(-1 / (2 * halves))
    covariances = jax.lax.map(lambda half: jnp.linalg.inv(-(half + half.T)), halves)
    return jnp.einsum("kij,kj->ki", covariances, shifts), covariances


def _emission_freedom(emission: AbstractEmission, count: int, dim: int) -> int:
    if isinstance(emission, Symbols):
        return count * sum(size - 1 for size in emission.sizes)
    if isinstance(emission, DiagonalGaussians):
        return count * dim + count * (1 if emission.spherical else dim)
    tied = isinstance(emission, FullGaussians) and emission.tied
    return count * dim + (1 if tied else count) * dim * (dim + 1) // 2


def _lost(emission: AbstractEmission, theta: Joint, what: str) -> str:
    """Which components have no distribution any more."""
    count, plural = len(theta[0]), f"{what}s"
    gone = [jnp.isnan(leaf).reshape(count, -1).any(axis=1) for leaf in jax.tree.leaves(theta)]
    bad = np.flatnonzero(np.any(gone, axis=0))
    prior = "a larger prior" if emission.prior > 0 else "a prior, such as prior 1"
    remedy = f"give {prior}, fewer {plural}, or another seed"
    if not 0 < bad.size < count:
        return f"The {plural} have collapsed onto too few rows; {remedy}."
    which = f"{what.capitalize()} {bad[0] + 1} of {count}"
    return f"{which} has collapsed onto rows that have no width in some direction; {remedy}."


class MixtureDensity(AbstractLatentDensity):
    """A mixture, of `components` components; `axis` (d,) is the direction in which the data are widest."""

    quadratic = False
    model: IncompleteMixture
    data: Rows
    names: tuple[str, ...] = eqx.field(static=True)
    centre: Float[Array, " d"]
    components: int = eqx.field(static=True)
    axis: Float[Array, " d"]
    view: View | None

    @property
    def emission(self) -> Gaussians:
        """The components."""
        return cast(Gaussians, self.model.emission)

    def start(self, key: PRNGKeyArray) -> Joint:
        """Components of equal weight, numbered along the axis."""
        return _maximised(self.emission, _spread(self.emission, self.data, self.components, key, self.axis))

    def chart(self, name: str) -> AbstractChart:
        """Weights and scales without bounds, and the means in the chart of that name."""
        axis = self.axis
        charts: dict[str, Callable[[Array], AbstractChart]] = {
            "standard": lambda _: StandardMeans(),
            "relative": lambda _: RelativeMeans(),
            "centred": CentredMeans,
            "ordered": lambda weights: OrderedMeans(weights, axis),
            "squared": lambda weights: SquaredMeans(weights, axis),
        }
        return GaussianMixtureChart(charts[name], self.emission)

    def fisher(self, chart: AbstractChart, draws: int) -> AbstractMetric:
        """Fisher's metric in a chart: by quadrature of one column, else of so many draws from the mixture.

        It is that of whole rows, also where entries of the data are missing. Of what is then seen Fisher's information
        is less, never more; steps are shorter for it and end where they would.
        """

        def log_prob(coordinates: PyTree[Array], x: Float[Array, "N d"]) -> Float[Array, " N"]:
            return self._log_prob(chart.to_point(coordinates), x)

        if len(self.names) > 1:
            return SampledFisher(log_prob, lambda at, count, key: self._draw(chart.to_point(at), count, key), draws)
        x = np.asarray(self.data.x).ravel()
        nodes = np.linspace(x.min() - 6 * x.std(), x.max() + 6 * x.std(), _NODES)
        widths = jnp.full(_NODES, nodes[1] - nodes[0])
        return quadrature_fisher(lambda coordinates: log_prob(coordinates, jnp.asarray(nodes[:, None])), widths)

    def _log_prob(self, theta: Joint, x: Float[Array, "N d"]) -> Float[Array, " N"]:
        return jax.nn.logsumexp(Mixture(self.emission.family).scores(theta, x), axis=1)

    def complete(self, theta: Joint, x: Float[Array, "N d"]) -> Float[Array, " N"]:
        """log p of whole rows, less their mean, with the log prior of a row, in nats."""
        return self._log_prob(theta, x) + self.log_prior(theta)

    def _draw(self, theta: Joint, count: int, key: PRNGKeyArray) -> Float[Array, "count d"]:
        first, second = jax.random.split(key)
        means, covariances = _means_and_covariances(theta[1])
        weights = self.model.weights(theta, means.shape[1])
        labels = jax.random.choice(first, len(weights), (count,), p=weights)
        noise = jax.random.normal(second, (count, means.shape[1]), means.dtype)
        roots = jax.lax.map(jnp.linalg.cholesky, covariances)
        return means[labels] + jnp.einsum("kij,nj->kni", roots, noise)[labels, jnp.arange(count)]

    def log_prior(self, theta: Joint) -> Float[Array, ""]:
        return self.emission.penalty(theta)

    def described(self, theta: Joint) -> dict[str, Artifact]:
        """The weights, means and covariances of the components."""
        weights = self.model.weights(theta, len(self.names))
        along = {"component": range(1, self.components + 1)}
        return {"weights": Artifact(weights, ("component",), along, long_name="weight")} | _components(
            self.emission, theta, self.names, self.centre, self.view
        )

    def trained(self, theta: Joint) -> TrainedMixture:
        return TrainedMixture(self.model, theta, self.centre)

    def failed(self, theta: Joint) -> str:
        return _lost(self.emission, theta, "component")

    @property
    def freedom(self) -> int:
        return self.components - 1 + _emission_freedom(self.emission, self.components, len(self.names))


class MarkovDensity(AbstractLatentDensity):
    """A hidden Markov model of `states` states."""

    model: HiddenMarkov
    data: Sequences
    names: tuple[str, ...] = eqx.field(static=True)
    centre: Float[Array, " d"]
    states: int = eqx.field(static=True)
    view: View | None

    def start(self, key: PRNGKeyArray) -> HiddenMarkovParams:
        """States that are as likely to stay as to go anywhere."""
        emission = _spread(self.model.emission, self.data.rows, self.states, key)
        move = np.eye(self.states) / 2 + 1 / (2 * self.states)
        return _maximised(self.model, (np.ones(self.states), move, emission))

    def log_prior(self, theta: HiddenMarkovParams) -> Float[Array, ""]:
        return self.model.emission.penalty(theta[2])

    def described(self, theta: HiddenMarkovParams) -> dict[str, Artifact]:
        """The probabilities of first states and of moves, and the distribution of a row in every state."""
        start, move, emission = theta
        along = {"component": range(1, self.states + 1), "next_component": range(1, self.states + 1)}
        return {
            "start": Artifact(probabilities(start), ("component",), {"component": along["component"]}),
            "transitions": Artifact(
                probabilities(move), ("component", "next_component"), along, long_name="probability"
            ),
        } | _components(self.model.emission, emission, self.names, self.centre, self.view)

    def trained(self, theta: HiddenMarkovParams) -> TrainedMarkov:
        symbols = isinstance(self.model.emission, Symbols)
        return TrainedMarkov(self.model, theta, jnp.zeros_like(self.centre) if symbols else self.centre)

    def failed(self, theta: HiddenMarkovParams) -> str:
        return _lost(self.model.emission, theta[2], "state")

    @property
    def freedom(self) -> int:
        moves = (self.states + 1) * (self.states - 1)
        return moves + _emission_freedom(self.model.emission, self.states, len(self.names))


def _gaussians(data: Centred, covariance: str, prior: float) -> Gaussians:
    share, variances = jnp.asarray(prior / data.weight), jnp.asarray(data.variances)
    if covariance in ("full", "tied"):
        return FullGaussians(tied=covariance == "tied", prior=share, variances=variances)
    return DiagonalGaussians(spherical=covariance == "spherical", prior=share, variances=variances)


def gaussian_mixture(data: Centred, components: int, covariance: str, prior: float) -> MixtureDensity:
    """A mixture of normal distributions and its data.

    Args:
        data: rows. components: how many. covariance: full, tied, diagonal or spherical.
        prior: rows of the mean and the variances of the data that each component counts beside its own.

    Raises:
        RefusedError: there are fewer rows than components.
    """
    data.check_items(components, "components")
    found = data.rows
    axis = np.linalg.eigh(moments(found)[1])[1][:, -1]
    return MixtureDensity(
        model=IncompleteMixture(_gaussians(data, covariance, prior)),
        data=found,
        names=data.table.names,
        centre=jnp.asarray(data.centre),
        components=components,
        axis=jnp.asarray(axis * np.sign(axis[np.argmax(np.abs(axis))])),
        view=View.of(data),
    )


def hidden_markov(data: Centred, states: int, emission: str, prior: float) -> MarkovDensity:
    """A hidden Markov model and its data.

    Args:
        data: rows in sequences. states: how many. emission: the covariance of a row, or categorical.
        prior: as of `gaussian_mixture`.

    Raises:
        RefusedError: there are fewer rows than states; the values are not symbols.
    """
    data.check_items(states, "states")
    centre = data.centre
    if emission == "categorical":
        data = data.as_symbols
        most = np.nanmax(data.table.values, axis=0).astype(int)
        sizes = tuple(int(each) + 1 for each in most)
        found: AbstractEmission = Symbols(sizes=sizes, prior=jnp.asarray(prior / data.weight))
    else:
        found = _gaussians(data, emission, prior)
    return MarkovDensity(
        model=HiddenMarkov(found),
        data=data.sequences,
        names=data.table.names,
        centre=jnp.asarray(centre),
        states=states,
        view=None if emission == "categorical" else View.of(data),
    )
