"""Mirror maps: the gradient of a convex potential, and its inverse.

The gradient takes primal (natural) coordinates to dual (mean) ones. The Bregman gap of the same potential is a
divergence (`divergence.bregman`), its Hessian a metric (`metric.HessianMetric`).
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Inexact, PyTree

from .hermitian import log_trace_exp


class AbstractMirrorMap(eqx.Module):
    """A strictly convex potential ψ and the change of coordinates ∇ψ. Its laws are in `laws.check_mirror_map`."""

    @abc.abstractmethod
    def potential(self, theta: PyTree[Array]) -> Float[Array, ""]:
        """The convex potential ψ(θ)."""

    def to_dual(self, theta: PyTree[Array]) -> PyTree[Array]:
        """η = ∇ψ(θ); final, by automatic differentiation."""
        return jax.grad(self.potential)(theta)

    @abc.abstractmethod
    def to_primal(self, eta: PyTree[Array]) -> PyTree[Array]:
        """θ with ∇ψ(θ) = η, the inverse of `to_dual`; NaN where there is none."""


class Euclidean(AbstractMirrorMap):
    """ψ = |θ|²/2 on any pytree: both coordinates are the same, and mirror descent is gradient descent."""

    def potential(self, theta: PyTree[Array]) -> Float[Array, ""]:
        return jax.tree.reduce(jnp.add, jax.tree.map(lambda x: jnp.sum(x**2) / 2, theta))

    def to_primal(self, eta: PyTree[Array]) -> PyTree[Array]:
        return eta


class NegativeEntropy(AbstractMirrorMap):
    """ψ = Σ p log p on the probability simplex; mirror descent is the exponentiated gradient.

    Dual coordinates are log p + 1. A constant added to them does not matter: `to_primal` normalises.
    """

    def potential(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        return jnp.sum(jax.scipy.special.xlogy(theta, theta))

    def to_primal(self, eta: Float[Array, " n"]) -> Float[Array, " n"]:
        return jax.nn.softmax(eta)


class LogPartition(AbstractMirrorMap):
    """ψ = log Σₓ exp(θ·s(x)): a classical exponential family; the dual coordinates are the means E[s].

    Attributes:
        statistics: (P, N) values s(x), linearly independent together with the constant.
    """

    statistics: Float[Array, "P N"]

    def __check_init__(self) -> None:
        if jnp.ndim(self.statistics) != 2:
            raise ValueError(f"statistics must have shape (P, N); they have shape {jnp.shape(self.statistics)}.")

    def potential(self, theta: Float[Array, " P"]) -> Float[Array, ""]:
        return jax.nn.logsumexp(theta @ self.statistics)

    def to_primal(self, eta: Float[Array, " P"]) -> Float[Array, " P"]:
        """Natural coordinates of the means η, by Newton's method; NaN where no distribution of the family has them."""
        return _invert_gradient(self.potential, eta)


class LogTraceExp(AbstractMirrorMap):
    """ψ = log Tr exp(Σₐ θₐFₐ): a quantum exponential family; the dual coordinates are the expectations ⟨Fₐ⟩.

    Its Bregman divergence is the relative entropy, its Hessian the Bogoliubov–Kubo–Mori metric.

    Attributes:
        generators: (P, d, d) Hermitian Fₐ, linearly independent together with the identity.
    """

    generators: Inexact[Array, "P d d"]

    def __check_init__(self) -> None:
        shape = jnp.shape(self.generators)
        if len(shape) != 3 or shape[1] != shape[2]:
            raise ValueError(f"generators must have shape (P, d, d); they have shape {shape}.")

    def log_density(self, theta: Float[Array, " P"]) -> Inexact[Array, "d d"]:
        """K = Σₐ θₐFₐ."""
        return jnp.tensordot(theta, self.generators, axes=1)

    def potential(self, theta: Float[Array, " P"]) -> Float[Array, ""]:
        return log_trace_exp(self.log_density(theta))

    def to_primal(self, eta: Float[Array, " P"]) -> Float[Array, " P"]:
        """Natural coordinates of the expectations η, by Newton's method; NaN where no state of the family has them."""
        return _invert_gradient(self.potential, eta)


_MAX_STEPS = 100
_MAX_HALVINGS = 40

Objective = Callable[[Float[Array, " P"]], Float[Array, ""]]
Loop = tuple[Float[Array, " P"], Float[Array, " P"], Array, Bool[Array, ""]]


@eqx.filter_jit
def _invert_gradient(potential: Objective, eta: Float[Array, " P"]) -> Float[Array, " P"]:
    """Solve ∇ψ(θ) = η from θ = 0: Newton with backtracking on the strictly convex ψ(θ) − η·θ.

    If there is a solution, the damped iteration finds it from anywhere. If there is none, the gradient stays away from
    zero, the steps run out, and the answer is NaN: failure is a value.
    """
    eps = float(jnp.finfo(eta.dtype).eps)
    scale = 1 + jnp.max(jnp.abs(eta))

    def objective(theta: Float[Array, " P"]) -> Float[Array, ""]:
        return potential(theta) - eta @ theta

    def unfinished(loop: Loop) -> Bool[Array, ""]:
        _, gradient, step, moving = loop
        return (jnp.max(jnp.abs(gradient)) > 8 * eps * scale) & (step < _MAX_STEPS) & moving

    def iterate(loop: Loop) -> Loop:
        theta, gradient, step, _ = loop
        hessian = jax.hessian(potential)(theta)
        # The ridge is below the rounding of the Hessian; it keeps the solve finite where ψ has become flat.
        ridge = eps * (1 + jnp.trace(hessian)) * jnp.eye(eta.size, dtype=eta.dtype)
        direction = -jnp.linalg.solve(hessian + ridge, gradient)
        length, accepted = _backtrack(objective, theta, direction, gradient @ direction)
        theta = jnp.where(accepted, theta + length * direction, theta)
        return theta, jax.grad(objective)(theta), step + 1, accepted

    start = jnp.zeros_like(eta)
    loop = (start, jax.grad(objective)(start), jnp.asarray(0), jnp.asarray(True))
    theta, gradient, _, _ = jax.lax.while_loop(unfinished, iterate, loop)
    return jnp.where(jnp.max(jnp.abs(gradient)) <= eps**0.5 * scale, theta, jnp.nan)


def _backtrack(
    objective: Objective, theta: Float[Array, " P"], direction: Float[Array, " P"], slope: Float[Array, ""]
) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """Halve the step from 1 until Armijo's rule holds; and whether it ever did."""
    value = objective(theta)
    # Close to the solution the predicted decrease drowns in the rounding of the objective: forgive as much.
    slack = 8 * jnp.finfo(value.dtype).eps * (1 + jnp.abs(value))

    def acceptable(length: Float[Array, ""]) -> Bool[Array, ""]:
        return objective(theta + length * direction) <= value + 1e-4 * length * slope + slack  # False for NaN

    def too_long(loop: tuple[Float[Array, ""], Bool[Array, ""]]) -> Bool[Array, ""]:
        length, accepted = loop
        return ~accepted & (length > 0.5**_MAX_HALVINGS)

    def halve(loop: tuple[Float[Array, ""], Bool[Array, ""]]) -> tuple[Float[Array, ""], Bool[Array, ""]]:
        length, _ = loop
        return length / 2, acceptable(length / 2)

    one = jnp.ones((), value.dtype)
    return jax.lax.while_loop(too_long, halve, (one, acceptable(one)))
