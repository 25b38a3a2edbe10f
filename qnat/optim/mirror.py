"""Mirror descent, exact in the dual chart."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree
from optax.tree_utils import tree_vdot

from qnat.geometry.mirror import AbstractMirrorMap

from .accept import TriedDiagnostics, TriedState, ValueFn, halving, select, start
from .rate import Scalar, ScalarOrSchedule, Schedule, rate_at, traced_rate


class _MirrorDescent(eqx.Module):
    learning_rate: Scalar | Schedule
    mirror: AbstractMirrorMap
    tries: bool = eqx.field(static=True)

    def init(self, params: PyTree[Array]) -> TriedState:
        return start(())

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
            raise ValueError("mirror_descent steps from the parameters; pass params= to update.")
        rate = rate_at(self.learning_rate, state.step) * state.scale
        step = jax.tree.map(lambda g: -rate * g, updates)
        target = self.mirror.retract_dual(self.mirror.to_dual(params), step)
        # traced, so that a target without preimage is NaN, which is tried and rejected, and not refused
        new = eqx.filter_jit(self.mirror.to_primal)(target)
        mismatch = jax.tree.map(jnp.subtract, self.mirror.to_dual(new), target)
        accepted, scale, window = jnp.asarray(True), state.scale, state.window
        if self.tries:
            accepted, scale, window = halving(window, scale, state.step, value, value_fn, new)
        diagnostics = TriedDiagnostics(
            jnp.sqrt(tree_vdot(mismatch, mismatch)).astype(state.scale.dtype),
            state.scale,
            accepted.astype(state.scale.dtype),
            jnp.zeros_like(state.scale),
        )
        change = jax.tree.map(lambda n, p: (n - p).astype(p.dtype), select(accepted, new, params), params)
        return change, TriedState(state.step + 1, scale, window, (), diagnostics)


def mirror_descent(
    learning_rate: ScalarOrSchedule, mirror: AbstractMirrorMap, *, accept: Literal["halve"] | None = "halve"
) -> optax.GradientTransformationExtraArgs:
    """Mirror descent ∇ψ(θ₊) = ∇ψ(θ) − η ∇L(θ): an exact step in the dual chart, on any pytree.

    For log-partition potentials the dual chart is that of expectations, and the step is moment matching: with η = 1 it
    fits data in one step. With `Dual(family)` the parameters are the expectations and the step is made in the natural
    chart, by `family.retract`: natural-gradient variational inference. A target outside the domain has no preimage; the
    step is then taken back and tried with half the rate.

    Args:
        learning_rate: η, a number or an optax schedule.
        mirror: the mirror map of the parameters.
        accept: "halve" tries steps; None always takes them.

    Reference: G. Raskutti, S. Mukherjee, arXiv:1310.7780; M. E. Khan, W. Lin, arXiv:1703.04265.
    """
    method = _MirrorDescent(traced_rate(learning_rate), mirror, accept is not None)
    return optax.GradientTransformationExtraArgs(method.init, method.update)
