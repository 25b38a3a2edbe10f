"""Functions of Hermitian matrices that own their derivatives.

A state is carried by an unnormalised log-density K, ρ = exp(K) / Tr exp(K): the entries of ρ lose every small
eigenvalue to rounding, those of K lose none. Derivatives are divided differences in the eigenbasis of K (the
Daleckii–Krein formula), hence exact where eigenvalues coincide, which automatic differentiation of `eigh` is not.
They go to second order, and of a third ValueError says that there is none. Only `log_trace_exp` has a third one, where
its second is in forward mode: else it is NaN at a degenerate spectrum, as the second of `gibbs_state` is.

Real symmetric K gives real results, complex Hermitian K complex ones. K is one matrix; for a stack use `jax.lax.map`:
on a CPU, two batched factorisations at a time wait for each other for ever (jaxlib 0.10). That it is Hermitian and
has no infinite entry is checked where its numbers are known, outside jit; inside, an infinite entry makes NaN.

Gradients follow JAX's convention: for a real f of complex K, `jax.grad(f)(K)` is the G with df = Re Σ G dK, without
conjugation. So G is the conjugate, which is the transpose, of the Hermitian matrix ∂f with df = Tr(∂f dK), and one
descends along −conj(G). For `log_trace_exp` it is the conjugate of the Gibbs state.

Reference: Higham, Functions of Matrices (SIAM, 2008), theorem 3.11.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Inexact

from .matrices import eigh, hermitian


@jax.jit
def log_sinhc(u: Float[ArrayLike, "*s"]) -> Float[Array, "*s"]:
    """log(sinh(u)/u): even, 0 at u = 0, without overflow. Every kernel of the Petz family is made of it."""
    u = jnp.asarray(u)
    small = jnp.abs(u) < 1.0
    # Each branch gets an argument that is harmless to it: the unused one would otherwise put NaN into gradients.
    square = jnp.where(small, u, 0.0) ** 2
    series = jnp.zeros_like(square)  # sinh(u)/u − 1 = u²/3! + u⁴/5! + …; nine terms leave 1e-17 at u = 1
    for n in range(18, 0, -2):
        series = square / (n * (n + 1)) * (1 + series)
    far = jnp.where(small, 1.0, jnp.abs(u))
    return jnp.where(small, jnp.log1p(series), far + jnp.log(-jnp.expm1(-2 * far) / (2 * far)))


@jax.jit
def log_mean(x: Float[ArrayLike, "..."], y: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Logarithmic mean (eˣ − eʸ)/(x − y) of two positive numbers given by their logarithms; eˣ at x = y."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    return jnp.exp((x + y) / 2 + log_sinhc((x - y) / 2))


def real_inner(a: Inexact[ArrayLike, "*s"], b: Inexact[ArrayLike, "*s"]) -> Float[Array, ""]:
    """Re Σ conj(a) b; for Hermitian matrices this is Tr(ab)."""
    return jnp.vdot(a, b).real


def dot(a: Inexact[Array, "m k"], b: Inexact[Array, "k n"]) -> Inexact[Array, "m n"]:
    """a @ b by real products, three where both are complex: XLA's own complex one takes as long as eight on a CPU."""
    if not jnp.iscomplexobj(b):
        return jax.lax.complex(a.real @ b, a.imag @ b) if jnp.iscomplexobj(a) else a @ b
    if not jnp.iscomplexobj(a):
        return jax.lax.complex(a @ b.real, a @ b.imag)
    # (aᵣ + i aᵢ)(bᵣ + i bᵢ), after Gauss
    real, imaginary = a.real @ b.real, a.imag @ b.imag
    return jax.lax.complex(real - imaginary, (a.real + a.imag) @ (b.real + b.imag) - real - imaginary)


def log_spectrum(K: Inexact[ArrayLike, "d d"]) -> tuple[Float[Array, " d"], Inexact[Array, "d d"]]:
    """Log-eigenvalues (ascending) and eigenvectors (columns) of the state of a log-density, ρ = exp(K) / Tr exp(K).

    Derivatives through the pair exist only where the spectrum is simple; elsewhere they are NaN.
    """
    return _log_spectrum(*hermitian(K=K))


@jax.jit
def _log_spectrum(K: Inexact[Array, "d d"]) -> tuple[Float[Array, " d"], Inexact[Array, "d d"]]:
    eigenvalues, V = jnp.linalg.eigh(K)
    gaps, excess = from_the_top(eigenvalues)
    return gaps - jnp.log1p(excess), V


