"""Weights, means and covariances of a mixture of Gaussians as coordinates."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qnat.geometry.charts import AbstractChart
from qnat.geometry.families import Gaussian
from qnat.geometry.joint import Joint

from . import gaussian


class MixtureCoordinates(NamedTuple):
    """log_odds: log wₖ/w₀ (K − 1,). means: coordinates of the means (K, d). scales: of the covariances (K, d(d + 1)/2).

    A covariance is LLᵀ, its scales the lower triangle of L row by row with logarithms on the diagonal.
    """

    log_odds: Float[Array, " K-1"]
    means: Float[Array, "K d"]
    scales: Float[Array, "K triangle"]


class GaussianMixtureChart(AbstractChart):
    """Coordinates without bounds of a mixture of Gaussians; points are those of `Mixture(Gaussian())`, ψ = 0.

    With a chart of squares for the means it is singular all the same where two means meet: covariances that are free do
    to first order what the square of a gap does.

    Attributes:
        means: w ↦ the chart of the means, such as `CentredMeans`, for the weights w (K,) of the point.
    """

    means: Callable[[Float[Array, " K"]], AbstractChart] = eqx.field(static=True)

    def to_point(self, coordinates: MixtureCoordinates) -> Joint:
        log_weights = jax.nn.log_softmax(jnp.pad(coordinates.log_odds, (1, 0)))
        means = self.means(jnp.exp(log_weights)).to_point(coordinates.means)
        dim = means.shape[1]

        def natural(pair: tuple[Array, Array]) -> gaussian.Pair:
            mean, scale = pair
            return gaussian.from_free((mean, jnp.zeros((dim, dim), scale.dtype).at[np.tril_indices(dim)].set(scale)))

        parts = jax.lax.map(natural, (means, coordinates.scales))
        return log_weights - jax.lax.map(Gaussian().potential, parts), parts

    def from_point(self, point: Joint) -> MixtureCoordinates:
        logits, parts = point
        log_weights = jax.nn.log_softmax(logits + jax.lax.map(Gaussian().potential, parts))
        dim = parts[0].shape[1]

        def located(part: gaussian.Pair) -> tuple[Array, Array]:
            mean, root = gaussian.to_free(part)
            return mean, root[np.tril_indices(dim)]

        means, scales = jax.lax.map(located, parts)
        chart = self.means(jnp.exp(log_weights))
        return MixtureCoordinates(log_weights[1:] - log_weights[0], chart.from_point(means), scales)

    def project(self, coordinates: MixtureCoordinates) -> MixtureCoordinates:
        weights = jax.nn.softmax(jnp.pad(coordinates.log_odds, (1, 0)))
        return coordinates._replace(means=self.means(weights).project(coordinates.means))
