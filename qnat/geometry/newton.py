"""The inverse of ∇ψ by Newton's method, with the derivative of what it solves."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool, Float

Objective = Callable[[Float[Array, " P"]], Float[Array, ""]]
Hessian = Callable[[Float[Array, " P"]], lx.AbstractLinearOperator]
Loop = tuple[Float[Array, " P"], Float[Array, " P"], Array, Bool[Array, ""]]

_MAX_STEPS = 100
_MAX_HALVINGS = 40


@eqx.filter_jit
def invert_gradient(potential: Objective, hessian: Hessian, eta: Float[Array, " P"]) -> Float[Array, " P"]:
    """Solve ∇ψ(θ) = η from θ = 0: Newton with backtracking on the strictly convex ψ(θ) − η·θ.

    If there is a solution, the damped iteration finds it from anywhere. If there is none, the gradient stays away from
    zero, the steps run out, and the answer is NaN: failure is a value.

    Args:
        potential, hessian: ψ and θ ↦ ∇²ψ(θ), methods of a pytree, which may be traced. eta: η.
    """
    return _newton(potential, hessian, eta)


@eqx.filter_custom_jvp
def _newton(potential: Objective, hessian: Hessian, eta: Float[Array, " P"]) -> Float[Array, " P"]:
    eps = float(jnp.finfo(eta.dtype).eps)
    scale = 1 + jnp.max(jnp.abs(eta))

    def objective(theta: Float[Array, " P"]) -> Float[Array, ""]:
        return potential(theta) - eta @ theta

    def unfinished(loop: Loop) -> Bool[Array, ""]:
        _, gradient, step, moving = loop
        return (jnp.max(jnp.abs(gradient)) > 8 * eps * scale) & (step < _MAX_STEPS) & moving

    def iterate(loop: Loop) -> Loop:
        theta, gradient, step, _ = loop
        direction = -_solve(hessian(theta), gradient)
        length, accepted = _backtrack(objective, theta, direction, gradient @ direction)
        theta = jnp.where(accepted, theta + length * direction, theta)
        return theta, jax.grad(objective)(theta), step + 1, accepted

    start = 0 * eta  # not a constant, whose potential XLA would compute while it compiles
    loop = (start, jax.grad(objective)(start), jnp.asarray(0), jnp.asarray(True))
    theta, gradient, _, _ = jax.lax.while_loop(unfinished, iterate, loop)
    return jnp.where(jnp.max(jnp.abs(gradient)) <= eps**0.5 * scale, theta, jnp.nan)


@_newton.def_jvp
def _newton_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    # of ∇ψ(θ) − η = 0, implicitly: ∇²ψ dθ = dη − d(∇ψ) at fixed θ
    potential, hessian, eta = primals
    theta = _newton(potential, hessian, eta)

    def excess(potential: Objective, eta: Float[Array, " P"]) -> Float[Array, " P"]:
        return jax.grad(potential)(theta) - eta

    change = eqx.filter_jvp(excess, (potential, eta), (tangents[0], tangents[2]))[1]
    return theta, -_solve(hessian(theta), change)


def _solve(hessian: lx.AbstractLinearOperator, vector: Float[Array, " P"]) -> Float[Array, " P"]:
    matrix = hessian.as_matrix()
    # The ridge is below the rounding of the Hessian; it keeps the solve finite where ψ has become flat.
    ridge = jnp.finfo(matrix.dtype).eps * (1 + jnp.trace(matrix)) * jnp.eye(len(matrix), dtype=matrix.dtype)
    return jnp.linalg.solve(matrix + ridge, vector)


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
