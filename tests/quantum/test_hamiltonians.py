"""Model Hamiltonians: goldens, symmetries, the algebra behind them."""

import functools
import itertools
import json
import math
import pathlib

import jax
import numpy as np
import pytest

from qnat.quantum import PauliSum, fermi_hubbard, random_local, tfim, thermal, xxz
from qnat.quantum.backends.laws import dense_pauli

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "hamiltonians.json").read_text())
SYSTEMS = {
    "heisenberg_ring4_pennylane_demo": xxz(1, 4, periodic=True),
    "xxz_open4": xxz(1, 4, anisotropy=0.5, field=0.3),
    "tfim2d_2x2_open": tfim(2, 2),
    # that golden counts the bonds of a side of length two twice
    "tfim2d_2x2_periodic": tfim(2, 2, coupling=2.0),
    "tfim2d_2x3_open": tfim(2, 3),
    "hubbard_dimer": fermi_hubbard(2),
}


def check_golden(name: str, hamiltonian: PauliSum) -> np.ndarray:
    energies = np.linalg.eigvalsh(hamiltonian.matrix())
    for row in GOLDEN[name]["rows"]:
        found = thermal(energies, row["beta"])
        assert float(found.log_z) == pytest.approx(row["logZ"], rel=1e-12)
        assert float(found.energy) == pytest.approx(row["energy"], rel=1e-12)
        assert float(found.entropy) == pytest.approx(row["entropy"], rel=1e-10)
    return energies


@pytest.mark.parametrize("name", SYSTEMS)
def test_golden_thermal_data(name):
    energies = check_golden(name, SYSTEMS[name])
    if "spectrum" in GOLDEN[name]:
        np.testing.assert_allclose(energies, GOLDEN[name]["spectrum"], atol=1e-13)


@pytest.mark.slow
def test_golden_thermal_data_of_nine_sites():
    check_golden("tfim2d_3x3_open", tfim(3, 3))


def test_a_closed_side_of_two_has_its_bond_once():
    assert set(tfim(2, 2, periodic=True).strings) == set(tfim(2, 2).strings)


def annihilators(modes: int) -> list[np.ndarray]:
    """c_q = Z⋯Z |0⟩⟨1| on qubit q, as Kronecker products."""
    lower, z = np.array([[0.0, 1.0], [0.0, 0.0]]), np.diag([1.0, -1.0])
    return [functools.reduce(np.kron, [z] * q + [lower] + [np.eye(2)] * (modes - q - 1)) for q in range(modes)]


@pytest.mark.parametrize(("sites", "periodic"), [(1, False), (3, False), (3, True)])
def test_hubbard_is_made_of_fermions(sites, periodic):
    t, u, mu = 0.7, 3.1, 1.2
    c = annihilators(2 * sites)
    for a, b in itertools.product(c, c):
        np.testing.assert_allclose(a @ b.T + b.T @ a, np.eye(len(a)) * (a is b), atol=1e-15)
        np.testing.assert_allclose(a @ b + b @ a, 0, atol=1e-15)
    wanted = -mu * sum(a.T @ a for a in c)
    for i in range(sites):
        wanted = wanted + u * c[2 * i].T @ c[2 * i] @ c[2 * i + 1].T @ c[2 * i + 1]
    for i in range(sites if periodic else sites - 1):
        for spin in (0, 1):
            hop = c[2 * i + spin].T @ c[2 * ((i + 1) % sites) + spin]
            wanted = wanted - t * (hop + hop.T)
    found = fermi_hubbard(sites, hopping=t, interaction=u, chemical_potential=mu, periodic=periodic)
    np.testing.assert_allclose(found.matrix(), wanted, atol=1e-14)


def test_hubbard_dimer_analytically():
    """At two particles the ground state has U/2 − √(U²/4 + 4t²), which −2μ shifts; one particle −t − μ."""
    t, u, mu = 1.3, 2.9, 0.4
    energies = np.linalg.eigvalsh(fermi_hubbard(2, hopping=t, interaction=u, chemical_potential=mu).matrix())
    root = math.sqrt(u**2 / 4 + 4 * t**2)
    one = [s * t - mu for s in (-1, 1) for _ in "↑↓"]
    two = [u / 2 + s * root - 2 * mu for s in (-1, 1)] + [u - 2 * mu] + [-2 * mu] * 3
    three = [u + s * t - 3 * mu for s in (-1, 1) for _ in "↑↓"]
    np.testing.assert_allclose(energies, sorted([0.0, *one, *two, *three, 2 * u - 4 * mu]), atol=1e-13)


