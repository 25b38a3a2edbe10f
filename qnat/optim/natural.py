"""Natural gradients: solve with a metric, clip by the trust radius, try the step."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optax
from jaxtyping import Array, Float, Int, PyTree
from optax.tree_utils import tree_vdot

from qnat.geometry.metric import AbstractMetric

from .accept import ValueFn, acceptable, empty_window, needed, only, push, select
from .damping import Damping, Rule, resolve
from .precondition import Diagnostics, Preconditioner, direct, no_diagnostics, recorded, solve
from .rate import Scalar, ScalarOrSchedule, Schedule, number, rate_at, scaled, traced_rate

Accept = Literal["trust", "fresh"] | None


class NaturalGradientState(NamedTuple):
    """step: steps so far. radius: trust radius. rejected: tries rejected in a row. window: last accepted values.

    direction: the last solution of the linear system, for a warm start; else None.
    factor: on the damping, where the gain of a step decides it; else None.
    """

    step: Int[Array, ""]
    radius: Scalar
    rejected: Int[Array, ""]
    window: Float[Array, " w"]
    diagnostics: Diagnostics
    direction: PyTree[Array] | None
    factor: Scalar | None = None


class _NaturalGradient(eqx.Module):
    learning_rate: Scalar | Schedule
    metric: AbstractMetric | None
    rule: Rule
    trust: Scalar
    box: Scalar
    solver: lx.AbstractLinearSolver
    preconditioner: Preconditioner | None
    warm: bool = eqx.field(static=True)
    accept: Accept = eqx.field(static=True)

    def init(self, params: PyTree[Array]) -> NaturalGradientState:
        zero = jnp.zeros((), jnp.int32)
        direction = jax.tree.map(jnp.zeros_like, params) if self.warm else None
        factor = jnp.ones_like(self.trust) if self.accept == "fresh" else None
        return NaturalGradientState(zero, self.trust, zero, empty_window(), no_diagnostics(), direction, factor)

    def update(
        self,
        updates: PyTree[Array],
        state: NaturalGradientState,
        params: PyTree[Array] | None = None,
        *,
        value: Scalar | None = None,
        value_fn: ValueFn | None = None,
        batch: Any = None,
        key: Array | None = None,
        operator: lx.AbstractLinearOperator | None = None,
        **extra: Any,
    ) -> tuple[PyTree[Array], NaturalGradientState]:
        if params is None:
            raise ValueError("natural_gradient evaluates its metric at the parameters; pass params= to update.")
        if self.metric is not None:
            operator = self.metric.at(params, batch, key=key)
        if operator is None:
            raise ValueError("natural_gradient without a metric is handed one at every step; pass operator= to update.")
        norm, factor = jnp.sqrt(tree_vdot(updates, updates)), state.factor
        if factor is None:
            damping = self.rule(norm, state.rejected, state.step)
        else:
            damping = factor * self.rule(norm, jnp.zeros_like(state.rejected), state.step)
        solution, residual, cost, accepted = solve(
            operator, updates, damping, self.solver, preconditioner=self.preconditioner, start=state.direction
        )
        direction = scaled(-rate_at(self.learning_rate, state.step), solution)
        curvature = jnp.maximum(tree_vdot(direction, operator.mv(direction)), 0.0)  # rounding, in a null space
        largest = jax.tree.reduce(jnp.maximum, jax.tree.map(lambda x: jnp.max(jnp.abs(x), initial=0), direction))
        clip = jnp.minimum(1.0, jnp.minimum(state.radius / jnp.sqrt(curvature), self.box / largest))
        clip = jnp.where(largest > 0, clip, 1.0)
        change = scaled(clip, direction)
        usable, radius, window = accepted, state.radius, state.window
        if self.accept is not None:
            value, value_fn = needed(value, value_fn)
            window = jnp.where((state.step == 0) | (self.accept == "fresh"), only(value), window)
            predicted = -(clip * tree_vdot(updates, direction) + clip**2 * curvature / 2)
            trial = value_fn(optax.apply_updates(params, change))
            # a fresh value may rise by as much as it was to fall: noise, and saddles where the metric is no curvature
            accepted = usable & acceptable(window, trial, (-1 if self.accept == "fresh" else 1e-4) * predicted)
            gain = (value - trial) / predicted
            following = _next_radius(radius, clip * jnp.sqrt(curvature), gain)
            if factor is not None:
                following, factor = jnp.maximum(following, self.trust), _next_factor(factor, gain)
            radius = jnp.where(usable, following, radius)
            window = jnp.where(accepted, push(window, trial), window)
        change = select(accepted, change, jax.tree.map(jnp.zeros_like, change))
        passes = None if self.metric is None else self.metric.passes(batch)
        spent = cost if passes is None else jnp.full_like(cost, passes)
        diagnostics = recorded(Diagnostics(residual, damping, clip, state.radius, accepted, spent))
        rejected = jnp.where(accepted, 0, state.rejected + 1)
        warm = select(usable, solution, state.direction) if self.warm else None
        return change, NaturalGradientState(
            state.step + 1, radius.astype(state.radius.dtype), rejected, window, diagnostics, warm, factor
        )


def _next_radius(radius: Scalar, length: Scalar, gain: Scalar) -> Scalar:
    """Doubles after a step that used the radius and was predicted well, halves the step's length after a bad one.

    Also after a bad one that was taken, and as often as it must: a radius that stopped at some length would let runs
    circle, whose steps raise the loss and lower it in turns, wherever the metric falls short of the curvature.
    """
    grown = jnp.where((gain > 0.75) & (length > 0.8 * radius), 2 * radius, radius)
    poor = ~(gain >= 0.25) & jnp.isfinite(length)
    return jnp.maximum(jnp.where(poor, length / 2, grown), jnp.finfo(radius.dtype).eps)


def _next_factor(factor: Scalar, gain: Scalar) -> Scalar:
    """Half after a step that was predicted well, twice after a bad one, from 1 to 1024."""
    changed = jnp.where(gain > 0.75, factor / 2, jnp.where(gain >= 0.25, factor, 2 * factor))
    return jnp.clip(changed, 1, 1024).astype(factor.dtype)


def natural_gradient(
    learning_rate: ScalarOrSchedule,
    metric: AbstractMetric | None = None,
    *,
    damping: Damping = "adaptive",
    trust: float | None = 0.3,
    box: float | None = 0.8,
    accept: Accept = "trust",
    solver: lx.AbstractLinearSolver | None = None,
    preconditioner: Preconditioner | None = None,
    warm_start: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Natural gradient descent d = −η (G + λ)⁻¹ g that works without tuning.

    The step is scaled to √(dᵀGd) ≤ radius and max|dᵢ| ≤ box, then tried: like optax's line searches, update takes
    `value` and `value_fn`, and returns zero updates when it rejects. The radius doubles after steps that the quadratic
    model predicts well and shrinks after bad ones; each rejection multiplies the damping by four. A step whose linear
    solver failed counts as rejected, whatever `accept` is.

    Without a matrix, for more parameters than a P x P one bears: `metric` one that makes products, such as
    `DivergenceMetric`, `solver=TruncatedCG(1e-3, 50)`, `warm_start=True`, and `preconditioner=jacobi` where the
    operator knows its diagonal.

    Args:
        learning_rate: η, a number or an optax schedule; 1 where the metric is the Hessian of the loss at its optimum.
        metric: G, evaluated at the parameters of every step; None takes `operator` of update, which
            `qnat.inference.descend` with `linearise` hands on.
        damping: "adaptive", λ, a schedule, or a rule of `qnat.optim.damping`. With λ = 0 a singular metric gives the
            step of least squares; one with a structured inverse wants λ > 0.
        trust: first trust radius, in the length of the metric (√2·nats for relative entropies); None for no radius.
        box: largest change of one parameter in one step (0.8 rad keeps an angle within its local model); None for none.
        accept: "trust" tries steps. "fresh" is for losses and metrics that are drawn anew at every step: a trial is
            compared with the value of its own step, from which it may rise by as much as it was predicted to fall, and
            damping follows the gain, as an estimated metric errs most in its small eigenvalues; the radius grows too,
            and never falls below `trust`. None always takes them, and the radius stays as it is.
        solver: a lineax solver; None takes the inverse of a structured operator, Cholesky for others, block by block,
            and least squares where such a block is singular.
        preconditioner: makes one from G + λ for an iterative solver, as `qnat.geometry.jacobi` does.
        warm_start: start an iterative solver from the solution of the step before.

    Reference: S. Amari, Neural Comput. 10, 251 (1998); J. Nocedal, S. Wright, Numerical Optimization, ch. 4.
    """
    rule = resolve(damping)
    method = _NaturalGradient(
        traced_rate(learning_rate),
        metric,
        rule,
        number(jnp.inf if trust is None else trust),
        number(jnp.inf if box is None else box),
        solver or direct(rule),
        preconditioner,
        warm_start,
        accept,
    )
    return optax.GradientTransformationExtraArgs(method.init, method.update)
