"""Gradient descent with momentum, preconditioned by a Fisher matrix that is averaged over steps."""

import optax

from qnat.geometry.kronecker import factored_inverse
from qnat.geometry.structured import Inverter, exact_inverse
from qnat.optim.rate import ScalarOrSchedule, chain, once, with_rate
from qnat.optim.running import StructuredMetric, scale_by_running_metric

from .tridiagonal import TridiagonalFisher, tridiagonal_inverse


def averaged_descent(
    learning_rate: ScalarOrSchedule,
    metric: StructuredMetric,
    *,
    damping: float = 1e-2,
    memory: float = 0.95,
    refresh: int = 20,
    momentum: float = 0.9,
    factored: bool | None = True,
) -> optax.GradientTransformationExtraArgs:
    """K-FAC's direction or FOOF's, by the metric.

    Args:
        learning_rate: a number or a schedule.
        metric: a `KroneckerFisher` or a `TridiagonalFisher`.
        damping, memory, refresh: as in `qnat.optim.scale_by_running_metric`.
        momentum: of the gradients, not of the directions: an old direction belongs to an inverse that is gone.
        factored: damp the factors of Kronecker products; else the products. A `TridiagonalFisher` is always factored.
    """
    inverter: Inverter = factored_inverse if factored else exact_inverse
    if isinstance(metric, TridiagonalFisher):
        inverter = tridiagonal_inverse
    direction = scale_by_running_metric(metric, damping=damping, memory=memory, refresh=refresh, inverter=inverter)
    return with_rate(chain(once("trace", momentum), direction), learning_rate)
