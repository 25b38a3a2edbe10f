"""Divergences between states, between distributions, and between points of a mirror map.

A state is an unnormalised log-density K, ρ = exp(K) / Tr exp(K). Entropies are in nats, D(ρ‖σ) = Tr ρ (log ρ − log σ),
and the fidelity is squared (Uhlmann–Jozsa). The functions `*_from_spectra` are for callers who already hold the
eigenvectors; the others have derivatives that are safe at degenerate spectra.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Inexact, PyTree

from .hermitian import gibbs_state, gibbs_tangent, log_spectrum, log_trace_exp, real_inner
from .mirror import AbstractMirrorMap

Divergence = Callable[[PyTree[Array], PyTree[Array]], Float[Array, ""]]


def bregman(mirror: AbstractMirrorMap) -> Divergence:
    """Bregman divergence ψ(x) − ψ(y) − ⟨∇ψ(y), x − y⟩ of two primal points.

    For `LogTraceExp` it is D(ρ_y‖ρ_x) and for `LogPartition` KL(p_y‖p_x), for `NegativeEntropy` Σ x log(x/y).
    It is a difference: below about 1e-16 ψ it is rounding, where `relative_entropy` and `kl` still have digits.
    """

    def divergence(x: PyTree[Array], y: PyTree[Array]) -> Float[Array, ""]:
        linear = jax.tree.map(lambda slope, a, b: jnp.sum(slope * (a - b)), mirror.to_dual(y), x, y)
        return mirror.potential(x) - mirror.potential(y) - jax.tree.reduce(jnp.add, linear)

    return divergence


def _excess(u: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """h(u) = eᵘ − 1 − u ≥ 0 for |u| < 1/2, by its series: accurate relatively, also for tiny u."""
    series = jnp.ones_like(u)
    for n in range(16, 2, -1):
        series = 1 + u / n * series
    return u**2 / 2 * series


def _terms(log_p: Float[Array, "..."], log_q: Float[Array, "..."]) -> Float[Array, "..."]:
    """p log(p/q) − p + q = p h(log q − log p): non-negative, without cancellation or overflow; q where p = 0."""
    empty = log_p == -jnp.inf
    u = jnp.where(empty, 0.0, log_q - log_p)
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    near = jnp.abs(u) < 0.5
    close = p * _excess(jnp.where(near, u, 0.0))
    return jnp.where(empty, q, jnp.where(near, close, q - p - p * u))


@jax.jit
def kl(log_p: Float[ArrayLike, "*s"], log_q: Float[ArrayLike, "*s"]) -> Float[Array, ""]:
    """Kullback–Leibler divergence of distributions given by unnormalised log-probabilities, without cancellation."""
    log_p, log_q = jnp.asarray(log_p), jnp.asarray(log_q)
    return jnp.sum(_terms(log_p - jax.nn.logsumexp(log_p), log_q - jax.nn.logsumexp(log_q)))


@jax.jit
def relative_entropy_from_spectra(
    log_p: Float[ArrayLike, " d"], log_q: Float[ArrayLike, " d"], overlap: Float[ArrayLike, "d d"]
) -> Float[Array, ""]:
    """Umegaki relative entropy D(ρ‖σ) of states with eigenvalues exp(log_p), exp(log_q); overlap[x, y] = |⟨x|y⟩|².

    The sum of overlap[x, y] pₓ h(log q_y − log pₓ), h(u) = eᵘ − 1 − u ≥ 0: no term cancels another, so D = 1e-20 has
    digits. Both spectra must be normalised; an error of the normalisation enters squared.
    """
    log_p, log_q = jnp.asarray(log_p), jnp.asarray(log_q)
    return jnp.sum(jnp.asarray(overlap) * _terms(log_p[:, None], log_q[None, :]))


@jax.custom_jvp
@jax.jit
def relative_entropy(K_rho: Inexact[ArrayLike, "d d"], K_sigma: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    """Umegaki relative entropy D(ρ‖σ) = Tr ρ (log ρ − log σ), in nats, without cancellation.

    Its relative error is about 1e-15 ‖K‖/√D, so even D = 1e-20 has digits. Gradients and Hessians in both arguments are
    exact for every spectrum.

    Reference: Umegaki, Kodai Math. Sem. Rep. 14 (1962) 59.
    """
    log_p, V = log_spectrum(K_rho)
    log_q, W = log_spectrum(K_sigma)
    return relative_entropy_from_spectra(log_p, log_q, jnp.abs(V.conj().T @ W) ** 2)


@relative_entropy.defjvp
@jax.jit
def _relative_entropy_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    # dD = ⟨dρ, K_ρ − K_σ⟩ + ⟨σ − ρ, dK_σ⟩; normalisations drop out because Tr dρ = 0
    (K_rho, K_sigma), (dK_rho, dK_sigma) = primals, tangents
    slope = real_inner(gibbs_tangent(K_rho, K_rho - K_sigma), dK_rho)
    return relative_entropy(K_rho, K_sigma), slope + real_inner(gibbs_state(K_sigma) - gibbs_state(K_rho), dK_sigma)


@jax.custom_jvp
@jax.jit
def entropy(K: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    """Von Neumann entropy S = −Tr ρ log ρ, in nats; a sum of positive terms, accurate also near pure states."""
    log_p = jax.nn.log_softmax(jnp.linalg.eigvalsh(jnp.asarray(K)))
    return -jnp.sum(jnp.exp(log_p) * log_p)


@entropy.defjvp
@jax.jit
def _entropy_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (K,), (dK,) = primals, tangents
    return entropy(K), -real_inner(gibbs_tangent(K, K), dK)


@jax.custom_jvp
@jax.jit
def _expectation(K: Inexact[ArrayLike, "d d"], H: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    return real_inner(gibbs_state(K), H)


@_expectation.defjvp
@jax.jit
def _expectation_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (K, H), (dK, dH) = primals, tangents
    return _expectation(K, H), real_inner(gibbs_tangent(K, H), dK) + real_inner(gibbs_state(K), dH)


@jax.jit
def free_energy(
    K: Inexact[ArrayLike, "d d"], H: Inexact[ArrayLike, "d d"], beta: Float[ArrayLike, ""] = 1.0
) -> Float[Array, ""]:
    """F = β⟨H⟩ − S = −log Tr exp(−βH) + D(ρ‖ρ_β), ρ_β the thermal state; dimensionless, and defined at β = 0."""
    return jnp.asarray(beta) * _expectation(K, H) - entropy(K)


@jax.custom_jvp
def _polar(A: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
    """The unitary factor of the polar decomposition."""
    left, _, right = jnp.linalg.svd(A)
    return left @ right


@_polar.defjvp
def _polar_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # with A = L s R and X = L†dA R†: d(LR) = L [(X − X†)/(sᵢ + sⱼ)] R, regular where singular values coincide
    left, s, right = jnp.linalg.svd(primals[0])
    rotated = left.conj().T @ tangents[0] @ right.conj().T
    total = s[:, None] + s[None, :]
    positive = total > 0
    quotient = jnp.where(positive, (rotated - rotated.conj().T) / jnp.where(positive, total, 1.0), 0.0)
    return left @ right, left @ quotient @ right


@jax.custom_jvp
def _nuclear_norm(A: Inexact[Array, "d d"]) -> Float[Array, ""]:
    return jnp.sum(jnp.linalg.svd(A, compute_uv=False))


@_nuclear_norm.defjvp
@jax.jit
def _nuclear_norm_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _nuclear_norm(*primals), real_inner(_polar(*primals), *tangents)


def _root(K: Inexact[ArrayLike, "d d"]) -> Inexact[Array, "d d"]:
    """√ρ: up to its norm it is the Gibbs state of K/2, which brings a safe derivative with it."""
    half = jnp.asarray(K) / 2
    return gibbs_state(half) * jnp.exp(log_trace_exp(half) - log_trace_exp(2 * half) / 2)


@jax.jit
def fidelity(K_rho: Inexact[ArrayLike, "d d"], K_sigma: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    """Uhlmann–Jozsa fidelity F = (Tr|√ρ √σ|)² in [0, 1], that is |⟨φ|ψ⟩|² of pure states.

    Gradients are exact for every spectrum, Hessians need simple ones; that of 1 − F at coincidence is half the SLD
    metric. 1 − F carries an absolute error of about 1e-16 d: for close states, `bures_distance` keeps the digits.

    Reference: Jozsa, J. Mod. Opt. 41 (1994) 2315.
    """
    return _nuclear_norm(_root(K_sigma) @ _root(K_rho)) ** 2


@jax.jit
def fidelity_from_spectra(
    log_p: Float[ArrayLike, " d"], log_q: Float[ArrayLike, " d"], amplitudes: Inexact[ArrayLike, "d d"]
) -> Float[Array, ""]:
    """`fidelity` of states with eigenvalues exp(log_p), exp(log_q); amplitudes[x, y] = ⟨x|y⟩."""
    log_p, log_q = jnp.asarray(log_p), jnp.asarray(log_q)
    return _nuclear_norm(jnp.exp(log_p / 2)[:, None] * amplitudes * jnp.exp(log_q / 2)) ** 2


@jax.jit
def bures_distance(K_rho: Inexact[ArrayLike, "d d"], K_sigma: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    """Bures distance √(2 − 2√F), line element a quarter of SLD; its absolute error is about 1e-15, not 1e-8.

    Computed as the smallest Frobenius norm of √ρ − √σ U over unitaries U, where nothing cancels. Like every distance,
    it is not differentiable where the states coincide.
    """
    root_rho, root_sigma = _root(K_rho), _root(K_sigma)
    return jnp.linalg.norm(root_rho - root_sigma @ _polar(root_sigma @ root_rho))


@jax.jit
def trace_distance(K_rho: Inexact[ArrayLike, "d d"], K_sigma: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    """Half the trace norm of ρ − σ, in [0, 1]; its absolute error is about 1e-16 d."""
    return jnp.sum(jnp.abs(jnp.linalg.eigvalsh(gibbs_state(K_rho) - gibbs_state(K_sigma)))) / 2


@jax.jit
def trace_distance_from_spectra(
    log_p: Float[ArrayLike, " d"], log_q: Float[ArrayLike, " d"], amplitudes: Inexact[ArrayLike, "d d"]
) -> Float[Array, ""]:
    """`trace_distance` of states with eigenvalues exp(log_p), exp(log_q); amplitudes[x, y] = ⟨x|y⟩."""
    amplitudes = jnp.asarray(amplitudes)
    sigma = (amplitudes * jnp.exp(jnp.asarray(log_q))) @ amplitudes.conj().T
    return jnp.sum(jnp.abs(jnp.linalg.eigvalsh(jnp.diag(jnp.exp(jnp.asarray(log_p))) - sigma))) / 2
