"""Thermal data: goldens, free fermions against diagonalisation, identities."""

import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from qnat.quantum import free_energy_density_tfim, free_fermion_tfim, tfim, thermal
from qnat.quantum.backends.laws import dense_pauli

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
THERMAL = json.loads((GOLDEN / "tfim_thermal.json").read_text())["rows"]
FERMIONS = json.loads((GOLDEN / "tfim_free_fermion.json").read_text())


def test_golden_thermal_data():
    for row in THERMAL:
        n, beta = row["n"], row["beta"]
        hamiltonian = tfim(1, n, coupling=row["J"], field=row["h"], periodic=row["periodic"]).matrix()
        energies, levels = jnp.linalg.eigh(hamiltonian)
        exact = thermal(energies, beta)
        state = (levels * jnp.exp(exact.log_p)) @ levels.T
        ours = {
            "logZ": exact.log_z,
            "free_energy": -exact.log_z / beta,
            "energy": exact.energy,
            "entropy": exact.entropy,
            "variance_H": exact.variance,
        }
        rest = "I" * (n - 2)
        for name, string in {"X0": "XI", "Z0Z1": "ZZ", "X0X1": "XX"}.items():
            ours[name] = jnp.sum(state * dense_pauli(string + rest).real)
        for name, value in ours.items():
            assert float(value) == pytest.approx(row[name], rel=1e-10, abs=1e-13), (name, row)


def test_golden_free_fermions():
    for row in FERMIONS["rows"]:
        for boundary in ("open", "periodic"):
            ours = free_fermion_tfim(
                row["n"], row["beta"], coupling=row["J"], field=row["h"], periodic=boundary == "periodic"
            )
            assert ours.log_z == pytest.approx(row[f"{boundary}_logZ"], rel=1e-12)
            assert ours.free_energy == pytest.approx(row[f"{boundary}_free_energy"], rel=1e-12)
            if f"{boundary}_energy" in row:
                assert ours.energy == pytest.approx(row[f"{boundary}_energy"], rel=1e-10)
    for row in FERMIONS["infinite_chain"]:
        density = free_energy_density_tfim(row["beta"], coupling=row["J"], field=row["h"])
        assert density == pytest.approx(row["f_density"], rel=1e-12)


@pytest.mark.parametrize("field", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("periodic", [False, True])
def test_free_fermions_equal_diagonalisation(field, periodic):
    """Also on odd rings and in the cold, where both parity sectors matter."""
    for n, beta in ((7, 5.0), (8, 0.3)):
        exact = thermal(jnp.linalg.eigvalsh(tfim(1, n, field=field, periodic=periodic).matrix()), beta)
        fermions = free_fermion_tfim(n, beta, field=field, periodic=periodic)
        assert fermions.log_z == pytest.approx(float(exact.log_z), rel=1e-12)
        assert fermions.energy == pytest.approx(float(exact.energy), rel=1e-10)


def test_long_rings_reach_the_infinite_chain():
    ring = free_fermion_tfim(4000, 2.0, periodic=True)
    assert ring.free_energy / 4000 == pytest.approx(free_energy_density_tfim(2.0), rel=1e-12)


def test_a_ring_needs_three_sites():
    with pytest.raises(ValueError, match="periodic=False"):
        free_fermion_tfim(2, 1.0, periodic=True)


def test_classical_limits():
    """h = 0: the transfer matrix of the Ising ring. J = 0: independent spins."""
    beta, n = 0.8, 6
    ising = thermal(jnp.linalg.eigvalsh(tfim(1, n, field=0.0, periodic=True).matrix()), beta)
    assert float(ising.log_z) == pytest.approx(math.log((2 * math.cosh(beta)) ** n + (2 * math.sinh(beta)) ** n))
    free = thermal(jnp.linalg.eigvalsh(tfim(1, n, coupling=0.0, field=0.7).matrix()), beta)
    assert float(free.log_z) == pytest.approx(n * math.log(2 * math.cosh(0.7 * beta)))


def test_identities_and_limits():
    energies = jnp.linalg.eigvalsh(tfim(1, 5, field=0.8).matrix())
    for beta in (0.0, 0.4, 3.0, 400.0):
        exact = thermal(energies, beta)
        assert float(exact.entropy) == pytest.approx(float(beta * exact.energy + exact.log_z), abs=1e-10)
        slope = jax.grad(lambda b: thermal(energies, b).energy)(beta)
        assert float(slope) == pytest.approx(-float(exact.variance), rel=1e-8, abs=1e-12)
    assert float(thermal(energies, 0.0).log_z) == pytest.approx(5 * math.log(2))
    assert float(thermal(energies, 400.0).log_z) == pytest.approx(-400 * float(energies[0]), abs=1e-9)


def test_against_matrix_exponential():
    hamiltonian = np.asarray(tfim(2, 2, field=0.6).matrix())
    unnormalised = scipy.linalg.expm(-1.3 * hamiltonian)
    exact = thermal(jnp.linalg.eigvalsh(hamiltonian), 1.3)
    assert float(exact.log_z) == pytest.approx(math.log(np.trace(unnormalised)), rel=1e-13)
    assert float(exact.energy) == pytest.approx(np.trace(unnormalised @ hamiltonian) / np.trace(unnormalised))
