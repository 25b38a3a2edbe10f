"""Mixtures with their data."""

from collections.abc import Callable
from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.experiment.measures import Artifact
from qnat.geometry import AbstractMetric
from qnat.geometry.charts import AbstractChart
from qnat.geometry.joint import Joint

from ..data.missing import Rows
from ..methods.density_fisher import SampledFisher, panels, quadrature_fisher
from ..models.emissions import Gaussians
from ..models.gaussian_chart import GaussianMixtureChart
from ..models.mixture import IncompleteMixture, Mixture
from ..models.mixture_charts import CentredMeans, OrderedMeans, RelativeMeans, SquaredMeans, StandardMeans
from ..models.trained_densities import TrainedMixture
from .components import (
    described_components,
    emission_freedom,
    gaussians,
    lost,
    maximised,
    means_and_covariances,
    spread,
)
from .densities import AbstractLatentDensity, Centred, moments
from .view import View


class MixtureDensity(AbstractLatentDensity):
    """A mixture, of `components` components.

    `axis` (d,) is the direction in which the data are widest, columns in units of their standard deviations `scale`.
    """

    quadratic = False
    model: IncompleteMixture
    data: Rows
    names: tuple[str, ...] = eqx.field(static=True)
    items: float = eqx.field(static=True)
    centre: Float[Array, " d"]
    components: int = eqx.field(static=True)
    axis: Float[Array, " d"]
    scale: Float[Array, " d"]
    view: View | None

    @property
    def emission(self) -> Gaussians:
        """The components."""
        return cast(Gaussians, self.model.emission)

    def start(self, key: PRNGKeyArray) -> Joint:
        """Components of equal weight, numbered along the axis."""
        along = np.asarray(self.axis) / np.asarray(self.scale)
        return maximised(self.emission, spread(self.emission, self.data, self.components, key, along))

    def chart(self, name: str) -> AbstractChart:
        """Weights and widths without bounds, and the means in the chart of that name, in units of the columns."""
        axis = self.axis
        charts: dict[str, Callable[[Array], AbstractChart]] = {
            "standard": lambda _: StandardMeans(),
            "relative": lambda _: RelativeMeans(),
            "centred": CentredMeans,
            "ordered": lambda weights: OrderedMeans(weights, axis),
            "squared": lambda weights: SquaredMeans(weights, axis),
        }
        return GaussianMixtureChart(charts[name], self.emission, self.scale)

    def fisher(self, chart: AbstractChart, draws: int) -> AbstractMetric:
        """Fisher's metric in a chart: by quadrature of one column, else of so many draws from the mixture.

        It is that of whole rows, also where entries of the data are missing. Of what is then seen Fisher's information
        is less, never more; steps are shorter for it and end where they would.
        """

        def log_prob(coordinates: PyTree[Array], x: Float[Array, "N d"]) -> Float[Array, " N"]:
            return self._log_prob(chart.to_point(coordinates), x)

        if len(self.names) > 1:
            return SampledFisher(log_prob, lambda at, count, key: self._draw(chart.to_point(at), count, key), draws)

        def rule(coordinates: PyTree[Array]) -> tuple[Float[Array, "N 1"], Float[Array, " N"]]:
            means, covariances = means_and_covariances(chart.to_point(coordinates)[1])
            return panels(means[:, 0], jnp.sqrt(covariances[:, 0, 0]))

        return quadrature_fisher(log_prob, rule)

    def _log_prob(self, theta: Joint, x: Float[Array, "N d"]) -> Float[Array, " N"]:
        return jax.nn.logsumexp(Mixture(self.emission.family).scores(theta, x), axis=1)

    def complete(self, theta: Joint, x: Float[Array, "N d"]) -> Float[Array, " N"]:
        """log p of whole rows, less their mean, with the log prior of a row, in nats."""
        return self._log_prob(theta, x) + self.log_prior(theta)

    def _draw(self, theta: Joint, count: int, key: PRNGKeyArray) -> Float[Array, "count d"]:
        first, second = jax.random.split(key)
        means, covariances = means_and_covariances(theta[1])
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
        return {"weights": Artifact(weights, ("component",), along, long_name="weight")} | described_components(
            self.emission, theta, self.names, self.centre, self.view
        )

    def trained(self, theta: Joint) -> TrainedMixture:
        return TrainedMixture(self.model, theta, self.centre)

    def failed(self, theta: Joint) -> str:
        return lost(self.emission, theta, "component")

    @property
    def freedom(self) -> int:
        return self.components - 1 + emission_freedom(self.emission, self.components, len(self.names))


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
    scale = np.sqrt(data.variances)
    axis = np.linalg.eigh(moments(found)[1] / np.outer(scale, scale))[1][:, -1]
    return MixtureDensity(
        model=IncompleteMixture(gaussians(data, covariance, prior)),
        data=found,
        names=data.table.names,
        items=data.weight,
        centre=jnp.asarray(data.centre),
        components=components,
        axis=jnp.asarray(axis * np.sign(axis[np.argmax(np.abs(axis))])),
        scale=jnp.asarray(scale),
        view=View.of(data),
    )
