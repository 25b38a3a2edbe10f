"""Thermal data: goldens, limits, identities."""

import json
import math
import pathlib

import jax
import mpmath
import numpy as np
import pytest
import scipy.linalg

from qnat.quantum import tfim, thermal
from qnat.quantum.backends.laws import dense_pauli

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
THERMAL = json.loads((GOLDEN / "tfim_thermal.json").read_text())["rows"]


def test_golden_thermal_data():
    for row in THERMAL:
        n, beta = row["n"], row["beta"]
        hamiltonian = tfim(1, n, coupling=row["J"], field=row["h"], periodic=row["periodic"]).matrix()
        energies, levels = np.linalg.eigh(hamiltonian)
        exact = jax.device_get(thermal(energies, beta))
        state = (levels * np.exp(exact.log_p)) @ levels.T
        ours = {
            "logZ": exact.log_z,
            "free_energy": -exact.log_z / beta,
            "energy": exact.energy,
            "entropy": exact.entropy,
            "variance_H": exact.variance,
        }
        rest = "I" * (n - 2)
        for name, string in {"X0": "XI", "Z0Z1": "ZZ", "X0X1": "XX"}.items():
            ours[name] = np.sum(state * dense_pauli(string + rest).real)
        for name, value in ours.items():
            assert float(value) == pytest.approx(row[name], rel=1e-10, abs=1e-13), (name, row)


def test_classical_limits():
    """h = 0: the transfer matrix of the Ising ring. J = 0: independent spins."""
    beta, n = 0.8, 6
    ising = thermal(np.linalg.eigvalsh(tfim(1, n, field=0.0, periodic=True).matrix()), beta)
    assert float(ising.log_z) == pytest.approx(math.log((2 * math.cosh(beta)) ** n + (2 * math.sinh(beta)) ** n))
    free = thermal(np.linalg.eigvalsh(tfim(1, n, coupling=0.0, field=0.7).matrix()), beta)
    assert float(free.log_z) == pytest.approx(n * math.log(2 * math.cosh(0.7 * beta)))


def test_identities_and_limits():
    energies = np.linalg.eigvalsh(tfim(1, 5, field=0.8).matrix())
    slope_at = jax.jit(jax.grad(lambda b: thermal(energies, b).energy))
    for beta in (0.0, 0.4, 3.0, 400.0):
        exact = jax.device_get(thermal(energies, beta))
        assert float(exact.entropy) == pytest.approx(float(beta * exact.energy + exact.log_z), abs=1e-10)
        slope = slope_at(beta)
        assert float(slope) == pytest.approx(-float(exact.variance), rel=1e-8, abs=1e-12)
    assert float(thermal(energies, 0.0).log_z) == pytest.approx(5 * math.log(2))
    assert float(thermal(energies, 400.0).log_z) == pytest.approx(-400 * float(energies[0]), abs=1e-9)


def test_against_matrix_exponential():
    hamiltonian = np.asarray(tfim(2, 2, field=0.6).matrix())
    unnormalised = scipy.linalg.expm(-1.3 * hamiltonian)
    exact = thermal(np.linalg.eigvalsh(hamiltonian), 1.3)
    assert float(exact.log_z) == pytest.approx(math.log(np.trace(unnormalised)), rel=1e-13)
    assert float(exact.energy) == pytest.approx(np.trace(unnormalised @ hamiltonian) / np.trace(unnormalised))


@pytest.mark.parametrize("beta", [0.0, 1.0, 30.0, 37.0, 600.0])
@pytest.mark.parametrize("levels", [(-1.0, 0.0, 2.0), (-1.0, -1.0, 0.5)])
def test_a_nearly_pure_state_keeps_the_digits_of_its_entropy(levels, beta):
    """Against fifty digits; of the probability of the ground state the logarithm alone knows what is missing to 1."""
    mpmath.mp.dps = 50
    weights = [mpmath.exp(-beta * (mpmath.mpf(level) - min(levels))) for level in levels]
    p = [weight / sum(weights) for weight in weights]
    wanted = -sum(x * mpmath.log(x) for x in p)
    found = thermal(np.array(levels), beta)
    assert float(found.entropy) == pytest.approx(float(wanted), rel=1e-14)
    assert float(found.log_z) == pytest.approx(float(mpmath.log(sum(weights)) - beta * min(levels)), rel=1e-15)


def test_thermal_data_are_of_one_spectrum():
    with pytest.raises(ValueError, match=r"energies must be one vector; its shape is \(2, 3\)"):
        thermal(np.zeros((2, 3)), 1.0)
