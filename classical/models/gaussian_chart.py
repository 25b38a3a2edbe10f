"""Weights, means and covariances of a mixture of Gaussians as coordinates."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qnat.geometry.charts import AbstractChart
from qnat.geometry.joint import Joint

from . import gaussian
from .emissions import DiagonalGaussians, FullGaussians, Gaussians


class MixtureCoordinates(NamedTuple):
    """log_odds: log wₖ/w₀ (K − 1,). means: coordinates of the means (K, d). scales: of the covariances.

    A covariance is LLᵀ, its scales the lower triangle of L row by row with logarithms on the diagonal: (K, d(d + 1)/2),
    or one row where it is tied. Of a diagonal one they are the logarithms of the standard deviations: (K, d), or one
    column where it is spherical.
    """

    log_odds: Float[Array, " K-1"]
    means: Float[Array, "K d"]
    scales: Float[Array, "#K s"]


class GaussianMixtureChart(AbstractChart):
    """Coordinates without bounds of a mixture of Gaussians; points are (a, θ) of its components, with ψ = 0.

    With a chart of squares for the means it is singular all the same where two means meet: covariances that are free do
    to first order what the square of a gap does.

    Attributes:
        means: w ↦ the chart of the means, such as `CentredMeans`, for the weights w (K,) of the point.
        emission: the components, whose covariances are full, tied, diagonal or spherical.
        scale: (d,) of the columns, in which coordinates are told.
    """

    means: Callable[[Float[Array, " K"]], AbstractChart] = eqx.field(static=True)
    emission: Gaussians = FullGaussians()
    scale: Float[Array, " d"] | float = 1.0

    def to_point(self, coordinates: MixtureCoordinates) -> Joint:
        log_weights = jax.nn.log_softmax(jnp.pad(coordinates.log_odds, (1, 0)))
        means = self.means(jnp.exp(log_weights)).to_point(coordinates.means) * self.scale
        count, dim = means.shape
        if isinstance(self.emission, DiagonalGaussians):
            logs = jnp.broadcast_to(coordinates.scales + self._logs(means.dtype), means.shape)
            precisions = jnp.exp(-2 * logs)
            parts = precisions * means, -precisions / 2
        else:
            roots = jnp.zeros((count, dim, dim), means.dtype).at[:, *np.tril_indices(dim)].set(coordinates.scales)
            roots = _stretched(roots, self.scale)
            logs = jnp.diagonal(roots, axis1=1, axis2=2)
            parts = jax.lax.map(gaussian.from_free, (means, roots))
        return log_weights - _potentials(parts[0], means, logs), parts

    def from_point(self, point: Joint) -> MixtureCoordinates:
        logits, (shifts, halves) = point
        dim = shifts.shape[1]
        if isinstance(self.emission, DiagonalGaussians):
            means, logs = -shifts / (2 * halves), -jnp.log(-2 * halves) / 2
            scales = (logs[:, :1] if self.emission.spherical else logs) - self._logs(logs.dtype)
        else:
            means, roots = jax.lax.map(gaussian.to_free, (shifts, halves))
            logs = jnp.diagonal(roots, axis1=1, axis2=2)
            scales = _stretched(roots, 1 / self.scale)[:, *np.tril_indices(dim)]
            scales = scales[:1] if self.emission.tied else scales
        log_weights = jax.nn.log_softmax(logits + _potentials(shifts, means, logs))
        chart = self.means(jnp.exp(log_weights))
        return MixtureCoordinates(log_weights[1:] - log_weights[0], chart.from_point(means / self.scale), scales)

    def _logs(self, dtype: jnp.dtype) -> Float[Array, "*d"]:
        """Of the scale of widths; one for all columns where a component has one for all."""
        logs = jnp.log(jnp.asarray(self.scale, dtype))
        return jnp.mean(logs) if isinstance(self.emission, DiagonalGaussians) and self.emission.spherical else logs

    def project(self, coordinates: MixtureCoordinates) -> MixtureCoordinates:
        weights = jax.nn.softmax(jnp.pad(coordinates.log_odds, (1, 0)))
        return coordinates._replace(means=self.means(weights).project(coordinates.means))


def _stretched(roots: Float[Array, "K d d"], scale: Float[Array, " d"] | float) -> Float[Array, "K d d"]:
    """Roots of covariances, the logarithms on their diagonal, of columns that are so much wider."""
    dim = roots.shape[-1]
    scale = jnp.broadcast_to(jnp.asarray(scale, roots.dtype), (dim,))
    return jnp.tril(roots, -1) * scale[:, None] + (roots + jnp.log(scale)[:, None]) * jnp.eye(dim, dtype=roots.dtype)


def _potentials(
    shifts: Float[Array, "K d"], means: Float[Array, "K d"], logs: Float[Array, "K d"]
) -> Float[Array, " K"]:
    """A(θₖ) = (μᵀΛμ − log det Λ)/2, of Λμ, μ and the logarithms on the diagonal of the root of the covariance."""
    return jnp.sum(shifts * means, axis=1) / 2 + jnp.sum(logs, axis=1)
