"""Weights of monotone metrics in an eigenbasis."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from .hermitian import log_sinhc
from .matrices import vectors
from .monotone import Kind, kernel


@eqx.filter_jit
def chentsov(kind: Kind, log_x: Float[ArrayLike, "..."], log_y: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Morozova–Chentsov function c_f(x, y) of two positive numbers given by their logarithms; c_f(x, x) = 1/x."""
    log_x, log_y = jnp.asarray(log_x), jnp.asarray(log_y)
    return jnp.exp(kernel(kind).log(log_x - log_y) - (log_x + log_y) / 2)


@eqx.filter_jit
def log_density_weights(kind: Kind, log_p: Float[Array, " d"]) -> Float[Array, "d d"]:
    """Weights L(pₓ, p_y)² c_f(pₓ, p_y) of the elements of V†(dK − ⟨dK⟩)V, L the logarithmic mean."""
    (log_p,) = vectors(log_p=log_p)
    r = log_p[:, None] - log_p[None, :]
    return jnp.exp((log_p[:, None] + log_p[None, :]) / 2 + 2 * log_sinhc(r / 2) + kernel(kind).log(r))


@eqx.filter_jit
def rotation_weight(kind: Kind, log_x: Float[ArrayLike, "..."], log_y: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """(pₓ − p_y)² c_f(pₓ, p_y) of two probabilities given by their logarithms; see `rotation_weights`."""
    log_x, log_y = jnp.asarray(log_x), jnp.asarray(log_y)
    r = log_x - log_y
    return r**2 * jnp.exp((log_x + log_y) / 2 + 2 * log_sinhc(r / 2) + kernel(kind).log(r))


@eqx.filter_jit
def rotation_weights(kind: Kind, log_p: Float[Array, " d"]) -> Float[Array, "d d"]:
    """Weights (pₓ − p_y)² c_f(pₓ, p_y) of the elements of W, where dU = −iUW and ρ = U diag(p) U†.

    Such a rotation moves K by −i[W, log p] in the eigenframe: hence the factor (log pₓ − log p_y)². As p_y → 0 the
    weight tends to 2pₓ for SLD and 4pₓ for Wigner–Yanase, grows as pₓ log(1/p_y) for BKM, as a power of 1/p_y beyond.
    """
    (log_p,) = vectors(log_p=log_p)
    return rotation_weight(kind, log_p[:, None], log_p[None, :])


def boundary(kind: Kind) -> float:
    """c_f(1, 0) = 1/f(0), the weight of leaving the support of a state; infinite for BKM, geometric and harmonic.

    2 for SLD, 4 for Wigner–Yanase: at a pure state the metric is twice that of Fubini–Study times this number.
    """
    k, far = kernel(kind), (700.0, 1400.0)
    with jax.ensure_compile_time_eval():
        near, value = (float(k.log(jnp.asarray(r)) + r / 2) for r in far)
        rounding = 1e3 * far[1] * float(jnp.finfo(float).eps)
    return float(np.exp(value)) if abs(value - near) < rounding else float("inf")


def density_weights(kind: Kind, p: Float[Array, " d"]) -> Float[Array, "d d"]:
    """Weights c_f(pₓ, p_y) of the elements of V†(dρ)V, from the eigenvalues of ρ, which may be zero up to rounding.

    Two zeros weigh nothing: a smooth family of states has no first-order motion there. A zero and a positive p weigh
    c_f(1, 0)/p, which is NaN for the metrics that a rank-deficient state does not have.
    """
    (p,) = vectors(p=p)
    positive = p > p.size * jnp.finfo(p.dtype).eps * jnp.max(p)
    p = jnp.where(positive, p, 1.0)
    inside = chentsov(kind, jnp.log(p)[:, None], jnp.log(p)[None, :])
    edge = boundary(kind)
    across = (edge if np.isfinite(edge) else np.nan) / jnp.where(positive[:, None], p[:, None], p[None, :])
    both, one = positive[:, None] & positive, positive[:, None] ^ positive
    return jnp.where(both, inside, jnp.where(one, across, 0.0))
