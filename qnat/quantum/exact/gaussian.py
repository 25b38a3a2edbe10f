"""Blocks of Gaussian states: modular (entanglement) energies and entropies from correlations, at any size.

The state of a block A of free particles is ρ_A = exp(−Σₖ εₖ nₖ)/Z with independent modes k. Its modular energies εₖ are
taken from singular values: eigenvalues of the correlation matrix, their squares, would leave no digit beyond εₖ ≈ 36.
An εₖ is known to about 1e-16·exp(εₖ/2), and cut off near 72, where nothing is left of it.

Reference: I. Peschel and V. Eisler, J. Phys. A 42, 504003 (2009); Botero and Reznik, Phys. Rev. A 67, 052311 (2003).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Inexact
from scipy.special import expit

_FLOOR = np.finfo(float).eps


class GaussianBlock(NamedTuple):
    """energies: (m,) modular energies εₖ of a block of m sites, ascending. entropy: of the block, in nats."""

    energies: Float[np.ndarray, " m"]
    entropy: float


def boson_block(couplings: Float[np.ndarray, "N N"], block: Sequence[int], *, beta: float = math.inf) -> GaussianBlock:
    """Sites of coupled oscillators H = ½ Σ pᵢ² + ½ Σ xᵢ Kᵢⱼ xⱼ in their ground state, or at inverse temperature β.

    With νₖ the symplectic eigenvalues of the block (½ in the vacuum), εₖ = log((νₖ + ½)/(νₖ − ½)).

    Args:
        couplings: K, symmetric, positive definite, in squared units of energy.
        block: the sites of A.
        beta: β > 0.
    """
    squares, modes = np.linalg.eigh(couplings)
    if squares[0] <= len(squares) * _FLOOR * squares[-1]:
        raise ValueError(f"The couplings K must be positive definite; their least eigenvalue is {squares[0]:.3g}.")
    _check(block, len(squares), beta)
    # A thermal state is half of a pure one, the thermofield double, whose position covariance is [[X, Y], [Y, X]]. In a
    # pure state 4ν² − 1 are the squared singular values of R⁻¹N, where [[L, 0], [N, R]] is the Cholesky factor of that
    # covariance, A first.
    omega = np.sqrt(squares)
    loss = -np.expm1(-beta * omega)
    same = (modes * (2 - loss) / (2 * omega * loss)) @ modes.T  # coth(βω/2)/2ω
    copy = (modes * np.exp(-beta * omega / 2) / (omega * loss)) @ modes.T  # 1/(2ω sinh(βω/2))
    covariance = np.block([[same, copy], [copy, same]])
    order = [*block, *np.delete(np.arange(2 * len(squares)), block)]
    factor, m = np.linalg.cholesky(covariance[np.ix_(order, order)]), len(block)
    sigma = scipy.linalg.svdvals(scipy.linalg.solve_triangular(factor[m:, m:], factor[m:, :m], lower=True))
    energies = 2 * np.arcsinh(1 / np.maximum(sigma, _FLOOR))
    entropy = np.sum(energies / np.expm1(energies) - np.log(-np.expm1(-energies)))
    return GaussianBlock(energies, float(entropy))


def fermion_block(
    hopping: Inexact[np.ndarray, "N N"], block: Sequence[int], *, beta: float = math.inf
) -> GaussianBlock:
    """Sites of free fermions H = Σ c†ᵢ hᵢⱼ cⱼ in their ground state, or at inverse temperature β.

    With zₖ the eigenvalues of the correlation matrix ⟨c†ᵢcⱼ⟩ of the block, εₖ = log((1 − zₖ)/zₖ).

    Args:
        hopping: h, Hermitian, an energy; −μ on the diagonal is the chemical potential, which sets the filling.
        block: the sites of A.
        beta: β > 0; the ground state wants no orbital at zero energy.
    """
    orbitals, modes = np.linalg.eigh(hopping)
    _check(block, len(orbitals), beta)
    if beta == math.inf and np.abs(orbitals).min() <= len(orbitals) * _FLOOR * np.abs(orbitals).max():
        raise ValueError("An orbital has zero energy, so the ground state is degenerate; move μ, or give a beta.")
    rows = modes[list(block)]
    # z and 1 − z are squared singular values, of the particles' and of the holes' part of the orbitals
    particles, holes = (
        np.maximum(scipy.linalg.svdvals(rows * np.sqrt(expit(sign * beta * orbitals))), _FLOOR) for sign in (-1, 1)
    )
    energies = 2 * np.log(holes[::-1] / particles)
    entropy = np.sum(np.logaddexp(0, -np.abs(energies)) + np.abs(energies) * expit(-np.abs(energies)))
    return GaussianBlock(energies, float(entropy))


def fermion_log_spectrum(energies: Float[np.ndarray, " m"]) -> Float[np.ndarray, " d"]:
    """The 2ᵐ log-eigenvalues of ρ_A = Π exp(−εₖ nₖ)/(1 + e^(−εₖ)), descending."""
    levels = np.zeros(1)
    for energy in energies:
        levels = np.concatenate([levels - np.logaddexp(0, -energy), levels - np.logaddexp(0, energy)])
    return np.sort(levels)[::-1]


def _check(block: Sequence[int], sites: int, beta: float) -> None:
    if not beta > 0:
        raise ValueError(f"The inverse temperature must be positive; got {beta}.")
    if not block or len(set(block)) != len(block) or not set(block) <= set(range(sites)):
        raise ValueError(f"A block is some of the sites 0..{sites - 1}, each once; got {list(block)}.")
