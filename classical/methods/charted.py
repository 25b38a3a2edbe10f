"""Descent in coordinates of one's own, whose parameters are the points all the same."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.geometry.charts import AbstractChart
from qnat.inference.process import Info, Process, descend
from qnat.optim import projected
from qnat.optim.rate import Scalar

Loss = Callable[[PyTree[Array], Any], Float[Array, ""]]
"""(point, batch) ↦ the loss."""


class ChartedState(NamedTuple):
    """descent: of the coordinates. point: where they are."""

    descent: PyTree[Array]
    point: PyTree[Array]


class _Charted(eqx.Module):
    loss: Loss
    chart: AbstractChart
    optimizer: optax.GradientTransformation

    def value_and_grad(self, at: PyTree[Array], batch: Any, key: PRNGKeyArray | None) -> tuple[Scalar, PyTree[Array]]:
        return jax.value_and_grad(lambda at: self.loss(self.chart.to_point(at), batch))(at)

    def descent(self) -> Process:
        return descend(self.value_and_grad, projected(self.optimizer, self.chart.project))

    def init(self, params: PyTree[Array], *, key: PRNGKeyArray | None = None) -> ChartedState:
        return ChartedState(self.descent().init(self.chart.from_point(params), key=key), params)

    def step(
        self, state: ChartedState, batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> tuple[ChartedState, Info]:
        descent = self.descent()
        new, info = descent.step(state.descent, batch, key=key)
        return ChartedState(new, self.chart.to_point(descent.params(new))), info

    def params(self, state: ChartedState) -> PyTree[Array]:
        return state.point


def charted_descent(loss: Loss, chart: AbstractChart, optimizer: optax.GradientTransformation) -> Process:
    """Descent by an optax transform in the coordinates of a chart; what is stored and continued from are points.

    Args:
        loss: of a point and a batch. chart: its coordinates, into whose domain every step is projected.
        optimizer: such as `optax.lbfgs()`, or a natural gradient with a metric of the coordinates.
    """
    method = _Charted(loss, chart, optimizer)
    return Process(method.init, method.step, method.params)
