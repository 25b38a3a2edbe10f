"""QN-SPSA: gradient and metric from a handful of function values along random directions."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from qnat.geometry.divergence import Divergence

from .accept import ValueFn, needed
from .rate import Scalar, ScalarOrSchedule, Schedule, number, rate_at, traced_rate

HISTORY = 5


class SPSADiagnostics(NamedTuple):
    """accepted: 1 if the step was taken, else 0.

    loss_values, divergence_values: evaluations that the step took; of the losses, that at the point, which `update` is
    handed, is one where steps are tried.
    """

    accepted: Scalar
    loss_values: Scalar
    divergence_values: Scalar


class QNSPSAState(NamedTuple):
    """step: steps so far. metric: (P, P) the running mean. window: the last losses, by step modulo their number."""

    step: Int[Array, ""]
    metric: Float[Array, "P P"]
    window: Float[Array, " w"]
    diagnostics: SPSADiagnostics


def spsa_gradient(
    value_fn: ValueFn, params: PyTree[Array], direction: Float[Array, " P"], step: Scalar
) -> Float[Array, " P"]:
    """[L(v + εh) − L(v − εh)]/(2ε) h: over random signs h its mean is the gradient, up to O(ε²)."""
    flat, unravel = ravel_pytree(params)
    above, below = value_fn(unravel(flat + step * direction)), value_fn(unravel(flat - step * direction))
    return (above - below) / (2 * step) * direction


def spsa_metric(
    divergence: Divergence,
    params: PyTree[Array],
    first: Float[Array, " P"],
    second: Float[Array, " P"],
    step: Scalar,
) -> Float[Array, "P P"]:
    """δD/(2ε²) · (h₁h₂ᵀ + h₂h₁ᵀ)/2: over random signs its mean is the Hessian of D(·, v) at v, up to O(ε²).

    δD = D(v + εh₁ + εh₂) − D(v + εh₁) − D(v − εh₁ + εh₂) + D(v − εh₁), each against v.
    """
    flat, unravel = ravel_pytree(params)
    points = jnp.stack([first + second, first, second - first, -first])
    values = [divergence(unravel(flat + step * point), params) for point in points]
    change = values[0] - values[1] - values[2] + values[3]
    return change / (4 * step**2) * (jnp.outer(first, second) + jnp.outer(second, first))


def directions(key: PRNGKeyArray, step: Int[Array, ""], size: int, dtype: Any) -> Float[Array, "3 P"]:
    """The random signs of a step: one vector for the gradient, two for the metric."""
    return jax.random.rademacher(jax.random.fold_in(key, step), (3, size), dtype)


class _QNSPSA(eqx.Module):
    learning_rate: Scalar | Schedule
    divergence: Divergence
    perturbation: Scalar
    regularization: Scalar
    blocking: bool = eqx.field(static=True)

    def init(self, params: PyTree[Array]) -> QNSPSAState:
        flat, _ = ravel_pytree(params)
        zero = jnp.zeros(())
        metric = jnp.eye(flat.size, dtype=flat.dtype)
        return QNSPSAState(jnp.zeros((), jnp.int32), metric, jnp.zeros(HISTORY), SPSADiagnostics(zero, zero, zero))

    def update(
        self,
        updates: PyTree[Array],
        state: QNSPSAState,
        params: PyTree[Array] | None = None,
        *,
        value: Scalar | None = None,
        value_fn: ValueFn | None = None,
        key: PRNGKeyArray | None = None,
        **extra: Any,
    ) -> tuple[PyTree[Array], QNSPSAState]:
        if params is None or key is None:
            raise ValueError("qn_spsa walks from the parameters along random directions; pass params= and key=.")
        value, value_fn = needed(value, value_fn)
        flat, unravel = ravel_pytree(params)
        step = self.perturbation.astype(flat.dtype)
        one, first, second = directions(key, state.step, flat.size, flat.dtype)
        gradient = spsa_gradient(value_fn, params, one, step)
        count = (state.step + 1).astype(flat.dtype)
        mean = (count * state.metric + spsa_metric(self.divergence, params, first, second, step)) / (count + 1)
        eigenvalues, V = jnp.linalg.eigh(mean)
        eigenvalues = (jnp.abs(eigenvalues) + self.regularization) / (1 + self.regularization)
        eigenvalues = eigenvalues.astype(flat.dtype)
        rate = rate_at(self.learning_rate, state.step).astype(flat.dtype)
        change = -rate * (V @ (V.T @ gradient / eigenvalues))
        window = state.window.at[state.step % HISTORY].set(value.astype(state.window.dtype))
        accepted = jnp.asarray(True)
        if self.blocking:
            seen = jnp.arange(HISTORY) <= state.step
            accepted = ~(value_fn(unravel(flat + change)) > value + 2 * jnp.std(window, where=seen))
        change = jnp.where(accepted, change, 0)
        diagnostics = SPSADiagnostics(
            accepted.astype(window.dtype),
            jnp.full((), 4.0 if self.blocking else 2.0, window.dtype),
            jnp.full((), 4.0, window.dtype),
        )
        metric = ((V * eigenvalues) @ V.T).astype(flat.dtype)
        return unravel(change), QNSPSAState(state.step + 1, metric, window, diagnostics)


def qn_spsa(
    learning_rate: ScalarOrSchedule,
    divergence: Divergence,
    *,
    perturbation: float = 1e-2,
    regularization: float = 1e-3,
    blocking: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Quantum natural SPSA: two losses for the gradient, four divergences for the metric, at any number of parameters.

    The metric is the Hessian of D(new, old) where the two coincide. With half the infidelity of pure states it is the
    Fubini–Study metric, and this is PennyLane's QNSPSAOptimizer with its defaults; with the relative entropy of mixed
    states it is BKM. Its running mean Ḡ starts from the identity and is made positive, (|Ḡ| + reg·1)/(1 + reg). The
    gradient that is passed to `update` is not used; `value=`, `value_fn=` and `key=` are.

    Args:
        learning_rate: η, a number or an optax schedule (PennyLane's default is 1e-3).
        divergence: D(new, old).
        perturbation: ε, the distance at which functions are evaluated, in units of the parameters.
        regularization: reg above.
        blocking: a step that raises the loss by more than twice the standard deviation of the last five is not taken.

    Reference: J. Gacon, C. Zoufal, G. Carleo, S. Woerner, Quantum 5, 567 (2021), arXiv:2103.09232.
    """
    method = _QNSPSA(traced_rate(learning_rate), divergence, number(perturbation), number(regularization), blocking)
    return optax.GradientTransformationExtraArgs(method.init, method.update)
