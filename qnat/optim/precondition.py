"""Multiplying a gradient by the inverse of a damped metric."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optax
from jaxtyping import Array, Bool, Int, PyTree
from optax.tree_utils import tree_vdot

from qnat.geometry.operators import damped
from qnat.geometry.solvers import Blockwise, Direct

from .accept import select
from .damping import Adaptive, Damping, Rule, resolve
from .rate import Scalar

Preconditioner = Callable[[lx.AbstractLinearOperator], lx.AbstractLinearOperator]


class Diagnostics(NamedTuple):
    """What a step did, carried in the optimiser's state as `diagnostics`.

    Attributes:
        residual: ‖(G + λ)d − g‖/‖g‖ of the linear solve.
        damping: λ. clip: the factor the step was scaled by to fit the trust region.
        radius: trust radius √(dᵀGd) allowed to this step.
        accepted: 1 if the step was taken, else 0 (and the updates are zero): also where the linear solver failed.
        model_gradients: backward passes of the model that the metric took: what its `passes` says, or else one a row of
            a matrix or of a preconditioner's diagonal, two a product of a matrix-free one.
    """

    residual: Scalar
    damping: Scalar
    clip: Scalar
    radius: Scalar
    accepted: Scalar
    model_gradients: Scalar


def no_diagnostics() -> Diagnostics:
    """What stands in the state before the first step."""
    return Diagnostics(*(jnp.zeros(()) for _ in Diagnostics._fields))


def recorded(diagnostics: Diagnostics) -> Diagnostics:
    """One precision for the state, so that a loop may carry it whatever the parameters' precision is."""
    return Diagnostics(*(jnp.asarray(x, jnp.zeros(()).dtype) for x in diagnostics))


class Solution(NamedTuple):
    """What `solve` found.

    Attributes:
        direction: (G + λ)⁻¹ g. residual: as in `Diagnostics`. cost: `model_gradients` there.
        usable: false if the solver failed on a finite gradient. One that is not finite makes a direction that is not
            either, which whoever watches the run must see.
    """

    direction: PyTree[Array]
    residual: Scalar
    cost: Scalar
    usable: Bool[Array, ""]


def solve(
    operator: lx.AbstractLinearOperator,
    vector: PyTree[Array],
    damping: Scalar,
    solver: lx.AbstractLinearSolver,
    *,
    preconditioner: Preconditioner | None = None,
    start: PyTree[Array] | None = None,
) -> Solution:
    """(G + λ)⁻¹ g; `preconditioner` makes one from the damped operator, `start` is near the solution."""
    system = damped(operator, damping)
    options = {} if start is None else {"y0": start}
    if preconditioner is not None:
        options["preconditioner"] = preconditioner(system)
    solution = lx.linear_solve(system, vector, solver, options=options, throw=False)
    difference = jax.tree.map(jnp.subtract, system.mv(solution.value), vector)
    square = tree_vdot(vector, vector)
    residual = jnp.sqrt(tree_vdot(difference, difference) / jnp.maximum(square, jnp.finfo(float).tiny))
    steps = solution.stats.get("num_steps")
    rows = operator.in_size() if steps is None or preconditioner is not None else 0
    cost = rows + (0 if steps is None else 2 * steps)
    usable = (solution.result == lx.RESULTS.successful) | ~jnp.isfinite(square)
    return Solution(solution.value, residual, jnp.asarray(cost, residual.dtype), usable)


def direct(rule: Rule) -> lx.AbstractLinearSolver:
    """The direct solver, block by block; adaptive damping is never so small that a metric stays singular."""
    return Blockwise(Direct(singular=not isinstance(rule, Adaptive)))


class ScaleByMetricState(NamedTuple):
    """step: steps so far. diagnostics: of the last step."""

    step: Int[Array, ""]
    diagnostics: Diagnostics


class _ScaleByMetric(eqx.Module):
    rule: Rule
    solver: lx.AbstractLinearSolver

    def init(self, params: PyTree[Array]) -> ScaleByMetricState:
        return ScaleByMetricState(jnp.zeros((), jnp.int32), no_diagnostics())

    def update(
        self,
        updates: PyTree[Array],
        state: ScaleByMetricState,
        params: PyTree[Array] | None = None,
        *,
        operator: lx.AbstractLinearOperator,
        **extra: Any,
    ) -> tuple[PyTree[Array], ScaleByMetricState]:
        damping = self.rule(jnp.sqrt(tree_vdot(updates, updates)), jnp.zeros((), jnp.int32), state.step)
        direction, residual, cost, usable = solve(operator, updates, damping, self.solver)
        direction = select(usable, direction, jax.tree.map(jnp.zeros_like, direction))
        one = jnp.ones_like(residual)
        diagnostics = recorded(Diagnostics(residual, damping, one, jnp.full_like(one, jnp.inf), usable, cost))
        return direction, ScaleByMetricState(state.step + 1, diagnostics)


def scale_by_metric(
    *, solver: lx.AbstractLinearSolver | None = None, damping: Damping = 1e-3
) -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by (G + λ)⁻¹, for the evaluated metric G that is passed to update as `operator=`.

    The raw direction, for chains of one's own; `natural_gradient` is the whole method. Zero where the solver fails.

    Args:
        solver: a lineax solver; None takes the inverse of a structured operator, Cholesky for others, block by block,
            and least squares where such a block is singular.
        damping: λ, a schedule, or a rule of `qnat.optim.damping`.
    """
    rule = resolve(damping)
    method = _ScaleByMetric(rule, solver or direct(rule))
    return optax.GradientTransformationExtraArgs(method.init, method.update)
