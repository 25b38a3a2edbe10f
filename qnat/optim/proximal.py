"""Proximal steps with a divergence: quantum probabilistic mirror descent (QPMD)."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from qnat.geometry.divergence import Divergence
from qnat.geometry.metric import AbstractMetric
from qnat.geometry.solvers import Blockwise
from qnat.geometry.truncated_cg import TruncatedCG

from .accept import TriedDiagnostics, TriedState, ValueFn, halving, select, start
from .damping import Damping, adaptive
from .natural import natural_gradient
from .rate import Scalar, ScalarOrSchedule, Schedule, number, rate_at, traced_rate


class _ProximalDescent(eqx.Module):
    learning_rate: Scalar | Schedule
    divergence: Divergence
    inner: optax.GradientTransformation
    inner_steps: int = eqx.field(static=True)
    euclidean: Scalar
    budget: Scalar
    carries: bool = eqx.field(static=True)
    tries: bool = eqx.field(static=True)

    def init(self, params: PyTree[Array]) -> TriedState:
        return start(self.inner.init(params))

    def update(
        self,
        updates: PyTree[Array],
        state: TriedState,
        params: PyTree[Array] | None = None,
        *,
        value: Scalar | None = None,
        value_fn: ValueFn | None = None,
        **extra: Any,
    ) -> tuple[PyTree[Array], TriedState]:
        if params is None:
            raise ValueError("proximal_descent measures distances from the parameters; pass params= to update.")
        rate = rate_at(self.learning_rate, state.step) * state.scale
        measure = jax.value_and_grad(lambda new: self.divergence(new, params))

        def keep_going(loop: tuple) -> Array:
            _, _, step, distance, _ = loop
            return (step < self.inner_steps) & (distance <= self.budget)

        def descend(loop: tuple) -> tuple:
            new, inner, step, _, _ = loop
            distance, pull = measure(new)
            gradient = jax.tree.map(
                lambda g, d, v, v0: g + ((1 - self.euclidean) * d + self.euclidean * (v - v0)) / rate,
                updates,
                pull,
                new,
                params,
            )
            gradient = jax.tree.map(lambda g, v: g.astype(v.dtype), gradient, new)
            change, inner = self.inner.update(gradient, inner, new)
            new = jax.tree.map(lambda v, c: v + (state.scale * c).astype(v.dtype), new, change)
            return (
                new,
                inner,
                step + 1,
                distance,
                jnp.sqrt(optax.tree_utils.tree_vdot(gradient, gradient)).astype(state.scale.dtype),
            )

        start = state.inner if self.carries else self.inner.init(params)
        zero = jnp.zeros_like(state.scale)
        distance = jax.eval_shape(lambda: self.divergence(params, params))
        loop = (params, start, jnp.zeros((), jnp.int32), jnp.zeros((), distance.dtype), zero)
        new, inner, steps, _, residual = jax.lax.while_loop(keep_going, descend, loop)
        accepted, scale, window = jnp.asarray(True), state.scale, state.window
        if self.tries:
            accepted, scale, window = halving(window, scale, state.step, value, value_fn, new)
        diagnostics = TriedDiagnostics(residual, state.scale, accepted.astype(zero.dtype), steps.astype(zero.dtype))
        change = jax.tree.map(jnp.subtract, select(accepted, new, params), params)
        inner = select(accepted, inner, state.inner)
        return change, TriedState(state.step + 1, scale, window, inner, diagnostics)


def proximal_descent(
    learning_rate: ScalarOrSchedule,
    divergence: Divergence,
    *,
    inner: optax.GradientTransformation,
    inner_steps: int = 30,
    euclidean: float = 0.1,
    budget: float = 0.05,
    carry_inner_state: bool = True,
    accept: Literal["halve"] | None = "halve",
) -> optax.GradientTransformationExtraArgs:
    """Quantum probabilistic mirror descent: a proximal step, truncated after a few inner steps.

    Each step minimises ⟨g, v⟩ + (1/η)[(1 − c) D(v, v₀) + (c/2)‖v − v₀‖²] from v = v₀ by `inner_steps` steps of `inner`.
    Truncation is part of the method: D is bounded in the angles of a circuit, so the exact minimiser runs away. The
    inner loop therefore ends when D exceeds `budget`, and a step that raises the loss is taken back and tried with both
    rates halved. The other direction of the divergence is `lambda new, old: divergence(old, new)`.

    Args:
        learning_rate: η, a number or an optax schedule.
        divergence: D(new, old), differentiable in its first argument; needs the model, no data.
        inner: an optax optimiser for the inner loop.
        inner_steps: J, largest number of inner steps.
        euclidean: c in [0, 1].
        budget: largest D of an inner iterate from which the loop goes on, in nats.
        carry_inner_state: keep the inner optimiser's moments from step to step (a fourfold lower floor with Adam).
        accept: "halve" tries steps; None always takes them.

    Reference: F. Sbahi et al., arXiv:2206.04663.
    """
    method = _ProximalDescent(
        traced_rate(learning_rate),
        divergence,
        inner,
        inner_steps,
        number(euclidean),
        number(budget),
        carry_inner_state,
        accept is not None,
    )
    return optax.GradientTransformationExtraArgs(method.init, method.update)


def proximal_newton(
    learning_rate: ScalarOrSchedule,
    metric: AbstractMetric,
    *,
    inner_steps: int = 50,
    tolerance: float = 0.05,
    damping: Damping = "adaptive",
    trust: float | None = 0.3,
    box: float | None = 0.5,
) -> optax.GradientTransformationExtraArgs:
    """The proximal step with D replaced by its quadratic model at v₀, solved by truncated conjugate gradients.

    One outer step needs one gradient of the loss and at most `inner_steps` products with the Hessian of the divergence,
    each worth two gradients of the model alone; no metric matrix and no step size. Blocks of a block-diagonal metric
    are solved each to its own tolerance: a latent distribution about to collapse has a small gradient and needs all of
    it. Trust radius, box and acceptance are those of `natural_gradient`, which this is, with a solver that stops early.

    Args:
        learning_rate: η, a number or an optax schedule; 1 is the Newton step.
        metric: the Hessian of the divergence where its arguments coincide: `DivergenceMetric(divergence)`, or the BKM
            metric of the model, which is the same operator for relative entropy in either direction.
        inner_steps: largest number of products. tolerance: residual to stop at, relative to the gradient.
        damping: as in `natural_gradient`; "adaptive" has more of it far from the optimum than there, where a truncated
            solve should not chase soft directions. trust, box: as in `natural_gradient`.
    """
    solver = Blockwise(TruncatedCG(rtol=tolerance, max_steps=inner_steps))
    rule = adaptive(low=1e-4, high=3e-3, slope=3e-3) if damping == "adaptive" else damping
    return natural_gradient(learning_rate, metric, damping=rule, trust=trust, box=box, solver=solver)
