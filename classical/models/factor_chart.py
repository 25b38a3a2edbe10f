"""Loadings, bias and logarithms of the noise as coordinates of factor analysis."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from qnat.geometry.charts import AbstractChart

from .factor import Linear, LinearParams, from_linear, to_linear


class FactorCoordinates(NamedTuple):
    """loadings: (d, m), bias: (d,), in units of the columns. log_noise: (d,) log-variances, or () where all are one."""

    loadings: Float[Array, "d m"]
    bias: Float[Array, " d"]
    log_noise: Float[Array, " d"] | Float[Array, ""]


class FactorChart(AbstractChart):
    """Coordinates without bounds of factor analysis, or of probabilistic PCA; points are `LinearParams`.

    Attributes:
        scale: (d,) units of the columns, such as their standard deviations, so that one rate suits all.
        isotropic: whether all entries have the same noise.
    """

    scale: Float[Array, " d"]
    isotropic: bool = eqx.field(static=True, default=False)

    def to_point(self, coordinates: FactorCoordinates) -> LinearParams:
        loadings, bias, log_noise = coordinates
        noise = jnp.broadcast_to(jnp.exp(log_noise), bias.shape)
        return from_linear(Linear(loadings * self.scale[:, None], bias * self.scale, noise))

    def from_point(self, point: LinearParams) -> FactorCoordinates:
        loadings, bias, noise = to_linear(point)
        logs = jnp.log(noise)
        return FactorCoordinates(
            loadings / self.scale[:, None], bias / self.scale, jnp.mean(logs) if self.isotropic else logs
        )
