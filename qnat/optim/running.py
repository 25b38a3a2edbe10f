"""Preconditioning by a metric that is averaged over steps and inverted now and then."""

from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optax
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, PyTree

from qnat.geometry.operators import BlockDiagonal
from qnat.geometry.structured import AbstractInverse, Inverter, exact_inverse

from .rate import Scalar, number


class StructuredMetric(Protocol):
    """A metric whose operator is structured, or blocks that are, and of which an empty one can be made beforehand."""

    def start(self, params: PyTree[Array]) -> Any:
        """The operator with zeros in it."""

    def at(self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None) -> Any:
        """The metric at `params`, from the items of `batch`."""

    def passes(self, batch: Any = None) -> float | None:
        """As of `AbstractMetric`."""


class Gradients(NamedTuple):
    """model_gradients: backward passes that the geometry of a step took beside the gradient of the loss."""

    model_gradients: Scalar


class RunningMetricState(NamedTuple):
    """step: steps so far. operator: the average, None if there is no memory. inverses: one a block.

    diagnostics: of the last step.
    """

    step: Int[Array, ""]
    operator: lx.AbstractLinearOperator | None
    inverses: list[AbstractInverse]
    diagnostics: Gradients


def gradients_of(metric: StructuredMetric, operator: lx.AbstractLinearOperator, batch: Any) -> Scalar:
    """Backward passes that evaluating the metric takes: its own count, or a row a parameter."""
    passes = metric.passes(batch)
    return jnp.asarray(operator.in_size() if passes is None else passes, dtype=float)


def averaged(operator: Any, new: Any, step: Int[Array, ""], memory: Float[ArrayLike, ""]) -> Any:
    """The next average: it keeps `memory` of the old one, less at first, so that the first operator counts whole."""
    kept = jnp.minimum(1 - 1 / (step + 1), memory)
    return jax.tree.map(lambda a, b: kept.astype(b.dtype) * a + (1 - kept).astype(b.dtype) * b, operator, new)


def _blocks(operator: lx.AbstractLinearOperator) -> list[Any]:
    return operator.leaves() if isinstance(operator, BlockDiagonal) else [operator]


def _apply(
    inverses: list[AbstractInverse], operator: lx.AbstractLinearOperator, vector: PyTree[Array]
) -> PyTree[Array]:
    parts = iter(jax.tree.leaves(vector))
    found: list[Array] = []
    for inverse, block in zip(inverses, _blocks(operator), strict=True):
        structure = block.in_structure()
        part = jax.tree.map(lambda _: next(parts), structure)
        found += jax.tree.leaves(inverse(part))
    return jax.tree.unflatten(jax.tree.structure(vector), found)


class _RunningMetric(eqx.Module):
    metric: StructuredMetric
    damping: Float[Array, ""]
    memory: Float[Array, ""]
    refresh: int = eqx.field(static=True)
    warm_up: int = eqx.field(static=True)
    averages: bool = eqx.field(static=True)
    inverter: Inverter = eqx.field(static=True)

    def init(self, params: PyTree[Array]) -> RunningMetricState:
        operator = self.metric.start(params)
        return RunningMetricState(
            jnp.zeros((), jnp.int32),
            operator if self.averages else None,
            self._invert(operator),
            Gradients(jnp.zeros(())),
        )

    def _invert(self, operator: lx.AbstractLinearOperator) -> list[AbstractInverse]:
        return [self.inverter(block, self.damping) for block in _blocks(operator)]

    def update(
        self,
        updates: PyTree[Array],
        state: RunningMetricState,
        params: PyTree[Array] | None = None,
        *,
        batch: Any = None,
        key: PRNGKeyArray | None = None,
        **extra: Any,
    ) -> tuple[PyTree[Array], RunningMetricState]:
        if params is None:
            raise ValueError("A running metric is evaluated at the parameters; pass params= to update.")
        due = (state.step < self.warm_up) | (state.step % self.refresh == 0)
        operator = state.operator
        if self.averages:
            new = self.metric.at(params, batch, key=key)
            operator = averaged(operator, new, state.step, self.memory)
            inverses = jax.lax.cond(due, lambda: self._invert(operator), lambda: state.inverses)
        else:
            inverses = jax.lax.cond(
                due, lambda: self._invert(self.metric.at(params, batch, key=key)), lambda: state.inverses
            )
        empty = self.metric.start(params)
        spent = gradients_of(self.metric, empty, batch) * (1 if self.averages else due)
        direction = _apply(inverses, empty, updates)
        return direction, RunningMetricState(state.step + 1, operator, inverses, Gradients(spent))


def scale_by_running_metric(
    metric: StructuredMetric,
    *,
    damping: float = 1e-2,
    memory: float | None = 0.95,
    refresh: int = 20,
    warm_up: int = 20,
    inverter: Inverter = exact_inverse,
) -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by (Ḡ + λ)⁻¹, Ḡ an exponential average of the metric, its inverse renewed now and then.

    With `KroneckerFisher` this is K-FAC's direction, with its `outputs=False` FOOF's, with `HelmholtzFisher` and no
    memory that of natural reweighted wake–sleep. Updates want `params`, `batch` and `key`, as the metric does.

    Args:
        metric: evaluated at every step if there is a memory, else when the inverse is renewed.
        damping: λ > 0, or 0 where the metric is positive definite.
        memory: what the average keeps at a step, in [0, 1), and less at first: 1 − 1/k at step k; None for the newest.
        refresh: steps from one inverse to the next.
        warm_up: steps at the start that all renew it. An inverse of the first batch, kept for long, makes training
            diverge.
        inverter: `exact_inverse`, or `factored_inverse` for Kronecker products.
    """
    if refresh < 1:
        raise ValueError(f"An inverse is kept for at least one step; got refresh = {refresh}.")
    if damping < 0:
        raise ValueError(f"The damping of a metric is at least 0; got {damping}.")
    method = _RunningMetric(
        metric, number(damping), number(memory or 0.0), refresh, warm_up, memory is not None, inverter
    )
    return optax.GradientTransformationExtraArgs(method.init, method.update)
