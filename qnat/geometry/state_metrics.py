"""Metrics of density matrices: monotone ones of the Petz family, and the Hilbert–Schmidt one."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Inexact, Int, PRNGKeyArray, PyTree

from .hermitian import dot, log_spectrum, real_inner
from .matrices import hermitian, vectors
from .metric import AbstractMetric, StateMetric, Times, check_real, pulled_back
from .monotone import Kind, kernel
from .operators import Gram
from .weights import density_weights, log_density_weights


class MonotoneMetric(AbstractMetric):
    """Monotone metric of states given by log-densities, ρ = exp(K) / Tr exp(K), Fisher-normalised.

    SLD here is the quantum Fisher information. An unknown kind raises ValueError when the metric is made.

    One diagonalisation serves both forms of the operator: products, each one rotation into the eigenbasis and back, and
    the dense matrix, a rotation into it for every parameter and one real symmetric product.

    Attributes:
        log_density_fn: params ↦ K, or (params, batch) ↦ K, real symmetric or complex Hermitian, of any normalisation.
        kind: what `kernel` takes: "bkm", "sld", "wigner_yanase", "geometric", "harmonic", "wyd:p", "sandwiched:a", …
        times: (index a, V) ↦ (∂K/∂θₐ) V where there is a cheaper way than with a dense matrix: K linear in θ, the
            parameters one vector, and V (planes, d, d) the one plane of a real matrix or the real and the imaginary
            part of a complex one.
    """

    log_density_fn: Callable[..., Inexact[Array, "d d"]]
    kind: Kind = eqx.field(static=True, default="bkm")
    times: Times | None = None

    def __check_init__(self) -> None:
        kernel(self.kind)

    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        check_real(self, params)
        fn = self.log_density_fn if batch is None else lambda p: self.log_density_fn(p, batch)
        K, push = jax.linearize(fn, params)
        log_p, V = log_spectrum(K)
        weights = log_density_weights(self.kind, log_p)
        product = pulled_back(push, lambda dK: _weigh(log_p, V, weights, dK), params)
        flat, unravel = ravel_pytree(params)

        def times_dense(index: Int[Array, ""], planes: Float[Array, "planes d d"]) -> Float[Array, "planes d d"]:
            dK = push(unravel(jnp.zeros_like(flat).at[index].set(1)))
            return dense_times(dK, planes)

        times = self.times or times_dense
        rows = eqx.filter_closure_convert(lambda: _rows(log_p, V, weights, times, flat.size))
        return Gram(product, rows)


def monotone_metric(
    log_density_fn: Callable[[PyTree[Array]], Inexact[Array, "d d"]], theta: PyTree[Array], kind: Kind = "bkm"
) -> lx.AbstractLinearOperator:
    """The monotone metric of a map θ ↦ K to log-densities, at θ: an operator; see `MonotoneMetric`.

    Its `.as_matrix()` is (P, P).
    """
    return MonotoneMetric(log_density_fn, kind).at(theta)


def petz(kind: Kind) -> StateMetric:
    """State metric on log-densities for `PullbackMetric`: (K, dK) ↦ V [L²c_f ∘ V†(dK − ⟨dK⟩)V] V†.

    ⟨dK⟩ = Tr ρ dK goes because dρ has no trace; it touches the diagonal only, where all kinds agree.
    """
    resolved = kernel(kind)

    def state_metric(K: Inexact[Array, "d d"], dK: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
        K, dK = hermitian(K=K, dK=dK)
        log_p, V = log_spectrum(K)
        return _weigh(log_p, V, log_density_weights(resolved, log_p), dK)

    return state_metric


def petz_density(kind: Kind) -> StateMetric:
    """State metric on density matrices for `PullbackMetric`: (ρ, dρ) ↦ V [c_f ∘ V†dρ V] V†.

    For states that no logarithm is known of, such as the output of a noisy circuit. Where there is one, `petz` keeps
    the digits of small eigenvalues. A rank-deficient ρ has the metrics "sld", "wigner_yanase" and "wyd:p" with
    0 < p < 1; of the others ValueError says so, or inside jit NaN.
    """
    resolved = kernel(kind)

    def state_metric(rho: Inexact[Array, "d d"], change: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
        rho, change = hermitian(rho=rho, change=change)
        p, V = jnp.linalg.eigh(rho)
        weights = density_weights(resolved, p)
        if not isinstance(weights, jax.core.Tracer) and bool(jnp.any(jnp.isnan(weights))):
            raise ValueError(
                f"The density matrix is rank-deficient (its smallest eigenvalue is {float(p[0]):.3g}), and the metric "
                f"'{resolved.name}' is infinite there; use 'sld' or 'wigner_yanase', or add noise of full rank."
            )
        return dot(dot(V, weights * dot(V.conj().T, dot(change, V))), V.conj().T)

    return state_metric


def hilbert_schmidt(rho: Inexact[Array, "d d"], change: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
    """State metric on density matrices for `PullbackMetric`: dρ ↦ 2 dρ/√(Tr ρ²), an approximation of SLD near purity.

    Its matrix is 2 Tr[∂ⱼρ ∂ₖρ]/√(Tr ρ²), which overlaps of states measure. It is not monotone and, on commuting states,
    not Fisher. Divided by √(Tr ρ²) once more, it tends to four times Fubini–Study of the dominant eigenvector.

    Reference: B. Koczor, S. C. Benjamin, Phys. Rev. A 106, 062416 (2022), arXiv:1912.08660.
    """
    rho, change = hermitian(rho=rho, change=change)
    return 2 * change / jnp.sqrt(real_inner(rho, rho))


def _weigh(
    log_p: Float[Array, " d"], V: Inexact[Array, "d d"], weights: Float[Array, "d d"], dK: Inexact[Array, "d d"]
) -> Inexact[Array, "d d"]:
    """V [weights ∘ V†(dK − ⟨dK⟩)V] V†."""
    rotated = dot(V.conj().T, dot(dK, V))
    return dot(dot(V, weights * _centred(log_p, rotated)), V.conj().T)


def _centred(log_p: Float[Array, " d"], rotated: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
    mean = jnp.sum(jnp.exp(log_p) * jnp.diagonal(rotated).real)
    return rotated - mean * jnp.eye(log_p.size, dtype=log_p.dtype)


def dense_times(A: Inexact[Array, "d d"], planes: Float[Array, "planes d d"]) -> Float[Array, "planes d d"]:
    """A V for a matrix V in real planes: one if V is real, its real and imaginary part if not."""
    if len(planes) == 1:
        return (A @ planes[0])[None]
    product = dot(A, jax.lax.complex(*planes))
    return jnp.stack([product.real, product.imag])


def _rows(
    log_p: Float[Array, " d"], V: Inexact[Array, "d d"], weights: Float[Array, "d d"], times: Times, count: int
) -> Float[Array, "P m"]:
    """Re Bₐ + Im Bₐ of Bₐ = √weights ∘ V†(∂ₐK − ⟨∂ₐK⟩)V, a row for each parameter.

    B is Hermitian: Re B is symmetric and Im B antisymmetric, so the row holds all of B, and rows·rows is Re Tr B B′.
    With C = ∂ₐK V it is (Re V)ᵀ(Re C + Im C) + (Im V)ᵀ(Im C − Re C), and the brackets are the planes of (1 − i) C.
    """
    root, d = jnp.sqrt(weights), log_p.size
    real, imaginary = V.real, V.imag
    parts, planes = [real], [real]
    if jnp.iscomplexobj(V):
        parts, planes = [real, imaginary], [real + imaginary, imaginary - real]
    left, right = jnp.concatenate(parts).T, jnp.stack(planes)

    def row(index: Int[Array, ""]) -> Float[Array, " m"]:
        rotated = left @ times(index, right).reshape(-1, d)
        return (root * _centred(log_p, rotated)).reshape(-1)

    return jax.lax.map(row, jnp.arange(count))


def fubini_study(psi: Inexact[Array, " d"], tangent: Inexact[Array, " d"]) -> Inexact[Array, " d"]:
    """State metric of normalised pure states for `PullbackMetric`: v − ψ⟨ψ, v⟩.

    Its pullback is the real part of the quantum geometric tensor, which is PennyLane's `metric_tensor` and a quarter of
    the SLD metric (the quantum Fisher information).
    """
    psi, tangent = vectors(psi=psi, tangent=tangent)
    return tangent - psi * jnp.vdot(psi, tangent)
