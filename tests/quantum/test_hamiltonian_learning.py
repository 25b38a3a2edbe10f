"""Hamiltonian learning: exact data give the couplings back, measured data the errors that the sandwich claims."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from qnat.experiment import laws, run
from qnat.geometry import gibbs_state, relative_entropy
from qnat.optim import mirror_descent, natural_gradient
from qnat.quantum import (
    GibbsFamily,
    LatentGibbs,
    LearningTask,
    PauliSum,
    fermion_block,
    fermion_log_spectrum,
    hea,
    maximum_likelihood,
    real,
    reduced_density_matrix,
    tfim,
)
from qnat.quantum.measure.counts import Moments, estimate, exact_moments, measure
from qnat.quantum.methods import pretrain
from qnat.quantum.methods.likelihood import sandwich
from qnat.quantum.operators.hamiltonians import local_strings

STRINGS = ("ZZI", "IZZ", "XII", "IXI", "IIX", "IYI", "XYI", "ZIZ")
FAMILY = GibbsFamily(PauliSum.from_strings(STRINGS))
TRUE = np.array([0.9, -0.5, 0.7, 0.4, -0.3, 0.2, 0.1, 0.6])
MATRICES = GibbsFamily(FAMILY.generators.matrices())
K = np.tensordot(TRUE, MATRICES.generators, 1)
SIGMA = scipy.linalg.expm(K) / np.trace(scipy.linalg.expm(K))


@jax.jit
def fisher_and_state(family, theta):
    return family.metric().at(theta).as_matrix(), gibbs_state(family.log_density(theta))


def qubit(*letters):
    return GibbsFamily(PauliSum.from_strings(letters))


def thermal_task(model, sigma=SIGMA, **given):
    return LearningTask(model, sigma, **given)


@pytest.mark.slow
@pytest.mark.parametrize("model", [FAMILY, MATRICES, LatentGibbs(hea(3, layers=1), order=2)])
def test_tasks_pass_the_laws(model):
    truth = TRUE if isinstance(model, GibbsFamily) else None
    laws.check_task(thermal_task(model, theta_true=truth), key=jax.random.key(0))


@pytest.mark.slow
def test_a_ridge_and_measured_moments_pass_the_laws():
    moments = Moments(STRINGS, exact_moments(SIGMA, STRINGS).values, 1e-4 * np.eye(len(STRINGS)), 1000)
    laws.check_task(LearningTask(FAMILY, moments, truth=SIGMA, ridge=0.1), key=jax.random.key(0))


def test_loss_is_the_relative_entropy_where_the_state_is_known():
    latent = LatentGibbs(hea(3, layers=2), order=3)
    start = jax.jit(lambda task: task.init(jax.random.key(1)))
    divergence = jax.jit(lambda model, params: relative_entropy(K, model.log_density(params)))
    for model in (FAMILY, MATRICES, latent):
        task = thermal_task(model)
        params = start(task)
        value, _ = task.value_and_grad(params)
        wanted = float(divergence(model, params))
        assert float(value) == pytest.approx(wanted, abs=1e-13)
        assert float(task.evaluate(params)["relative_entropy"]) == pytest.approx(wanted, abs=1e-13)


@pytest.mark.parametrize("family", [FAMILY, MATRICES])
def test_exact_moments_give_the_couplings_back(family):
    task = thermal_task(family, theta_true=TRUE)
    found = maximum_likelihood(family, task.moments)
    np.testing.assert_allclose(found.theta, TRUE, atol=1e-10)
    assert float(found.value) == pytest.approx(float(task.entropy), abs=1e-13)
    assert not np.asarray(found.covariance).any()
    fisher, _ = fisher_and_state(family, found.theta)
    assert float(found.fisher_min) == pytest.approx(np.linalg.eigvalsh(fisher)[0])


@pytest.mark.slow
def test_natural_gradient_ends_at_the_maximum_likelihood():
    task = thermal_task(FAMILY, theta_true=TRUE)
    trained = run(task, natural_gradient(1.0, task.metrics["bkm"]), steps=15, seed=0)
    assert trained.final["parameter_error"] < 1e-10
    assert trained.final["loss"] == pytest.approx(trained.reference["loss"]["value"], abs=1e-13)
    assert trained.final["relative_entropy"] < 1e-20
    np.testing.assert_allclose(trained.artifacts["theta"], trained.artifacts["exact_theta"], atol=1e-10)
    spectrum = trained.artifacts["modular_spectrum"]
    np.testing.assert_allclose(spectrum, trained.artifacts["exact_modular_spectrum"], atol=1e-10)


@pytest.mark.slow
def test_mirror_descent_matches_the_moments_in_one_step():
    task = thermal_task(FAMILY, theta_true=TRUE)
    assert run(task, mirror_descent(1.0, FAMILY.mirror), steps=1, seed=3).final["parameter_error"] < 1e-10


@pytest.mark.slow
def test_pretraining_on_more_never_hurts():
    strings = local_strings(2)
    family = GibbsFamily(PauliSum.from_strings(strings))
    task = LearningTask(family, gibbs_state(-1.3 * tfim(1, 2, field=0.6).matrix()))
    chain = [range(3), range(6), range(len(strings))]
    starts = [jnp.zeros(len(strings)), *(pretrain(family, task.moments, list(subset)) for subset in chain)]
    for start, subset in zip(starts[1:], chain, strict=True):
        assert set(np.flatnonzero(start)) <= set(subset)
    entropies = [float(task.value_and_grad(start)[0]) for start in starts]
    assert all(later < earlier - 0.1 for earlier, later in itertools.pairwise(entropies))
    assert entropies[-1] == pytest.approx(0, abs=1e-13)
    started = LearningTask(family, task.target.matrix, subset=tuple(range(6)))
    np.testing.assert_array_equal(started.init(jax.random.key(0)), starts[2])


@pytest.mark.slow
def test_errors_are_those_that_the_sandwich_claims():
    family = qubit("X", "Z")
    theta = np.array([-0.5, -0.8])
    fisher, sigma = fisher_and_state(family, theta)
    drawn = [estimate(measure(sigma, "XZ", 2000, key=k), ("X", "Z")) for k in jax.random.split(jax.random.key(5), 500)]
    found = np.array(jax.vmap(family.mirror.to_primal)(jnp.array([moments.values for moments in drawn])))
    one = maximum_likelihood(family, drawn[0].values, drawn[0].covariance)
    np.testing.assert_allclose(one.theta, found[0], atol=1e-10)
    claimed = sandwich(fisher, np.mean([moments.covariance for moments in drawn], axis=0))
    spread = np.sqrt(np.diagonal(claimed))
    np.testing.assert_array_less(np.abs(found.mean(0) - theta), 4 * spread / 500**0.5 + 2 * spread**2)
    scale = np.outer(spread, spread)
    np.testing.assert_allclose(np.cov(found.T) / scale, claimed / scale, atol=4 * (2 / 500) ** 0.5)
    np.testing.assert_allclose(one.errors, spread, rtol=0.2)
    assert np.trace(one.covariance) <= np.trace(drawn[0].covariance) / one.fisher_min**2


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_the_sandwich_is_how_the_couplings_answer_to_the_moments(ridge):
    family, eta, small = qubit("X", "Z"), np.array([0.3, -0.5]), 1e-5
    data = np.array([[2.0, 0.3], [0.3, 1.0]])
    moved = [maximum_likelihood(family, eta + small * move, ridge=ridge).theta for move in (*np.eye(2), *-np.eye(2))]
    slopes = (np.array(moved[:2]) - np.array(moved[2:])).T / (2 * small)
    found = maximum_likelihood(family, eta, data, ridge=ridge)
    np.testing.assert_allclose(found.covariance, slopes @ data @ slopes.T, rtol=1e-7)


def test_commuting_generators_reach_the_inverse_of_the_metric():
    family = qubit("ZI", "IZ", "ZZ")
    fisher, sigma = map(np.asarray, fisher_and_state(family, np.array([-0.4, 0.3, -0.6])))
    copies = 200000
    moments = estimate(measure(sigma, ("ZZ",), copies, key=jax.random.key(0)), ("ZI", "IZ", "ZZ"))
    np.testing.assert_allclose(copies * moments.covariance, fisher, atol=4 * 2 / copies**0.5)
    np.testing.assert_allclose(sandwich(fisher, fisher / copies), np.linalg.inv(fisher) / copies, rtol=1e-12)


@pytest.mark.parametrize(
    ("letters", "moments", "where"),
    [
        (("X", "Z"), (0.8, 0.8), r"outside what states can have: along u they give 1\.13137, .* 1 \(u = \+0\.707 "),
        (("X", "Z"), (0.0, 1.0), r"on the boundary of .* \(u = \+1 Z\)"),
        (("X", "Z"), (0.6, -0.8), "on the boundary of"),
        (("X", "Z"), (0.0, 1.5), "outside"),
        (("ZZ", "ZI", "XX"), (1.0, 0.0, 0.2), r"on the boundary of .* \(u = \+1 ZZ\)"),
        (("ZZ", "ZI", "IZ"), (-1.0, 0.4, 0.4), "outside"),
        (("ZZ", "XX", "ZI", "IX"), (1.0, 1.0, 0.0, 0.0), "on the boundary of"),
    ],
)
def test_moments_without_a_state_are_found_out(letters, moments, where):
    family = qubit(*letters)
    with pytest.raises(ValueError, match=where) as caught:
        maximum_likelihood(family, np.array(moments))
    assert "\n" not in str(caught.value)
    assert "or a ridge" in str(caught.value)
    found = maximum_likelihood(family, np.array(moments), ridge=0.05)
    eta = jax.jit(lambda family, theta: family.mirror.to_dual(theta) + 0.05 * theta)(family, found.theta)
    np.testing.assert_allclose(eta, moments, atol=1e-12)


def test_moments_just_inside_are_fitted():
    found = maximum_likelihood(qubit("X", "Z"), (1 - 1e-7) * np.array([0.6, 0.8]))
    np.testing.assert_allclose(found.theta, np.arctanh(1 - 1e-7) * np.array([0.6, 0.8]), rtol=1e-7)
    assert float(found.fisher_min) == pytest.approx(2e-7, rel=1e-3)


def test_data_must_belong_to_the_model():
    moments = exact_moments(SIGMA, STRINGS)
    with pytest.raises(ValueError, match="family has no generator YYY; add it"):
        LearningTask(FAMILY, exact_moments(SIGMA, (*STRINGS, "YYY")))
    with pytest.raises(ValueError, match="no moment of ZIZ; measure it"):
        LearningTask(FAMILY, exact_moments(SIGMA, STRINGS[:-1]))
    with pytest.raises(ValueError, match="learns from a density matrix"):
        LearningTask(LatentGibbs(real(3, layers=1), order=1), moments)
    with pytest.raises(ValueError, match="moments are of Pauli strings"):
        LearningTask(MATRICES, moments)
    for model in (qubit("X", "Z"), LatentGibbs(real(2, layers=1), order=1)):
        with pytest.raises(ValueError, match="state is 8 x 8, but the model"):
            LearningTask(model, SIGMA)


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (np.ones((2, 3)), "is square"),
        (np.array([[0.5, 0.2], [0.1, 0.5]]), "is Hermitian"),
        (np.eye(2), "has trace 1; this one has trace 2"),
        (np.diag([1.2, -0.2]), r"is positive; this one has the eigenvalue -0\.2"),
    ],
)
def test_a_matrix_that_is_no_state_is_refused(sigma, message):
    with pytest.raises(ValueError, match=message):
        LearningTask(qubit("X", "Z"), sigma)


@pytest.mark.slow
def test_a_pure_state_has_no_gibbs_state_but_a_latent_model_approaches_it():
    up = np.diag([1.0, 0.0])
    with pytest.raises(ValueError, match="on the boundary"):
        LearningTask(qubit("X", "Z"), up)
    task = LearningTask(LatentGibbs(real(1, layers=1), order=1), up)
    params = {"latent": jnp.array([-5.0]), "angles": jnp.array([0.0])}
    wanted = np.log1p(np.exp(-10.0))
    assert task.value_and_grad(params)[0] == pytest.approx(wanted, rel=1e-9)
    assert task.evaluate(params)["relative_entropy"] == pytest.approx(wanted, rel=1e-9)


@pytest.fixture(scope="module")
def fermion_chain():
    """Three sites of the ground state of six in a hopping chain at half filling, and their modular energies."""
    n, block = 6, (0, 1, 2)
    # Jordan–Wigner: c†ᵢcᵢ₊₁ + h.c. = (XX + YY)/2, local on neighbours
    pairs = [("I" * i + letters + "I" * (n - 2 - i), -0.5) for i in range(n - 1) for letters in ("XX", "YY")]
    _, levels = np.linalg.eigh(PauliSum.from_terms(pairs).matrix())
    hopping = -(np.eye(n, k=1) + np.eye(n, k=-1))
    return reduced_density_matrix(levels[:, 0], block), fermion_block(hopping, block).energies


@pytest.mark.slow
def test_a_local_family_learns_the_entanglement_hamiltonian_of_free_fermions(fermion_chain):
    sigma, energies = fermion_chain
    family = GibbsFamily(PauliSum.from_strings(local_strings(3)))
    task = LearningTask(family, sigma)
    found = maximum_likelihood(family, task.moments)
    # at half filling sites an even distance apart do not couple, so neighbours are enough: three modes −ε, 0, ε
    log_p, _ = family.spectrum(found.theta)
    np.testing.assert_allclose(jnp.sort(log_p)[::-1], fermion_log_spectrum(energies), atol=1e-10)
    assert task.value_and_grad(found.theta)[0] == pytest.approx(0, abs=1e-12)
    bonds = dict(zip(family.generators.strings, np.asarray(found.theta), strict=True))
    assert bonds["XXI"] == pytest.approx(bonds["YYI"], abs=1e-9)
    assert bonds["IXX"] < 3 * bonds["XXI"]
    assert max(abs(bonds[s]) for s in bonds if s not in ("XXI", "YYI", "IXX", "IYY")) < 1e-9


@pytest.mark.slow
def test_a_latent_model_learns_the_entanglement_spectrum(fermion_chain):
    sigma, energies = fermion_chain
    task = LearningTask(LatentGibbs(real(3, layers=4), order=3), sigma)
    trained = run(task, natural_gradient(1.0, task.metrics["bkm"]), steps=60, seed=0)
    assert trained.final["relative_entropy"] < 1e-8
    np.testing.assert_allclose(trained.artifacts["modular_spectrum"], -fermion_log_spectrum(energies), atol=0.02)
