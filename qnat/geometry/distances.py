"""Fidelities and distances of states.

A state is an unnormalised log-density K, ρ = exp(K) / Tr exp(K). The fidelity is squared (Uhlmann–Jozsa). Derivatives
of first and second order are safe at degenerate spectra, of a third ValueError says that there is none; those by
complex K are JAX's, conjugates of Hermitian matrices: see `qnat.geometry.hermitian`. ε is the machine epsilon of the
precision, and ‖K‖ the spread of the spectrum, which is what rounding of K itself moves the states by, relatively.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Inexact

from .hermitian import dot, gibbs_state, gibbs_tangent, log_spectrum, log_trace_exp, real_inner
from .matrices import eigh, hermitian, svd, vectors

Two = tuple[Inexact[Array, "d d"], Inexact[Array, "d d"]]


@jax.custom_jvp
def _polar(A: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
    """The unitary factor of the polar decomposition."""
    left, _, right = svd(A)
    return left @ right


@_polar.defjvp
def _polar_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # with A = L s R and X = L†dA R†: d(LR) = L [(X − X†)/(sᵢ + sⱼ)] R, regular where singular values coincide; where
    # both are rounding, what they belong to has no weight in a state
    left, s, right = svd(primals[0])
    rotated = left.conj().T @ tangents[0] @ right.conj().T
    total = s[:, None] + s[None, :]
    positive = total > s.size * jnp.finfo(s.dtype).eps * s[0]
    quotient = jnp.where(positive, (rotated - rotated.conj().T) / jnp.where(positive, total, 1.0), 0.0)
    return left @ right, left @ quotient @ right


@jax.custom_jvp
def _sign(A: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
    """The sign of a Hermitian matrix."""
    levels, V = eigh(A)
    return dot(V * jnp.sign(levels), V.conj().T)


@_sign.defjvp
def _sign_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # divided differences of the sign: 0 between equal signs, 2/(|x| + |y|) between different ones
    levels, V = eigh(primals[0])
    sign = jnp.sign(levels)
    step, gap = sign[:, None] - sign[None, :], levels[:, None] - levels[None, :]
    quotient = jnp.where(step == 0, 0.0, step / jnp.where(step == 0, 1.0, gap))
    rotated = dot(V.conj().T, dot(tangents[0], V))
    return _sign(*primals), dot(dot(V, quotient * rotated), V.conj().T)


def _root(K: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
    """√ρ: up to its norm it is the Gibbs state of K/2, which brings a safe derivative with it."""
    return gibbs_state(K / 2) * _root_trace(K)


def _root_trace(K: Inexact[Array, "d d"]) -> Float[Array, ""]:
    return jnp.exp(log_trace_exp(K / 2) - log_trace_exp(K) / 2)


def _root_slope(K: Inexact[Array, "d d"], Y: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
    """G with Re Tr(Y d√ρ) = Re Tr(G dK): Y acted upon by the derivative of K ↦ √ρ, which is self-adjoint."""
    half, rho = gibbs_state(K / 2), gibbs_state(K)
    return _root_trace(K) / 2 * (gibbs_tangent(K / 2, Y) + real_inner(half, Y) * (half - rho))


# Derivatives are written as Σ ⟨function of the point, tangent⟩: what stands left of the tangent is then differentiated
# by its own rule the second time, not through its eigenvectors (see `gibbs_tangent`).


@jax.custom_jvp
@jax.jit
def _root_fidelity(K_rho: Inexact[Array, "d d"], K_sigma: Inexact[Array, "d d"]) -> Float[Array, ""]:
    (log_p, V), (log_q, W) = log_spectrum(K_rho), log_spectrum(K_sigma)
    return _overlap(log_p, log_q, dot(V.conj().T, W))


def _overlap(log_p: Float[Array, " d"], log_q: Float[Array, " d"], amplitudes: Inexact[Array, "d d"]) -> Array:
    product = jnp.exp(log_p / 2)[:, None] * amplitudes * jnp.exp(log_q / 2)
    return jnp.minimum(jnp.sum(jnp.linalg.svd(product, compute_uv=False)), 1.0)


@_root_fidelity.defjvp
@jax.jit
def _root_fidelity_jvp(primals: Two, tangents: Two) -> tuple[Array, Array]:
    # d Tr|SR| = Re Tr U†(dS R + S dR) with SR = U|SR|
    (K_rho, K_sigma), (dK_rho, dK_sigma) = primals, tangents
    root_rho, root_sigma = _root(K_rho), _root(K_sigma)
    U = _polar(root_sigma @ root_rho)
    by_rho = _root_slope(K_rho, U.conj().T @ root_sigma)
    by_sigma = _root_slope(K_sigma, root_rho @ U.conj().T)
    return _root_fidelity(*primals), real_inner(by_rho, dK_rho) + real_inner(by_sigma, dK_sigma)


def fidelity(K_rho: Inexact[ArrayLike, "d d"], K_sigma: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    """Uhlmann–Jozsa fidelity of the states of two log-densities, F = (Tr|√ρ √σ|)² in [0, 1].

    Of pure states it is |⟨φ|ψ⟩|². Gradients and Hessians are exact for every spectrum while ρ and σ have full rank to
    rounding; that of 1 − F at coincidence is half the SLD metric. The absolute error is about ε (‖K‖ + d): for close
    states, `bures_distance` keeps the digits of 1 − F.

    Reference: Jozsa, J. Mod. Opt. 41 (1994) 2315.
    """
    return _fidelity(*hermitian(K_rho=K_rho, K_sigma=K_sigma))


@jax.jit
def _fidelity(K_rho: Inexact[Array, "d d"], K_sigma: Inexact[Array, "d d"]) -> Float[Array, ""]:
    return _root_fidelity(K_rho, K_sigma) ** 2


@jax.jit
def fidelity_from_spectra(
    log_p: Float[ArrayLike, " d"], log_q: Float[ArrayLike, " d"], amplitudes: Inexact[ArrayLike, "d d"]
) -> Float[Array, ""]:
    """`fidelity` of states with eigenvalues exp(log_p), exp(log_q); amplitudes[x, y] = ⟨x|y⟩."""
    log_p, log_q = vectors(log_p=log_p, log_q=log_q)
    return _overlap(log_p, log_q, jnp.asarray(amplitudes)) ** 2


@jax.custom_jvp
@jax.jit
def _bures_distance(K_rho: Inexact[Array, "d d"], K_sigma: Inexact[Array, "d d"]) -> Float[Array, ""]:
    root_rho, root_sigma = _root(K_rho), _root(K_sigma)
    # U is free where singular values are rounding; U = 1 is at most √2 times too long, and exact for equal arguments
    aligned = jnp.linalg.norm(root_rho - root_sigma @ _polar(root_sigma @ root_rho))
    return jnp.minimum(aligned, jnp.linalg.norm(root_rho - root_sigma))


@_bures_distance.defjvp
@jax.jit
def _bures_distance_jvp(primals: Two, tangents: Two) -> tuple[Array, Array]:
    # d‖E‖ = Re⟨E, dR − dS U⟩/‖E‖ for E = R − SU: U is stationary
    (K_rho, K_sigma), (dK_rho, dK_sigma) = primals, tangents
    root_rho, root_sigma = _root(K_rho), _root(K_sigma)
    U = _polar(root_sigma @ root_rho)
    E, distance = root_rho - root_sigma @ U, _bures_distance(*primals)
    by_rho, by_sigma = _root_slope(K_rho, E), _root_slope(K_sigma, E @ U.conj().T)
    return distance, (real_inner(by_rho, dK_rho) - real_inner(by_sigma, dK_sigma)) / distance


def bures_distance(K_rho: Inexact[ArrayLike, "d d"], K_sigma: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    """Bures distance of the states of two log-densities, √(2 − 2√F) in [0, √2]; its line element is a quarter of SLD.

    Computed as the smallest Frobenius norm of √ρ − √σ U over unitaries U, where nothing cancels. It is found with an
    absolute error of about ε (‖K‖ + d), not √ε; 0 for equal arguments. Of close states with eigenvalues p below 1e-4 it
    may be too large, by at most ε/√p and √ε, and never by more than a factor √2: then √ρ − √σ is the bound.

    Like every distance, it is not differentiable where the states coincide.
    """
    return _bures_distance(*hermitian(K_rho=K_rho, K_sigma=K_sigma))


@jax.custom_jvp
@jax.jit
def _trace_distance(K_rho: Inexact[Array, "d d"], K_sigma: Inexact[Array, "d d"]) -> Float[Array, ""]:
    return _half_trace_norm(gibbs_state(K_rho) - gibbs_state(K_sigma))


def _half_trace_norm(difference: Inexact[Array, "d d"]) -> Float[Array, ""]:
    return jnp.minimum(jnp.sum(jnp.abs(jnp.linalg.eigvalsh(difference))) / 2, 1.0)


@_trace_distance.defjvp
@jax.jit
def _trace_distance_jvp(primals: Two, tangents: Two) -> tuple[Array, Array]:
    (K_rho, K_sigma), (dK_rho, dK_sigma) = primals, tangents
    sign = _sign(gibbs_state(K_rho) - gibbs_state(K_sigma)) / 2
    by_rho, by_sigma = gibbs_tangent(K_rho, sign), gibbs_tangent(K_sigma, sign)
    return _trace_distance(*primals), real_inner(by_rho, dK_rho) - real_inner(by_sigma, dK_sigma)


def trace_distance(K_rho: Inexact[ArrayLike, "d d"], K_sigma: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    """Half the trace norm of ρ − σ of the states of two log-densities, in [0, 1].

    Its absolute error is about ε (‖K‖ + d), and it is 0 for equal arguments. Gradients and Hessians are exact for every
    spectrum of ρ and σ, where ρ − σ has no eigenvalue 0; there it has a kink.
    """
    return _trace_distance(*hermitian(K_rho=K_rho, K_sigma=K_sigma))


@jax.jit
def trace_distance_from_spectra(
    log_p: Float[ArrayLike, " d"], log_q: Float[ArrayLike, " d"], amplitudes: Inexact[ArrayLike, "d d"]
) -> Float[Array, ""]:
    """`trace_distance` of states with eigenvalues exp(log_p), exp(log_q); amplitudes[x, y] = ⟨x|y⟩."""
    (log_p, log_q), amplitudes = vectors(log_p=log_p, log_q=log_q), jnp.asarray(amplitudes)
    sigma = (amplitudes * jnp.exp(log_q)) @ amplitudes.conj().T
    return _half_trace_norm(jnp.diag(jnp.exp(log_p)) - sigma)
