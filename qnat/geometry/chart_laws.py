"""The axioms of charts, which `laws` passes on."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from .charts import AbstractChart, pulled
from .judging import Facts, epsilon, relative_gap, require
from .metric import AbstractMetric, EuclideanMetric

InChart = Callable[[Callable[[PyTree[Array]], PyTree[Array]]], AbstractMetric]


@eqx.filter_jit
def _chart_facts(chart: AbstractChart, coordinates: PyTree[Array], batch: Any, in_chart: InChart | None) -> Facts:
    flat, unravel = ravel_pytree(coordinates)
    point = chart.to_point(coordinates)

    def points(x: Float[Array, " P"]) -> Float[Array, " Q"]:
        return ravel_pytree(chart.to_point(unravel(x)))[0]

    back, projected = chart.from_point(point), chart.project(coordinates)
    for name, found in (("from_point", back), ("project", projected)):
        structure = jax.eval_shape(lambda: coordinates)
        require(jax.eval_shape(lambda f=found: f) == structure, f"{name} must give coordinates, {structure}.")
    jacobian = jax.jacfwd(points)(flat)
    metric = EuclideanMetric() if in_chart is None else in_chart(lambda p: p)
    direct = jacobian.T @ jacobian if in_chart is None else in_chart(chart.to_point).at(coordinates, batch).as_matrix()
    return {
        "coordinates": relative_gap(ravel_pytree(back)[0], flat),
        "point": relative_gap(points(ravel_pytree(back)[0]), points(flat)),
        "jacobian": jacobian,
        "inverse": jax.jacfwd(lambda x: ravel_pytree(chart.from_point(chart.to_point(unravel(x))))[0])(flat),
        "project": relative_gap(ravel_pytree(projected)[0], flat),
        "metric": relative_gap(pulled(metric, chart).at(coordinates, batch).as_matrix(), direct),
    }


def check_chart(
    chart: AbstractChart,
    coordinates: PyTree[Array],
    *,
    batch: Any = None,
    in_chart: InChart | None = None,
) -> None:
    """There and back is the identity, the derivative has full rank, metrics are pulled back, inside nothing is moved.

    Where a metric is regular and the derivative of `to_point` is not bounded, as at the border of a squared chart, no
    law can hold: take coordinates inside.

    Args:
        chart: the chart. coordinates: inside its domain.
        batch: for the metric.
        in_chart: to_point ↦ the metric in coordinates x of the points to_point(x), computed directly, for instance
            `lambda to_point: PullbackMetric(lambda x: log_prob(to_point(x)), weigh)`; `pulled` must agree with it. None
            for the Euclidean metric of points.
    """
    found = {k: np.asarray(fact) for k, fact in _chart_facts(chart, coordinates, batch, in_chart).items()}
    jacobian, inverse, eps = found["jacobian"], found["inverse"], epsilon(coordinates)
    require(
        np.isfinite(jacobian).all() and np.isfinite(inverse).all(),
        "to_point and from_point must have finite derivatives; the coordinates given may lie outside the domain.",
    )
    levels = np.linalg.svd(jacobian / np.maximum(np.linalg.norm(jacobian, axis=0), 1e-30), compute_uv=False)
    require(
        len(jacobian) >= jacobian.shape[1] and levels[-1] > 1e3 * eps,
        f"The derivative of to_point must have full rank; its least singular value is {levels[-1]:.3g}, columns scaled "
        "to length one.",
    )
    allowed = 1e3 * eps / levels[-1]
    require(
        found["coordinates"] <= allowed,
        f"from_point(to_point(c)) must be c; it differs by {found['coordinates']:.3g}, relatively.",
    )
    require(
        found["point"] <= allowed,
        f"to_point(from_point(p)) must be p; it differs by {found['point']:.3g}, relatively.",
    )
    gap = float(np.abs(inverse - np.eye(len(inverse))).max())
    require(gap <= allowed, f"from_point after to_point must have the derivative 1; it differs by {gap:.3g}.")
    require(found["project"] == 0, "project must leave coordinates inside the domain where they are.")
    require(
        found["metric"] <= allowed,
        f"In the chart the metric must be JᵀGJ; it differs by {found['metric']:.3g}, relatively.",
    )
