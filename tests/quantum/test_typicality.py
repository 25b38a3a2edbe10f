"""Random-vector estimates: against exact values within their own errors, and the errors against theory."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from qnat.quantum import PauliSum, exp_action, free_fermion_tfim, tfim, thermal, typical_bkm, typical_thermal
from qnat.quantum.exact.typicality import gaussian_state, jackknife, quadrature_nodes

pytestmark = pytest.mark.slow

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "typicality.json").read_text())
H = tfim(1, 8)
COMPLEX = PauliSum.from_terms([("XYII", 0.7), ("IZZI", -1.1), ("IIYX", 0.4), ("YIII", 0.9), ("IIIX", -0.8)])


def exact(hamiltonian, beta, observables):
    """log Z, energy, entropy, variance, expectations."""
    matrix = np.asarray(hamiltonian.matrix())
    data = thermal(jnp.linalg.eigvalsh(matrix), beta)
    state = scipy.linalg.expm(-beta * matrix - float(data.log_z) * np.eye(len(matrix)))
    means = jnp.array([np.trace(state @ np.asarray(o.matrix())).real for o in observables])
    return data.log_z, data.energy, data.entropy, data.variance, means


def test_stored_vectors_give_the_stored_estimates():
    row = GOLDEN["lanczos"][0]
    generators = [np.random.default_rng(seed) for seed in range(row["vectors"])]
    vectors = np.stack([g.normal(size=(2, 2 ** row["n"])).T for g in generators]) / np.sqrt(2)
    states = exp_action(H, jnp.asarray(vectors), row["beta"] / 2).states
    samples = jnp.stack([jnp.sum(states**2, axis=(1, 2)), H.expectation_planes(states)], axis=1)
    (log_z, energy), (_, error) = jackknife(lambda s: (jnp.log(s[0]), s[1] / s[0]), samples)
    np.testing.assert_allclose(log_z, row["logZ_estimate"], rtol=1e-12)
    np.testing.assert_allclose(energy, row["energy"], rtol=1e-12)
    np.testing.assert_allclose(error, row["jackknife"], rtol=1e-10)


def test_estimates_of_a_complex_hamiltonian():
    observables = [PauliSum.from_strings([s]) for s in ("ZZII", "IXII", "YYII", "XYII")]
    found = typical_thermal(COMPLEX, 0.8, observables, vectors=600, krylov=16, key=jax.random.key(0))
    wanted = exact(COMPLEX, 0.8, observables)
    for value, error, truth in zip(found.mean, found.error, wanted, strict=True):
        np.testing.assert_array_less(jnp.abs(value - truth), 4 * error + 1e-12)
    assert found.error.log_z < 0.05
    assert found.residual < 1e-12
    np.testing.assert_allclose(found.error.log_z, found.log_z_error, rtol=0.2)
    np.testing.assert_allclose(found.error.energy, found.energy_error, rtol=0.25)


OBSERVABLES = [PauliSum.from_strings([s]) for s in ("ZZIIIIII", "IIIXIIII", "YYIIIIII", "XYIIIIII")]


TEMPERATURES = [
    pytest.param(row, marks=[] if row["beta"] in (0.5, 2.0) else pytest.mark.slow, id=f"beta={row['beta']}")
    for row in GOLDEN["tpq"]["rows"]
]


@pytest.mark.parametrize("row", TEMPERATURES)
def test_errors_are_those_of_theory(row):
    """The variance of one vector is the purity; pooled energies follow first order, the ratios of single ones do not
    where the state is nearly pure.
    """
    vectors, beta = 400, row["beta"]
    found = typical_thermal(H, beta, OBSERVABLES, vectors=vectors, krylov=30, key=jax.random.key(1))
    for value, error, truth in zip(found.mean, found.error, exact(H, beta, OBSERVABLES), strict=True):
        np.testing.assert_array_less(jnp.abs(value - truth), 4 * error + 1e-12)
    np.testing.assert_allclose(found.mean.energy, row["energy_exact"], atol=4 * found.error.energy)
    np.testing.assert_allclose(found.purity, row["purity"], rtol=0.3)
    # the relative error of a variance of 400 nearly normal numbers is 7 %, of its root 3.5 %; heavy tails double it
    np.testing.assert_allclose(found.error.log_z * vectors**0.5, row["empirical_relvar_Z"] ** 0.5, rtol=0.2)
    np.testing.assert_allclose(found.error.energy * vectors**0.5, row["formula_std_energy"], rtol=0.2)
    np.testing.assert_allclose(found.energy_error * vectors**0.5, row["formula_std_energy"], rtol=0.2)

    keys = jax.random.split(jax.random.key(2), vectors)
    states = exp_action(H, jax.vmap(lambda key: gaussian_state(key, 8))(keys), beta / 2).states
    single = H.expectation_planes(states) / jnp.sum(states**2, axis=(1, 2))
    np.testing.assert_allclose(jnp.std(single, ddof=1), row["single_vector_std_energy"], rtol=0.2)


def test_low_temperature_neither_overflows_nor_hides_its_purity():
    found = typical_thermal(H, 200.0, OBSERVABLES, vectors=400, krylov=30, key=jax.random.key(1))
    free = free_fermion_tfim(8, 200.0)
    assert found.purity > 0.5
    assert abs(found.mean.energy - free.energy) < 1e-6
    assert abs(found.mean.log_z - free.log_z) < 4 * found.log_z_error


def test_bkm_covariances():
    stored = {name: np.array(GOLDEN["bkm"][name]) for name in ("exact", "mean_of_24", "single_vector_std")}
    strings = ("XIIIIIII", "ZZIIIIII", "IIIZZIII", "IIIXIIII")
    observables = [PauliSum.from_strings([string]) for string in strings]
    found = typical_bkm(H, 1.0, observables, vectors=24, krylov=24, key=jax.random.key(0))
    assert found.residual < 1e-10
    np.testing.assert_array_less(np.abs(found.covariance - stored["exact"]), 4 * np.asarray(found.error))
    scatter = np.asarray(found.error) * np.sqrt(24)
    assert np.all(scatter < 2 * stored["single_vector_std"])
    assert np.all(scatter > 0.5 * stored["single_vector_std"])
    # the stored estimate is another draw of the same number
    noise = np.hypot(found.error, stored["single_vector_std"] / np.sqrt(24))
    assert np.all(np.abs(found.covariance - stored["mean_of_24"]) < 4 * noise)
    assert np.linalg.eigvalsh(found.gram)[0] > 0
    np.testing.assert_allclose(found.gram - found.gram.T, 0, atol=1e-14)


def test_bkm_of_the_hamiltonian_is_its_variance():
    """G = H commutes with the state: the same vectors give ⟨H⟩ and the variance of `typical_thermal`, exactly."""
    one = typical_bkm(COMPLEX, 0.8, [COMPLEX], vectors=5, krylov=16, key=jax.random.key(3))
    two = typical_thermal(COMPLEX, 0.8, vectors=5, krylov=16, key=jax.random.key(3))
    np.testing.assert_allclose(one.means[0], two.mean.energy, rtol=1e-10)
    np.testing.assert_allclose(one.covariance[0, 0], two.mean.variance, rtol=1e-10)
    np.testing.assert_allclose(one.error[0, 0], two.error.variance, rtol=1e-8)


@pytest.mark.parametrize("spread", [5.0, 25.0, 60.0])
def test_quadrature_nodes_suffice(spread):
    """∫₀¹ e^{−sx} e^{−(1−s)y} ds is the log-mean of e^{−x}, e^{−y}; worst for levels at the ends of the spectrum."""
    nodes, weights = np.polynomial.legendre.leggauss(quadrature_nodes(spread))
    s, gap = (nodes + 1) / 4, np.linspace(1e-3, spread, 50)[:, None]
    found = (np.exp(-gap * s) + np.exp(-gap * (1 - s))) @ weights / 4
    np.testing.assert_allclose(found, -np.expm1(-gap[:, 0]) / gap[:, 0], rtol=0, atol=1e-11)


def test_refusals():
    with pytest.raises(ValueError, match="vectors=1"):
        typical_thermal(H, 1.0, vectors=1, key=jax.random.key(0))
    with pytest.raises(ValueError, match="8 qubits"):
        typical_thermal(H, 1.0, [COMPLEX], vectors=2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="at least one observable"):
        typical_bkm(H, 1.0, [], vectors=2, key=jax.random.key(0))


@pytest.mark.parametrize("row", GOLDEN["lanczos"][1:], ids=lambda row: f"n={row['n']}, beta={row['beta']}")
def test_larger_chains(row):
    found = typical_thermal(tfim(1, row["n"]), row["beta"], vectors=row["vectors"], krylov=30, key=jax.random.key(0))
    assert found.residual < 1e-12
    assert abs(found.mean.log_z - row["logZ_exact"]) < 4 * found.error.log_z
    assert abs(found.mean.energy - row["energy_exact"]) < 4 * found.error.energy
    assert 0.5 < found.log_z_error * row["vectors"] ** 0.5 / row["relstd_Z_per_vector"] < 2


def test_reported_errors_are_calibrated():
    """Over 200 repetitions, deviations in units of the reported errors have the variance of Student's t."""
    run = lambda key: typical_thermal(H, 0.5, vectors=16, krylov=20, key=key)  # noqa: E731
    found = jax.lax.map(run, jax.random.split(jax.random.key(5), 200))
    free = free_fermion_tfim(8, 0.5)
    for value, error, truth in (
        (found.mean.log_z, found.error.log_z, free.log_z),
        (found.mean.energy, found.error.energy, free.energy),
    ):
        scores = (value - truth) / error
        assert abs(jnp.mean(scores)) < 4 / 200**0.5 + 0.1  # the bias of a ratio is of the order purity/vectors
        assert 0.75 < jnp.mean(scores**2) * 13 / 15 < 1.4
