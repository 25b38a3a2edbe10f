"""Descent on a density in coordinates that may have any real values: what optimisers without a geometry do."""

from typing import Any

import equinox as eqx
import optax
from jaxtyping import Array, Float, PyTree

from classical.models.surrogate import AbstractSurrogateDensity, Parameters
from qnat.geometry.charts import AbstractChart
from qnat.inference.process import Process

from .charted import charted_descent


class FreeChart(AbstractChart):
    """The free coordinates of a density with a surrogate; its `Parameters` are the points."""

    density: AbstractSurrogateDensity

    def to_point(self, coordinates: PyTree[Array]) -> Parameters:
        return self.density.from_free(coordinates)

    def from_point(self, point: Parameters) -> PyTree[Array]:
        return self.density.to_free(point)


class _Likelihood(eqx.Module):
    density: AbstractSurrogateDensity
    data: Any

    def __call__(self, params: Parameters, batch: Any) -> Float[Array, ""]:
        return self.density.loss(params, self.data if batch is None else batch)


def free_descent(
    density: AbstractSurrogateDensity, optimizer: optax.GradientTransformation, *, data: Any = None
) -> Process:
    """Maximum likelihood by an optax transform in the free coordinates of a density; the loss as that of `sngd`.

    Args:
        density: whose `to_free` makes the coordinates.
        optimizer: such as `optax.adam(0.03)` or `optax.lbfgs()`.
        data: what every step sees, where the problem feeds no batches.
    """
    return charted_descent(_Likelihood(density, data), FreeChart(density), optimizer)
