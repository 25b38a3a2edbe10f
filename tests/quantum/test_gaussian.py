"""Blocks of Gaussian states: goldens, Fock space, fifty digits."""

import functools
import json
import math
import pathlib

import mpmath
import numpy as np
import pytest
import scipy.linalg

from qnat.quantum import boson_block, fermion_block, fermion_log_spectrum

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "hamiltonians.json").read_text())


def ring(n: int, squared_mass: float) -> np.ndarray:
    return scipy.linalg.circulant([squared_mass + 2, -1, *[0] * (n - 3), -1])


def chain(n: int) -> np.ndarray:
    return -np.eye(n, k=1) - np.eye(n, k=-1)


def test_golden_bosons():
    for row in GOLDEN["harmonic_ring_block"]["rows"]:
        found = boson_block(ring(8, 0.25), [0, 1, 2], beta=math.inf if row["beta"] is None else row["beta"])
        np.testing.assert_allclose(found.energies, row["modular_energies"], rtol=1e-10)
        np.testing.assert_allclose(0.5 / np.tanh(found.energies / 2), row["symplectic"], rtol=1e-14)
        assert found.entropy == pytest.approx(row["entropy"], rel=1e-12)


def test_golden_fermions():
    """The golden took log((1 − z)/z) of eigenvalues z known to 1e-16, so that its far energies are good to 1e-16/z."""
    golden = GOLDEN["hopping_chain_block"]
    found = fermion_block(chain(12), range(6))
    z = 1 / (1 + np.exp(found.energies))
    np.testing.assert_allclose(np.sort(z), golden["correlation_eigs"], atol=1e-14)
    error = np.abs(found.energies - np.sort(golden["modular_energies"]))
    assert np.all(error < 1e-15 / np.minimum(z, 1 - z))
    assert found.entropy == pytest.approx(golden["entropy"], rel=1e-12)
    # particles and holes are symmetric at half filling: not exact in the golden, to the last digits here
    np.testing.assert_allclose(found.energies, -found.energies[::-1], rtol=1e-12)


def test_far_energies_against_fifty_digits():
    with mpmath.workdps(50):
        modes = mpmath.eigsy(mpmath.matrix(chain(12).tolist()))[1]
        occupied = modes[:6, :6]
        z = mpmath.eigsy(occupied * occupied.T, eigvals_only=True)
        wanted = sorted(float(mpmath.log((1 - x) / x)) for x in z)
        squares, modes = mpmath.eigsy(mpmath.matrix(ring(12, 4.0).tolist()))
        x, p = (modes[:5, :] * mpmath.diag([w**power / 2 for w in squares]) * modes[:5, :].T for power in (-0.5, 0.5))
        nu = [mpmath.sqrt(mpmath.re(square)) for square in mpmath.eig(x * p, left=False, right=False)]
        bosons = sorted(float(mpmath.log((v + 0.5) / (v - 0.5))) for v in nu)
    assert wanted[-1] > 18
    assert bosons[-1] > 30  # ν − ½ is 1e-14
    np.testing.assert_allclose(fermion_block(chain(12), range(6)).energies, wanted, rtol=1e-12)
    np.testing.assert_allclose(boson_block(ring(12, 4.0), range(5)).energies, bosons, rtol=1e-8)


@pytest.mark.parametrize("beta", [0.7, math.inf])
def test_fermions_equal_the_partial_trace(beta):
    """In Fock space: a contiguous block at the left edge is a block of qubits, and its state a partial trace."""
    sites, kept = 5, 2
    rng = np.random.default_rng(0)
    h = rng.normal(size=(sites, sites)) + 1j * rng.normal(size=(sites, sites))
    h = h + h.conj().T
    lower, z = np.array([[0.0, 1.0], [0.0, 0.0]]), np.diag([1.0, -1.0])
    c = [functools.reduce(np.kron, [z] * q + [lower] + [np.eye(2)] * (sites - q - 1)) for q in range(sites)]
    many_body = sum(h[i, j] * c[i].T @ c[j] for i in range(sites) for j in range(sites))
    energies, levels = np.linalg.eigh(many_body)
    weights = np.exp(-beta * (energies - energies[0])) if beta < math.inf else energies == energies[0]
    rho = (levels * (weights / weights.sum())) @ levels.conj().T
    reduced = np.einsum("xkyk->xy", rho.reshape((2**kept, 2 ** (sites - kept)) * 2))
    p = np.linalg.eigvalsh(reduced)[::-1]
    found = fermion_block(h, range(kept), beta=beta)
    np.testing.assert_allclose(np.exp(fermion_log_spectrum(found.energies)), p, atol=1e-13)
    assert found.entropy == pytest.approx(-p @ np.log(p), rel=1e-12)


def test_a_whole_system_has_its_own_energies():
    """Nothing is traced out: modular energies are βω and β(orbital energy), entropies thermodynamic; then zero."""
    h, k, beta = chain(6), ring(5, 0.3), 0.9
    orbitals, omega = np.linalg.eigvalsh(h), np.sqrt(np.linalg.eigvalsh(k))
    np.testing.assert_allclose(fermion_block(h, range(6), beta=beta).energies, beta * orbitals, rtol=1e-12)
    np.testing.assert_allclose(boson_block(k, range(5), beta=beta).energies, beta * omega, rtol=1e-12)
    assert fermion_block(h, range(6)).entropy == pytest.approx(0, abs=1e-14)
    assert boson_block(k, range(5)).entropy == pytest.approx(0, abs=1e-14)


def test_a_pure_state_has_one_entropy():
    """A block and its complement have the same entropy in the ground state."""
    for block_of, system in ((boson_block, ring(9, 0.1)), (fermion_block, chain(9) - 0.2 * np.eye(9))):
        left, right = block_of(system, [0, 2, 3]), block_of(system, [1, 4, 5, 6, 7, 8])
        assert left.entropy == pytest.approx(right.entropy, rel=1e-12)


def test_critical_fermions_grow_by_the_logarithm():
    """S = (c/6) log l + const for the half of an open critical chain of central charge c = 1, up to 1/l corrections.

    Reference: P. Calabrese and J. Cardy, J. Stat. Mech. P06002 (2004).
    """
    short, long = (fermion_block(chain(n), range(n // 2)).entropy for n in (100, 400))
    assert long - short == pytest.approx(math.log(4) / 6, rel=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: boson_block(ring(4, 0.0), [0]), "positive definite"),
        (lambda: boson_block(ring(4, 1.0), []), "each once"),
        (lambda: boson_block(ring(4, 1.0), [0, 0]), "each once"),
        (lambda: fermion_block(chain(4), [4]), r"0\.\.3"),
        (lambda: fermion_block(chain(4), [0], beta=0.0), "must be positive"),
        (lambda: fermion_block(chain(5), [0]), "zero energy"),
    ],
)
def test_what_is_no_block_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
