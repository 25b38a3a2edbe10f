"""Entropies and divergences of states, of distributions, and of points of a mirror map.

A state is an unnormalised log-density K, ρ = exp(K) / Tr exp(K), never ρ itself: see `log_density`. Entropies are in
nats, D(ρ‖σ) = Tr ρ (log ρ − log σ). The functions `*_from_spectra` are for callers who already hold the eigenvectors;
the others have derivatives of first and second order that are safe at degenerate spectra, and of a third ValueError
says that there is none. Gradients by complex K are JAX's, conjugates of Hermitian matrices: see
`qnat.geometry.hermitian`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Inexact, PyTree

from .hermitian import from_the_top, gibbs_state, gibbs_tangent, log_spectrum, real_inner
from .matrices import hermitian, vectors
from .mirror import AbstractMirrorMap, pairing

Divergence = Callable[[PyTree[Array], PyTree[Array]], Float[Array, ""]]


def bregman(mirror: AbstractMirrorMap) -> Divergence:
    """Bregman divergence ψ(x) − ψ(y) − ⟨∇ψ(y), x − y⟩ of two primal points.

    For `LogTraceExp` it is D(ρ_y‖ρ_x) and for `LogPartition` KL(p_y‖p_x), for `NegativeEntropy` Σ x log(x/y).
    It is a difference: below about 1e-16 ψ it is rounding, where `relative_entropy` and `kl` still have digits. Where
    ∇ψ(y) is infinite, as that of the entropy at a probability of zero, an entry counts nothing if x has it too.
    Infinite points, such as the logits of what is certain, have no difference: `kl` of a family takes them.
    """

    def divergence(x: PyTree[Array], y: PyTree[Array]) -> Float[Array, ""]:
        linear = pairing(mirror.to_dual(y), jax.tree.map(jnp.subtract, x, y))
        return mirror.potential(x) - mirror.potential(y) - linear

    return divergence


def _excess(u: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """h(u) = eᵘ − 1 − u ≥ 0 for |u| < 1/2, by its series: accurate relatively, also for tiny u."""
    series = jnp.ones_like(u)
    for n in range(16, 2, -1):
        series = 1 + u / n * series
    return u**2 / 2 * series


def _terms(log_p: Float[Array, "..."], log_q: Float[Array, "..."]) -> Float[Array, "..."]:
    """p log(p/q) − p + q = p h(log q − log p): non-negative, without cancellation or overflow; q where p = 0."""
    empty, impossible = log_p == -jnp.inf, (log_q == -jnp.inf) & (log_p > -jnp.inf)
    u = jnp.where(empty | impossible, 0.0, log_q - log_p)
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    near = jnp.abs(u) < 0.5
    close = p * _excess(jnp.where(near, u, 0.0))
    finite = jnp.where(empty, q, jnp.where(near, close, q - p - p * u))
    return jnp.where(impossible, jnp.inf, finite)


@jax.jit
def kl(log_p: Float[ArrayLike, "*s"], log_q: Float[ArrayLike, "*s"]) -> Float[Array, ""]:
    """Kullback–Leibler divergence of distributions given by unnormalised log-probabilities, without cancellation.

    All entries of an array are one distribution. A probability may be zero, its logarithm −∞: it counts nothing in the
    first argument, and makes the divergence infinite where the second has it and the first has not. With +∞ it is NaN.

    Raises:
        ValueError: the two differ in shape.
    """
    log_p, log_q = jnp.asarray(log_p), jnp.asarray(log_q)
    if log_p.shape != log_q.shape:
        raise ValueError(f"log_p and log_q must have one shape; they have {log_p.shape} and {log_q.shape}.")
    return jnp.sum(_terms(log_p - jax.nn.logsumexp(log_p), log_q - jax.nn.logsumexp(log_q)))


@jax.jit
def relative_entropy_from_spectra(
    log_p: Float[ArrayLike, " d"], log_q: Float[ArrayLike, " d"], overlap: Float[ArrayLike, "d d"]
) -> Float[Array, ""]:
    """Umegaki relative entropy D(ρ‖σ) of states with eigenvalues exp(log_p), exp(log_q); overlap[x, y] = |⟨x|y⟩|².

    The sum of overlap[x, y] pₓ h(log q_y − log pₓ), h(u) = eᵘ − 1 − u ≥ 0: no term cancels another, so D = 1e-20 has
    digits. Both spectra must be normalised; an error of the normalisation enters squared.
    """
    log_p, log_q = vectors(log_p=log_p, log_q=log_q)
    overlap, terms = jnp.asarray(overlap), _terms(log_p[:, None], log_q[None, :])
    return jnp.sum(jnp.where(overlap == 0, 0.0, overlap * jnp.where(overlap == 0, 0.0, terms)))


def relative_entropy(K_rho: Inexact[ArrayLike, "d d"], K_sigma: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    """Umegaki relative entropy of the states of two log-densities, D(ρ‖σ) = Tr ρ (log ρ − log σ), in nats.

    Nothing cancels: its relative error is about 10 ε ‖K‖/√D, ε the machine epsilon, so even D = 1e-20 has digits.
    Gradients and Hessians in both arguments are exact for every spectrum.

    Reference: Umegaki, Kodai Math. Sem. Rep. 14 (1962) 59.
    """
    return _relative_entropy(*hermitian(K_rho=K_rho, K_sigma=K_sigma))


@jax.custom_jvp
@jax.jit
def _relative_entropy(K_rho: Inexact[Array, "d d"], K_sigma: Inexact[Array, "d d"]) -> Float[Array, ""]:
    log_p, V = log_spectrum(K_rho)
    log_q, W = log_spectrum(K_sigma)
    return relative_entropy_from_spectra(log_p, log_q, jnp.abs(V.conj().T @ W) ** 2)


@_relative_entropy.defjvp
@jax.jit
def _relative_entropy_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    # dD = ⟨dρ, K_ρ − K_σ⟩ + ⟨σ − ρ, dK_σ⟩; normalisations drop out because Tr dρ = 0
    (K_rho, K_sigma), (dK_rho, dK_sigma) = primals, tangents
    slope = real_inner(gibbs_tangent(K_rho, K_rho - K_sigma), dK_rho)
    return _relative_entropy(K_rho, K_sigma), slope + real_inner(gibbs_state(K_sigma) - gibbs_state(K_rho), dK_sigma)


def entropy(K: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    """Von Neumann entropy S = −Tr ρ log ρ of the state of a log-density, in nats.

    It is a sum of positive terms; its relative error is about ε ‖K‖, ε the machine epsilon and ‖K‖ the spread of the
    spectrum, also near pure states, until it underflows.
    """
    return _entropy(*hermitian(K=K))


@jax.custom_jvp
@jax.jit
def _entropy(K: Inexact[Array, "d d"]) -> Float[Array, ""]:
    gaps, excess = from_the_top(jnp.linalg.eigvalsh(K))
    return jnp.log1p(excess) - jnp.sum(jnp.exp(gaps) * gaps) / (1 + excess)


@_entropy.defjvp
@jax.jit
def _entropy_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (K,), (dK,) = primals, tangents
    return _entropy(K), -real_inner(gibbs_tangent(K, K), dK)


@jax.custom_jvp
@jax.jit
def _expectation(K: Inexact[Array, "d d"], H: Inexact[Array, "d d"]) -> Float[Array, ""]:
    return real_inner(gibbs_state(K), H)


@_expectation.defjvp
@jax.jit
def _expectation_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (K, H), (dK, dH) = primals, tangents
    return _expectation(K, H), real_inner(gibbs_tangent(K, H), dK) + real_inner(gibbs_state(K), dH)


def free_energy(
    K: Inexact[ArrayLike, "d d"], H: Inexact[ArrayLike, "d d"], beta: Float[ArrayLike, ""] = 1.0
) -> Float[Array, ""]:
    """F = β⟨H⟩ − S of the state of a log-density K, dimensionless, and defined at β = 0.

    It is −log Tr exp(−βH) + D(ρ‖ρ_β), ρ_β the thermal state.
    """
    return _free_energy(*hermitian(K=K, H=H), jnp.asarray(beta))


@jax.jit
def _free_energy(K: Inexact[Array, "d d"], H: Inexact[Array, "d d"], beta: Float[Array, ""]) -> Float[Array, ""]:
    return beta * _expectation(K, H) - _entropy(K)
