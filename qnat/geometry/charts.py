"""Charts: coordinates of one's own, and metrics in them."""

import abc
from typing import Any

import equinox as eqx
import jax
import lineax as lx
from jaxtyping import Array, PRNGKeyArray, PyTree

from .metric import AbstractMetric, check_real, pulled_back


class AbstractChart(eqx.Module):
    """Coordinates c of a point p: subclass it, and run `laws.check_chart`.

    A loss of points is one of coordinates, `loss(chart.to_point(c))`, and a metric of points is `pulled(metric, chart)`
    there. To first order in its rate a natural gradient does not depend on the chart; plain descent, and what damping
    adds to a metric, do.
    """

    @abc.abstractmethod
    def to_point(self, coordinates: PyTree[Array]) -> PyTree[Array]:
        """The point, with a derivative of full rank wherever the chart is one."""

    @abc.abstractmethod
    def from_point(self, point: PyTree[Array]) -> PyTree[Array]:
        """The coordinates of a point; NaN where it has none."""

    def project(self, coordinates: PyTree[Array]) -> PyTree[Array]:
        """Coordinates moved back into the domain of the chart, which a step may leave; inside, they stay."""
        return coordinates


class _Pulled(AbstractMetric):
    metric: AbstractMetric
    chart: AbstractChart

    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        check_real(self.metric, params)
        point, push = jax.linearize(self.chart.to_point, params)
        return pulled_back(push, self.metric.at(point, batch, key=key).mv, params)

    def passes(self, batch: Any = None) -> float | None:
        return self.metric.passes(batch)


def pulled(metric: AbstractMetric, chart: AbstractChart) -> AbstractMetric:
    """JᵀGJ, a metric of points in the coordinates of a chart, J the derivative of `to_point`."""
    return _Pulled(metric, chart)
