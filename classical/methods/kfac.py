"""K-FAC with everything that its authors give it: exact rescaling with momentum, and damping that adapts."""

from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from qnat.geometry.kronecker import Kronecker, factored_inverse
from qnat.geometry.operators import BlockDiagonal
from qnat.geometry.structured import AbstractInverse
from qnat.optim.rate import Scalar
from qnat.optim.running import averaged, gradients_of

from .fisher import FisherMetric, KroneckerFisher
from .rescaling import Rescaled, rescale

_MEMORY = 0.95
_LAMBDA_EVERY, _GAMMA_EVERY = 5, 20
_LAMBDA_FACTOR = (19 / 20) ** _LAMBDA_EVERY
_GAMMA_FACTOR = (19 / 20) ** (_GAMMA_EVERY / 2)
_GAMMAS = 3
_WARM_UP = 20


class KfacDiagnostics(NamedTuple):
    """damping: λ of the quadratic model. inner_damping: γ² of the factors. gain: actual over predicted change.

    model_gradients: backward passes of the curvature: of the factors, and two a product with the exact Fisher matrix.
    """

    damping: Scalar
    inner_damping: Scalar
    gain: Scalar
    model_gradients: Scalar


class KfacState(NamedTuple):
    """What K-FAC carries: the average, its inverses, the last step, and the two dampings."""

    step: Int[Array, ""]
    operator: BlockDiagonal
    inverses: list[AbstractInverse]
    previous: PyTree[Array]
    damping: Scalar
    gamma: Scalar
    diagnostics: KfacDiagnostics


def _inverses(operator: BlockDiagonal, gamma: Scalar) -> list[AbstractInverse]:
    return [factored_inverse(cast(Kronecker, block), gamma**2) for block in operator.leaves()]


def _proposal(inverses: list[AbstractInverse], gradient: PyTree[Array]) -> PyTree[Array]:
    return [-inverse(g) for inverse, g in zip(inverses, gradient, strict=True)]


class _Kfac(eqx.Module):
    metric: KroneckerFisher
    damping: Scalar
    refresh: int = eqx.field(static=True)

    def init(self, params: PyTree[Array]) -> KfacState:
        operator = self.metric.start(params)
        gamma = jnp.sqrt(self.damping)
        zero = jnp.zeros_like(gamma)
        return KfacState(
            jnp.zeros((), jnp.int32),
            operator,
            _inverses(operator, gamma),
            jax.tree.map(jnp.zeros_like, params),
            self.damping,
            gamma,
            KfacDiagnostics(zero, zero, zero, zero),
        )

    def update(
        self,
        updates: PyTree[Array],
        state: KfacState,
        params: PyTree[Array] | None = None,
        *,
        value: Scalar | None = None,
        value_fn: Any = None,
        batch: Any = None,
        key: PRNGKeyArray | None = None,
        **extra: Any,
    ) -> tuple[PyTree[Array], KfacState]:
        if params is None or value is None or value_fn is None:
            raise ValueError("kfac looks at the loss; pass params=, value= and value_fn= to update.")
        new = self.metric.at(params, batch, key=key)
        operator = averaged(state.operator, new, state.step, _MEMORY)
        fisher = FisherMetric(self.metric.network).at(params, batch)

        def attempt(inverses: list[AbstractInverse]) -> Rescaled:
            return rescale(fisher, updates, _proposal(inverses, updates), state.previous, state.damping)

        def renewed() -> tuple[Scalar, list[AbstractInverse]]:
            return state.gamma, _inverses(operator, state.gamma)

        def searched() -> tuple[Scalar, list[AbstractInverse]]:
            """γ smaller, as it is, or larger: the one whose step promises most."""
            gammas = state.gamma * jnp.asarray([_GAMMA_FACTOR, 1.0, 1 / _GAMMA_FACTOR], state.gamma.dtype)
            models = jax.lax.map(lambda gamma: attempt(_inverses(operator, gamma)).model, gammas)
            best = gammas[jnp.argmin(models)]
            return best, _inverses(operator, best)

        count = state.step + 1
        due = (count % self.refresh == 0) | (state.step < _WARM_UP)
        gamma, inverses = jax.lax.cond(
            (count % _GAMMA_EVERY == 0),
            searched,
            lambda: jax.lax.cond(due, renewed, lambda: (state.gamma, state.inverses)),
        )
        found = attempt(inverses)

        def adapted() -> tuple[Scalar, Scalar]:
            gain = (value_fn(optax.apply_updates(params, found.direction)) - value) / found.model
            factor = jnp.where(gain > 0.75, _LAMBDA_FACTOR, jnp.where(gain >= 0.25, 1.0, 1 / _LAMBDA_FACTOR))
            return state.damping * factor.astype(state.damping.dtype), gain.astype(state.damping.dtype)

        damping, gain = jax.lax.cond(
            count % _LAMBDA_EVERY == 0, adapted, lambda: (state.damping, state.diagnostics.gain)
        )
        # every combination of two directions takes two products; a search over γ makes three more
        combined = jnp.where(count % _GAMMA_EVERY == 0, 1 + _GAMMAS, 1)
        spent = (gradients_of(self.metric, new, batch) + 4 * combined).astype(gain.dtype)
        diagnostics = KfacDiagnostics(state.damping, gamma**2, gain, spent)
        return found.direction, KfacState(count, operator, inverses, found.direction, damping, gamma, diagnostics)


def kfac(metric: KroneckerFisher, *, damping: float = 1.0, refresh: int = 20) -> optax.GradientTransformationExtraArgs:
    """K-FAC without a learning rate.

    The Kronecker-factored direction D and the previous step δ₀ are combined by minimising the quadratic model of the
    loss with the exact Fisher matrix of the batch plus λ. Every 5 steps λ follows the ratio of the actual to the
    predicted change (Levenberg–Marquardt), every 20 the damping γ² of the factors moves to where the model promises
    most. Update wants `params`, `value`, `value_fn`, `batch` and `key`. For a direction with a learning rate of your
    own, see `qnat.optim.scale_by_running_metric`.

    Args:
        metric: the Kronecker-factored Fisher of the network; its targets should be "sampled" or "exact".
        damping: λ and γ² at the start, > 0; it adapts, but a start too large costs steps.
        refresh: steps from one inversion of the factors to the next, after 20 steps that all invert.

    Reference: J. Martens, R. Grosse, arXiv:1503.05671.
    """
    if damping <= 0:
        raise ValueError(f"K-FAC starts from a positive damping; got {damping}.")
    method = _Kfac(metric, jnp.asarray(damping, dtype=float), refresh)
    return optax.GradientTransformationExtraArgs(method.init, method.update)
