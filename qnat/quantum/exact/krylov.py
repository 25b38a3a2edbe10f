"""Krylov spaces: Lanczos, and exponentials of a Pauli sum acting on states, without matrices.

States are real arrays (d, planes) as in `pauli_planes`, d = 2^n: planes are 1 (real amplitudes) or 2 (real part,
imaginary part). A Hermitian H is a real symmetric operator on them, so that Lanczos needs no complex arithmetic; a real
H does not mix the planes, which are then run one after the other and share the memory of one Krylov basis.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..operators.pauli import PauliSum


class Krylov(NamedTuple):
    """H on span{v, Hv, …, H^(m−1) v}, diagonalised there.

    Attributes:
        basis: (m, d, planes) orthonormal, the first the start v/‖v‖; rows of zeros where the space is exhausted.
        energies: (m,) Ritz values in ascending order. vectors: (m, m) their eigenvectors in the basis, as columns.
        norm: ‖v‖.
    """

    basis: Float[Array, "m d planes"]
    energies: Float[Array, " m"]
    vectors: Float[Array, "m m"]
    norm: Float[Array, ""]

    @property
    def weights(self) -> Float[Array, " m"]:
        """Gauss quadrature: ⟨v|f(H)|v⟩ = Σₖ weightsₖ f(energiesₖ), exact for polynomials of degree 2m − 1."""
        return (self.norm * self.vectors[0]) ** 2

    def exponential(self, times: Float[Array, "*k"], shift: Float[Array, ""]) -> Float[Array, "*k m"]:
        """Coefficients of exp(−t(H − shift)) v in the basis."""
        decay = jnp.exp(-times[..., None] * (self.energies - shift))
        return self.norm * (decay * self.vectors[0]) @ self.vectors.T


def lanczos(hamiltonian: PauliSum, state: Float[Array, "d planes"], *, krylov: int) -> Krylov:
    """Lanczos with full reorthogonalisation from one state; memory is that of `krylov` states.

    Derivatives through it are undefined where Ritz values coincide.
    """
    if krylov < 1:
        raise ValueError(f"A Krylov space has at least one dimension; got krylov={krylov}.")
    norm = jnp.linalg.norm(state)
    eps = jnp.finfo(state.dtype).eps

    def step(j: Array, loop: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        basis, diagonal, above = loop
        w = hamiltonian.apply_planes(basis[j].reshape(1, *state.shape)).reshape(-1)
        size, level = jnp.linalg.norm(w), basis[j] @ w
        for _ in range(2):  # once leaves errors that grow as Ritz values converge
            w = w - (basis @ w) @ basis
        length = jnp.linalg.norm(w)
        alive = length > 100 * eps * size
        basis = basis.at[j + 1].set(jnp.where(alive, w / length, 0), mode="drop")
        # past an exhausted space the rows are zero; give them a level inside the spectrum, and no coupling
        level = jnp.where(size > 0, level, diagonal[0])
        return basis, diagonal.at[j].set(level), above.at[j].set(jnp.where(alive, length, 0))

    start = jnp.zeros((krylov, state.size), state.dtype).at[0].set((state / norm).reshape(-1))
    zeros = jnp.zeros(krylov, state.dtype)
    basis, diagonal, above = jax.lax.fori_loop(0, krylov, step, (start, zeros, zeros))
    energies, vectors = jnp.linalg.eigh(jnp.diag(diagonal) + jnp.diag(above[:-1], 1) + jnp.diag(above[:-1], -1))
    return Krylov(basis.reshape(krylov, *state.shape), energies, vectors, norm)


def truncation(coefficients: Float[Array, "*k m"]) -> Float[Array, ""]:
    """Largest last coefficient, relative to the norm: the truncation error where coefficients decay."""
    return jnp.max(jnp.abs(coefficients[..., -1]) / jnp.linalg.norm(coefficients, axis=-1))


def uncoupled(hamiltonian: PauliSum, states: Float[Array, "batch d planes"]) -> Float[Array, "parts d _"]:
    """The vectors that H does not mix: planes of their own if it is real."""
    return jnp.moveaxis(states, -1, 1).reshape(-1, states.shape[1], 1) if hamiltonian.is_real else states


def coupled(parts: Float[Array, "parts d _"], planes: int) -> Float[Array, "batch d planes"]:
    """The inverse of `uncoupled`."""
    if parts.shape[-1] == planes:
        return parts
    return jnp.moveaxis(parts.reshape(-1, planes, parts.shape[1]), 1, -1)


class Action(NamedTuple):
    """states: (batch, d, planes). residual: largest last Krylov coefficient over the norm; converged below 1e-10."""

    states: Float[Array, "batch d planes"]
    residual: Float[Array, ""]


@functools.partial(jax.jit, static_argnames="krylov")
def exp_action(
    hamiltonian: PauliSum,
    states: Float[Array, "batch d planes"],
    time: Float[Array, ""] | float,
    *,
    krylov: int = 30,
    shift: Float[Array, ""] | float = 0.0,
) -> Action:
    """exp(−t(H − shift)) v for every state of a batch, one after the other, without a matrix.

    Args:
        hamiltonian: H. states: v, real arrays with one plane (real H only) or two.
        time: t, in inverse units of H.
        krylov: dimension m of the Krylov space, enough when `residual` is below 1e-10: about 30 for t·(E_max − E_min)
            = 25.
        shift: an energy near the lowest keeps long times from overflowing.
    """
    times, lowest = jnp.asarray(time, states.dtype), jnp.asarray(shift, states.dtype)

    def one(part: Float[Array, "d _"]) -> tuple[Array, Array]:
        space = lanczos(hamiltonian, part, krylov=krylov)
        coefficients = space.exponential(times, lowest)
        return jnp.tensordot(coefficients, space.basis, axes=1), truncation(coefficients)

    parts, residuals = jax.lax.map(one, uncoupled(hamiltonian, states))
    return Action(coupled(parts, states.shape[-1]), jnp.max(residuals))
