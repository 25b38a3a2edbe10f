"""Learning from a stream of copies, each measured once and forgotten; and how far that is from the best."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.geometry.mirror import AbstractMirrorMap

Draw = Callable[[PRNGKeyArray], Float[Array, " P"]]


@eqx.filter_jit
def online_natural_gradient(
    mirror: AbstractMirrorMap,
    draw: Draw,
    theta: Float[Array, " P"],
    *,
    steps: int,
    replicas: int,
    offset: float = 100.0,
    radius: float = 2.0,
    key: PRNGKeyArray,
) -> Float[Array, "replicas P"]:
    """Stochastic natural gradient on D(σ‖ρ_θ), θₖ₊₁ = θₖ − F(θₖ)⁻¹(η(θₖ) − xₖ)/(k + k₀), in many replicas at once.

    From θ₀ = θ, the truth, the covariance after k steps is (k/(k + k₀)²) F⁻¹CF⁻¹ up to terms of relative order 1/k₀,
    with C the covariance of one draw. If commuting generators are measured jointly on one copy, C = F, and k Cov(θₖ)
    tends to the Cramér–Rao bound F⁻¹. If the generators do not commute, no single-copy measurement reaches the inverse
    of the BKM metric: the bound is that of the SLD metric, which is the larger inverse, because F_SLD ≤ F_BKM.

    Args:
        mirror: its potential is ψ, with η = ∇ψ and F = ∇²ψ; few parameters, because the solve is written out.
        draw: key ↦ an unbiased estimate x of the expectations from the copies of one step.
        theta: start of every replica, within the radius.
        steps: k. replicas: how many runs.
        offset: k₀. radius: θ is projected onto |θ| ≤ radius, since F⁻¹ explodes where states are nearly pure.

    Reference: S. Amari, Neural Comput. 10, 251 (1998).
    """

    def advance(step: Array, thetas: Float[Array, "replicas P"]) -> Float[Array, "replicas P"]:
        keys = jax.random.split(jax.random.fold_in(key, step), replicas)
        return jax.vmap(lambda one, k: _step(mirror, draw, one, k, step + offset, radius))(thetas, keys)

    return jax.lax.fori_loop(0, steps, advance, jnp.broadcast_to(theta, (replicas, theta.size)))


def _step(
    mirror: AbstractMirrorMap, draw: Draw, theta: Float[Array, " P"], key: PRNGKeyArray, time: Array, radius: float
) -> Float[Array, " P"]:
    mean, push = jax.linearize(mirror.to_dual, theta)
    fisher = jax.vmap(push)(jnp.eye(theta.size))
    new = theta - _solve(fisher, mean - draw(key)) / time
    return new * jnp.minimum(1.0, radius / jnp.linalg.norm(new))


def _solve(A: Float[Array, "P P"], b: Float[Array, " P"]) -> Float[Array, " P"]:
    """A⁻¹ b by Gauss's elimination, written out: over thousands of replicas it is arithmetic, not calls of LAPACK."""
    rows = [[*[A[i, j] for j in range(b.size)], b[i]] for i in range(b.size)]
    for k, pivot in enumerate(rows):
        pivot[:] = [entry / pivot[k] for entry in pivot]
        for i, row in enumerate(rows):
            if i != k:
                row[:] = [entry - row[k] * of for entry, of in zip(row, pivot)]
    return jnp.stack([row[-1] for row in rows])
