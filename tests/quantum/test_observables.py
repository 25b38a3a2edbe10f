"""Thermal observables: derivatives of log Z, dense traces, free fermions, and the artifacts of a Gibbs run."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from qnat.experiment import Artifact
from qnat.quantum import (
    GibbsFamily,
    PauliSum,
    ThermalTask,
    free_fermion_tfim,
    free_fermion_tfim_observables,
    tfim,
    thermal,
    thermal_observables,
    xxz,
)
from qnat.quantum.backends.laws import dense_pauli

observables_of = jax.jit(thermal_observables)
COMPLEX = PauliSum.from_terms([("XYI", 0.7), ("IZZ", -0.9), ("ZIX", 0.4), ("YII", 0.5), ("IIZ", -0.3), ("IXI", 0.6)])


def at(letters: str, wires: tuple[int, ...], n: int) -> np.ndarray:
    string = ["I"] * n
    for letter, wire in zip(letters, wires, strict=True):
        string[wire] = letter
    return dense_pauli("".join(string))


def exact(hamiltonian: np.ndarray, beta: float) -> dict[str, np.ndarray]:
    energies, levels = np.linalg.eigh(hamiltonian)
    return jax.device_get(observables_of(thermal(energies, beta).log_p, levels, hamiltonian, beta))


@pytest.mark.parametrize("hamiltonian", [xxz(1, 3, anisotropy=0.4, field=0.6), COMPLEX], ids=["real", "complex"])
def test_observables_are_traces(hamiltonian):
    """Of any state, thermal or not: here at another Hamiltonian than its own, half of its eigenvalues equal."""
    n, beta, d = 3, 0.8, 8
    h = np.asarray(hamiltonian.matrix())
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(d, d)) + (1j * rng.normal(size=(d, d)) if np.iscomplexobj(h) else 0))[0]
    p = np.array([4.0, 3.0, 2.0, 1.5, 1, 1, 1, 1])
    p /= p.sum()
    rho = (basis * p) @ basis.conj().T
    found = observables_of(np.log(p), basis, h, beta)

    def mean(operator):
        return np.trace(rho @ operator).real

    assert float(found["energy_density"]) == pytest.approx(mean(h) / n, rel=1e-12)
    assert float(found["specific_heat"]) == pytest.approx(beta**2 * (mean(h @ h) - mean(h) ** 2) / n, rel=1e-12)
    bloch = [[mean(at(a, (i,), n)) for a in "XYZ"] for i in range(n)]
    np.testing.assert_allclose(found["bloch_vectors"], bloch, atol=1e-14)
    zz = np.eye(n)
    for i, j in itertools.permutations(range(n), 2):
        zz[i, j] = mean(at("ZZ", (i, j), n))
    np.testing.assert_allclose(found["correlations_zz"], zz, atol=1e-14)
    # Cov(M, M) = ∫₀¹ Tr ρ^(1−s) M ρˢ M ds − ⟨M⟩², by quadrature
    nodes, weights = np.polynomial.legendre.leggauss(20)
    for a, column in (("x", 0), ("z", 2)):
        total = sum(at(a.upper(), (i,), n) for i in range(n))
        power = [basis * p ** ((1 + sign * nodes[:, None, None]) / 2) @ basis.conj().T for sign in (-1, 1)]
        integral = weights @ np.einsum("sij,jk,skl,li->s", power[0], total, power[1], total).real / 2
        assert float(found[f"magnetisation_{a}"]) == pytest.approx(np.mean(bloch, axis=0)[column], abs=1e-14)
        assert float(found[f"susceptibility_{a}"]) == pytest.approx(beta * (integral - mean(total) ** 2) / n, rel=1e-12)


@pytest.mark.parametrize("beta", [0.3, 2.5])
@pytest.mark.parametrize("hamiltonian", [tfim(1, 3, field=0.7), COMPLEX], ids=["tfim", "complex"])
def test_responses_are_derivatives(hamiltonian, beta):
    """Of log Tr exp(−βH + βhM): the first gives the magnetisation, the second the isothermal susceptibility."""
    n = 3
    h = np.asarray(hamiltonian.matrix())
    found = exact(h, beta)

    def log_z(b, field, operator):
        return scipy.special.logsumexp(np.linalg.eigvalsh(-b * (h - field * operator)))

    step = 3e-3
    # second difference less its error of order step², by that of twice the step
    second = np.array([-1, 16, -30, 16, -1]) / (12 * step**2)
    offsets = step * np.arange(-2, 3)
    for a in "xz":
        operator = sum(at(a.upper(), (i,), n) for i in range(n))
        values = [float(log_z(beta, offset, operator)) for offset in offsets]
        slope = (8 * (values[3] - values[1]) - (values[4] - values[0])) / (12 * step * n * beta)
        assert float(found[f"magnetisation_{a}"]) == pytest.approx(slope, abs=1e-7)
        assert float(found[f"susceptibility_{a}"]) == pytest.approx(second @ values / (n * beta), rel=1e-6)
    values = [float(log_z(beta + offset, 0.0, operator)) for offset in offsets]
    assert float(found["specific_heat"]) == pytest.approx(beta**2 * (second @ values) / n, rel=1e-6)


def test_observables_equal_free_fermions():
    n, beta, field = 6, 1.3, 0.8
    found = exact(tfim(1, n, field=field).matrix(), beta)
    totals = free_fermion_tfim(n, beta, field=field)
    sites = free_fermion_tfim_observables(n, beta, field=field)
    assert float(found["energy_density"]) == pytest.approx(totals.energy / n, rel=1e-12)
    assert float(found["specific_heat"]) == pytest.approx(beta**2 * totals.variance / n, rel=1e-11)
    assert float(found["susceptibility_x"]) == pytest.approx(sites.susceptibility_x, rel=1e-11)
    assert float(found["magnetisation_x"]) == pytest.approx(sites.magnetisation_x.mean(), rel=1e-12)
    np.testing.assert_allclose(found["bloch_vectors"][:, 0], sites.magnetisation_x, atol=1e-13)
    np.testing.assert_allclose(found["bloch_vectors"][:, 1:], 0, atol=1e-13)
    np.testing.assert_allclose(found["correlations_zz"], sites.correlations_zz, atol=1e-13)


def test_curie_law_and_one_qubit():
    """Free spins: χ_x = β sech²(βh) along the field, tanh(βh)/h across it; C = (βh)² sech²(βh)."""
    beta, h = 1.7, 0.6
    for n in (1, 2):
        found = exact(tfim(1, n, coupling=0.0, field=h).matrix(), beta)
        sech = 1 / np.cosh(beta * h)
        assert float(found["susceptibility_x"]) == pytest.approx(beta * sech**2, rel=1e-12)
        assert float(found["susceptibility_z"]) == pytest.approx(np.tanh(beta * h) / h, rel=1e-12)
        assert float(found["specific_heat"]) == pytest.approx((beta * h * sech) ** 2, rel=1e-12)


def plain_arrays(artifacts):
    return {name: one.value if isinstance(one, Artifact) else one for name, one in artifacts.items()}


@pytest.mark.slow
def test_a_trained_state_that_is_exact_has_exact_observables():
    """A family that holds the Gibbs state, at the point that is it; one and several seeds agree."""
    hamiltonian, beta = tfim(1, 3, field=0.8), 1.1
    family = GibbsFamily(PauliSum.from_strings(hamiltonian.strings))
    theta = -beta * hamiltonian.coefficients
    task = ThermalTask(family, hamiltonian, beta, observables=True)
    artifacts = eqx.filter_jit(task.artifacts)
    found = plain_arrays(artifacts(theta))
    names = set(exact(hamiltonian.matrix(), beta))
    assert names | {f"exact_{name}" for name in names} < set(found)
    for name in names:
        np.testing.assert_allclose(found[name], found[f"exact_{name}"], atol=1e-12)
    other = theta + 0.3
    both = plain_arrays(eqx.filter_jit(eqx.filter_vmap(task.artifacts))(jnp.stack([theta, other])))
    alone = plain_arrays(artifacts(other))
    for name in names:
        np.testing.assert_allclose(both[name][1], alone[name], atol=1e-12)
    assert abs(float(alone["magnetisation_x"] - alone["exact_magnetisation_x"])) > 1e-2
    plain = ThermalTask(family, hamiltonian, beta).artifacts(theta)
    assert not names & set(plain)