def from_the_top(levels: Float[Array, " d"]) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """Ascending levels less the last one, and Σ exp of all but the last: what log Σ exp adds to the last, by log1p.

    So a nearly pure state knows by how much it is not pure.
    """
    gaps = levels - levels[-1]
    return gaps, jnp.sum(jnp.exp(gaps[:-1]))


def gibbs_state(K: Inexact[ArrayLike, "d d"]) -> Inexact[Array, "d d"]:
    """Density matrix exp(K) / Tr exp(K) of an unnormalised log-density.

    First derivatives are exact for every spectrum. So are Hessians of the scalar functions of this room; where you
    differentiate this one twice yourself at a degenerate spectrum, the inner derivative must be in forward mode.
    """
    return _gibbs_state(*hermitian(K=K))


@jax.custom_jvp
@jax.jit
def _gibbs_state(K: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
    log_p, V = _log_spectrum(K)
    return dot(V * jnp.exp(log_p), V.conj().T)


@_gibbs_state.defjvp
@jax.jit
def _gibbs_state_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _gibbs_state(*primals), gibbs_tangent(*primals, *tangents)


def _centred(log_p: Float[Array, " d"], V: Inexact[Array, "d d"], dK: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
    """V†(dK − ⟨dK⟩)V: what is left of a tangent, since a constant added to K does not change ρ."""
    rotated = dot(V.conj().T, dot((dK + dK.conj().T) / 2, V))
    return rotated - jnp.sum(jnp.exp(log_p) * jnp.diagonal(rotated).real) * jnp.eye(log_p.size, dtype=log_p.dtype)


@jax.custom_jvp
@jax.jit
def gibbs_tangent(K: Inexact[Array, "d d"], dK: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
    """dρ = V [L(pₓ, p_y) ∘ V†(dK − ⟨dK⟩)V] V†, L the logarithmic mean; self-adjoint as a map of dK.

    Differentiable once more for every spectrum, with an array of d³ numbers. Write derivatives of scalars through
    ⟨gibbs_tangent(K, X), dK⟩, not ⟨X, gibbs_tangent(K, dK)⟩: reverse mode unfolds what acts on a tangent, and then
    differentiates `eigh` the next time.
    """
    log_p, V = _log_spectrum(K)
    return dot(dot(V, log_mean(log_p[:, None], log_p[None, :]) * _centred(log_p, V, dK)), V.conj().T)


@gibbs_tangent.defjvp
@jax.jit
def _gibbs_tangent_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    # d²ρ[A, B] = V [Σ_z f[x, z, y] (AₓzB_zy + BₓzA_zy)] V† − ⟨A, dρ[B]⟩ρ for centred A, B and f = exp
    (K, dK), (change, d_change) = primals, tangents
    levels, V = eigh(K)
    gaps, excess = from_the_top(levels)
    log_p = gaps - jnp.log1p(excess)
    a, b = _centred(log_p, V, dK), _centred(log_p, V, change)
    f = _second_difference(log_p[:, None, None], log_p[None, :, None], log_p[None, None, :])
    both = jnp.einsum("xzy,xz,zy->xy", f, a, b)
    both = both + both.conj().T
    correlation = real_inner(a, log_mean(log_p[:, None], log_p[None, :]) * b)
    second = V @ (both - correlation * jnp.diag(jnp.exp(log_p))) @ V.conj().T
    return gibbs_tangent(K, dK), second + gibbs_tangent(K, d_change)


def _second_difference(x: Float[Array, "..."], y: Float[Array, "..."], z: Float[Array, "..."]) -> Float[Array, "..."]:
    """Second divided difference exp[x, y, z]: symmetric, eˣ/2 where the three agree."""
    low, middle, high = jnp.sort(jnp.stack(jnp.broadcast_arrays(x, y, z)), axis=0)
    near = high - low < 1.0
    far = (log_mean(high, middle) - log_mean(middle, low)) / jnp.where(near, 1.0, high - low)
    # Σₙ hₙ/(n+2)! with the complete symmetric polynomials hₙ of the deviations from the mean, whose e₁ is 0
    mean = (low + middle + high) / 3
    a, b, c = (jnp.where(near, corner - mean, 0.0) for corner in (low, middle, high))
    e2, e3 = a * b + b * c + c * a, a * b * c
    h = [jnp.ones_like(mean), jnp.zeros_like(mean), -e2]
    series = h[0] / 2 + h[2] / 24
    for n in range(3, 20):
        h = [h[1], h[2], e3 * h[0] - e2 * h[1]]
        series = series + h[2] / float(math.factorial(n + 2))
    return jnp.where(near, jnp.exp(mean) * series, far)


def log_trace_exp(K: Inexact[ArrayLike, "d d"]) -> Float[Array, ""]:
    """log Tr exp(K) of a log-density, without overflow.

    Its gradient is the Gibbs state, its Hessian the Bogoliubov–Kubo–Mori metric. Of complex K, `jax.grad` gives the
    conjugate of the Gibbs state: see the convention at the head of this module.
    """
    return _log_trace_exp(*hermitian(K=K))


@jax.custom_jvp
@jax.jit
def _log_trace_exp(K: Inexact[Array, "d d"]) -> Float[Array, ""]:
    levels = jnp.linalg.eigvalsh(K)
    return levels[-1] + jnp.log1p(from_the_top(levels)[1])


@_log_trace_exp.defjvp
@jax.jit
def _log_trace_exp_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (K,), (dK,) = primals, tangents
    return _log_trace_exp(K), real_inner(_gibbs_state(K), dK)


def log_density(rho: Inexact[ArrayLike, "d d"], *, floor: float | None = None) -> Inexact[Array, "d d"]:
    """Logarithm of a density matrix that is given as a matrix. It is checked, therefore on the host, outside jit.

    Args:
        rho: Hermitian, positive, of trace 1, each to the square root of the machine epsilon.
        floor: raise every smaller eigenvalue to it, and renormalise; say it where a rank-deficient ρ is meant.

    Raises:
        ValueError: ρ is not a density matrix; or its rank is deficient (an eigenvalue below d times the machine
            epsilon is rounding) and there is no floor.
        TypeError: called inside jit.
    """
    if isinstance(rho, jax.core.Tracer):
        raise TypeError("log_density checks numbers, so it works outside jit only; inside, carry K = log ρ instead.")
    matrix = np.asarray(rho)
    matrix = matrix if np.issubdtype(matrix.dtype, np.inexact) else matrix.astype(float)
    eps = float(np.finfo(matrix.dtype).eps)
    _check_density(matrix, tolerance=eps**0.5)
    p, V = np.linalg.eigh((matrix + matrix.conj().T) / 2)
    if floor is not None:
        p = _floored(p, floor, eps**0.5)
    elif p[0] <= len(p) * eps:
        raise ValueError(
            f"The density matrix is rank-deficient: its smallest eigenvalue is {p[0]:.3g}, which is 0 up to rounding. "
            "So it has no logarithm, and no BKM, geometric or harmonic metric; the metrics 'sld' and 'wigner_yanase' "
            "still exist. Pass floor= (say 1e-10) to raise small eigenvalues to it."
        )
    return jnp.asarray((V * np.log(p)) @ V.conj().T)


def _check_density(matrix: Inexact[np.ndarray, "..."], tolerance: float) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"A density matrix is square; this array has shape {matrix.shape}.")
    if not np.all(np.isfinite(matrix)):
        raise ValueError("A density matrix is finite; this one holds NaN or infinity.")
    if (skew := np.abs(matrix - matrix.conj().T).max()) > tolerance:
        raise ValueError(f"A density matrix is Hermitian; this one differs from its adjoint by {skew:.3g}.")
    if abs((trace := np.trace(matrix).real) - 1) > tolerance:
        raise ValueError(
            f"A density matrix has trace 1; this one has trace {trace:.12g}. Divide by it if that is meant."
        )
    if (smallest := np.linalg.eigvalsh(matrix)[0]) < -tolerance:
        raise ValueError(f"A density matrix is positive; this one has the eigenvalue {smallest:.3g}.")


def _floored(p: Float[np.ndarray, " d"], floor: float, tolerance: float) -> Float[np.ndarray, " d"]:
    if not 0 < floor <= (1 + tolerance) / len(p):
        raise ValueError(f"floor= must lie between 0 and 1/d = {1 / len(p):.3g}; it is {floor}.")
    p = np.maximum(p, floor)
    return p / p.sum()