def test_half_filling_is_the_default():
    """The particle–hole transformation maps H onto itself: on average one particle a site at every temperature."""
    energies, levels = np.linalg.eigh(fermi_hubbard(3, interaction=5.0, chemical_potential=2.5).matrix())
    particles = sum((np.eye(64) - dense_pauli("I" * q + "Z" + "I" * (5 - q)).real) / 2 for q in range(6))
    p = np.exp(thermal(energies, 1.7).log_p)
    assert np.einsum("x,ix,ij,jx->", p, levels, particles, levels) == pytest.approx(3, rel=1e-12)


def test_xxz_conserves_the_magnetisation_and_is_isotropic_at_one():
    """At Δ = 1 and h = 0 rotations about every axis are symmetries, otherwise only about z."""

    def commutes(operator, axis):
        h = np.asarray(operator.matrix())
        total = sum(dense_pauli("I" * i + axis + "I" * (2 - i)) for i in range(3))
        return np.abs(h @ total - total @ h).max() < 1e-13

    anisotropic = xxz(1, 3, coupling=0.8, anisotropy=0.4, field=0.6)
    assert [commutes(anisotropic, axis) for axis in "XYZ"] == [False, False, True]
    assert [commutes(xxz(1, 3), axis) for axis in "XYZ"] == [True, True, True]


def test_couplings_may_be_traced():
    """dE/dg = ⟨∂H/∂g⟩ for every coupling, by automatic differentiation through the builder."""
    state = np.random.default_rng(0).normal(size=16)
    builders = [
        (lambda c: xxz(1, 4, coupling=c[0], anisotropy=c[1], field=c[2]), [0.7, 0.3, 0.2]),
        (lambda c: fermi_hubbard(2, hopping=c[0], interaction=c[1], chemical_potential=c[2]), [0.7, 3.0, 0.2]),
    ]
    for build, values in builders:
        energy = jax.jit(lambda numbers, build=build: state @ build(numbers).apply(state))
        numbers = np.array(values)
        slope = np.asarray(jax.jit(jax.grad(energy))(numbers))
        for k, step in enumerate(np.eye(3) * 0.5):  # bilinear in the couplings, so that differences are exact
            wanted = float(energy(numbers + step)) - float(energy(numbers - step))
            assert slope[k] == pytest.approx(wanted, rel=1e-12)


def test_random_hamiltonians_are_extensive_and_local():
    """Tr H²/2ⁿ = Σ c² has mean n, and every weight the same part of it."""
    n, k = 6, 3
    hamiltonian = random_local(n, k, key=jax.random.key(3))
    weights = np.array([n - string.count("I") for string in hamiltonian.strings])
    counts = np.array([math.comb(n, w) * 3**w for w in range(1, k + 1)])
    np.testing.assert_array_equal(np.bincount(weights)[1:], counts)
    parts = np.array([np.sum(np.asarray(hamiltonian.coefficients)[weights == w] ** 2) for w in range(1, k + 1)])
    # a sum of m squares of variance σ² has mean mσ² = n/k and standard deviation (n/k)√(2/m)
    assert np.all(np.abs(parts * k / n - 1) < 4 * np.sqrt(2 / counts))
    again = random_local(n, k, key=jax.random.key(3))
    np.testing.assert_array_equal(hamiltonian.coefficients, again.coefficients)
    assert not np.allclose(hamiltonian.coefficients, random_local(n, k, key=jax.random.key(4)).coefficients)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: xxz(0, 4), "at least one row"),
        (lambda: fermi_hubbard(0), "at least one site"),
        (lambda: random_local(3, 4, key=jax.random.key(0)), "lies in 1..3; got 4"),
        (lambda: random_local(3, 0, key=jax.random.key(0)), "lies in 1..3; got 0"),
    ],
)
def test_what_is_no_system_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
