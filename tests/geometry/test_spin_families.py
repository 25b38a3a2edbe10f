"""Families of spins against the table of their statistics, and where no table fits against the Ising chain."""

import re

import jax
import jax.numpy as jnp
import lineax as lx
import mpmath
import numpy as np
import pytest
from scipy.linalg import hadamard
from scipy.special import logsumexp, softmax

from qnat.geometry import Dual, HessianMetric, damped, laws
from qnat.geometry.restricted import RestrictedBoltzmannMachine
from qnat.geometry.solvers import Direct
from qnat.geometry.spin_families import BoltzmannMachine
from qnat.geometry.spins import all_bits, subsets, walsh
from qnat.optim import natural_gradient
from qnat.optim.laws import check_mirror_steps

MACHINES = {
    "pairs": BoltzmannMachine(4, subsets(4, 2)),
    "triples": BoltzmannMachine(3, subsets(3, 3)),
    "chosen": BoltzmannMachine(4, ((0,), (1, 3), (0, 2, 3))),
    "restricted": RestrictedBoltzmannMachine(3, 2),
    "restricted, more hidden": RestrictedBoltzmannMachine(2, 3),
}
RESTRICTED = MACHINES["restricted"]


@pytest.fixture(scope="module")
def theta():
    """Of the restricted machine."""
    return RESTRICTED.init(jax.random.key(1), scale=0.7)


SLOWER = ("pairs", "chosen", "restricted, more hidden")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOWER)) for name in MACHINES])
def test_machines_are_families_and_their_duals_mirror_maps(name):
    machine = MACHINES[name]
    theta = machine.init(jax.random.key(0), scale=0.5)
    laws.check_mirror_map(machine, theta, key=jax.random.key(1))
    laws.check_mirror_map(Dual(machine), jax.jit(machine.to_dual)(theta), key=jax.random.key(1))
    laws.check_family(machine, theta, key=jax.random.key(2))
    check_mirror_steps(machine, theta, 0 * theta, key=jax.random.key(3))


@pytest.mark.parametrize("name", MACHINES)
def test_probabilities_moments_and_fisher_are_sums_over_states(name):
    machine = MACHINES[name]

    @jax.jit
    def described(theta, states):
        return {
            "each": jnp.exp(jax.vmap(lambda x: machine.log_prob(theta, x))(states)),
            "all": jnp.exp(machine.log_probs(theta)),
            "statistics": jax.vmap(machine.statistic)(states),
            "means": machine.to_dual(theta),
            "fisher": HessianMetric(machine).at(theta).as_matrix(),
            "table": machine.exponential_family.statistics.T,
        }

    theta = machine.init(jax.random.key(0), scale=0.5)
    found = {key: np.asarray(value) for key, value in described(theta, all_bits(machine.n)).items()}
    p, t = found["each"], found["statistics"]
    np.testing.assert_array_equal(found["table"], t)
    assert float(p.sum()) == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(found["all"], p, atol=1e-15)
    np.testing.assert_allclose(found["means"], p @ t, atol=1e-14)
    covariance = (t.T * p) @ t - np.outer(p @ t, p @ t)
    np.testing.assert_allclose(found["fisher"], covariance, atol=1e-14)


def test_all_interactions_make_any_distribution():
    machine = MACHINES["triples"]

    @jax.jit
    def fitted(p):
        return jnp.exp(machine.log_probs(machine.to_primal(machine.means(p))))

    p = softmax(np.random.default_rng(2).normal(size=8))
    np.testing.assert_allclose(fitted(p), p, rtol=1e-10)


def test_data_of_the_machine_have_its_moments():
    machine = MACHINES["pairs"]

    @jax.jit
    def both(theta, keys):
        x = jax.vmap(lambda key: machine.sample(theta, key=key))(keys)
        return machine.moments(x), machine.to_dual(theta)

    keys = jax.random.split(jax.random.key(4), 4000)
    moments, eta = map(np.asarray, both(machine.init(jax.random.key(3), scale=0.5), keys))
    assert np.all(np.abs(moments - eta) < 4 * np.sqrt((1 - eta**2) / 4000))


def test_hidden_spins_are_summed_over_in_closed_form(theta):
    @jax.jit
    def described(theta, states, visible):
        whole = BoltzmannMachine(5, RESTRICTED.interactions)
        return {
            "joint": jax.vmap(lambda x: RESTRICTED.log_prob(theta, x))(states),
            "visible": RESTRICTED.log_likelihood(theta, visible),
            "potentials": (RESTRICTED.potential(theta), whole.potential(theta)),
        }

    found = described(theta, all_bits(5), all_bits(3))
    np.testing.assert_allclose(found["visible"], logsumexp(found["joint"].reshape(8, 4), axis=1), atol=1e-14)
    ours, theirs = map(float, found["potentials"])
    assert ours == pytest.approx(theirs, abs=1e-14)


def test_a_large_machine_sums_over_its_smaller_layer():
    wide = RestrictedBoltzmannMachine(40, 3)
    theta = wide.init(jax.random.key(5))
    gradient = jax.jit(jax.grad(lambda t: wide.log_likelihood(t, jnp.zeros((2, 40))).mean()))(theta)
    assert np.all(np.isfinite(gradient))
    found = jax.jit(wide.log_likelihood)(np.zeros(theta.shape), np.zeros(40))
    assert float(found) == pytest.approx(-40 * np.log(2))


def test_gibbs_sweeps_leave_the_distribution(theta):
    states = all_bits(3)

    @jax.jit
    def swept(theta, start, sweep, keys):
        """p, one sweep from data that have it, and forty from elsewhere."""
        log_p = RESTRICTED.log_likelihood(theta, states)
        v = jnp.asarray(states)[jax.random.categorical(start, log_p, shape=(20_000,))]
        again = RESTRICTED.gibbs_sweep(theta, v, key=sweep)
        step = lambda v, key: (RESTRICTED.gibbs_sweep(theta, v, key=key), None)  # noqa: E731
        return jnp.exp(log_p), again, jax.lax.scan(step, jnp.zeros((4000, 3)), keys)[0]

    keys = jax.random.split(jax.random.key(7), 40)
    p, *found = map(np.asarray, swept(theta, *jax.random.split(jax.random.key(6)), keys))
    for v in found:
        counts = np.bincount((v @ np.array([4.0, 2.0, 1.0])).astype(int), minlength=8) / len(v)
        assert np.all(np.abs(counts - p) < 4 * np.sqrt(p * (1 - p) / len(v)))


def test_the_transform_is_the_hadamard_matrix():
    v = np.random.default_rng(0).normal(size=64)
    once, twice = jax.jit(lambda v: (walsh(v), walsh(walsh(v))))(v)
    np.testing.assert_allclose(once, hadamard(64) @ v, atol=1e-13)
    np.testing.assert_allclose(twice, 64 * v, atol=1e-13)


def table(n, order):
    bits = all_bits(n)
    return np.stack([(1 - 2 * bits[:, list(each)]).prod(1) for each in subsets(n, order)])


@pytest.mark.parametrize(("n", "order"), [(6, 2), (5, 3), (4, 4), (1, 1)])
def test_covariances_by_transforms_are_those_of_the_table(n, order):
    machine, statistics, rng = BoltzmannMachine(n, subsets(n, order)), table(n, order), np.random.default_rng(n)
    p, vector = softmax(rng.normal(size=2**n)), rng.normal(size=len(statistics))
    operator = machine.covariance(vector, p)
    laws.check_operator(operator, key=jax.random.key(0))

    @jax.jit
    def described(operator, vector, shift):
        solved = lx.linear_solve(damped(operator, shift), vector, Direct()).value
        return operator.as_matrix(), lx.diagonal(operator), operator.mv(vector), solved

    covariance = (statistics * p) @ statistics.T - np.outer(statistics @ p, statistics @ p)
    for shift in (0.0, 1e-3, 10.0):
        matrix, diagonal, product, solved = described(operator, vector, shift)
        np.testing.assert_allclose(matrix, covariance, atol=1e-15)
        np.testing.assert_allclose(diagonal, np.diag(covariance), atol=1e-15)
        np.testing.assert_allclose(product, covariance @ vector, atol=1e-14)
        wanted = np.linalg.solve(covariance + shift * np.eye(len(vector)), vector)
        np.testing.assert_allclose(solved, wanted, rtol=1e-9)


def test_the_covariance_of_a_distribution_about_to_collapse_has_its_digits():
    log_p = np.array([-52.0, -41.0, 0.0, -47.0, -60.0, -44.0, -43.0, -50.0])
    statistics = table(3, 2)
    with mpmath.workdps(60):
        weights = np.array([mpmath.exp(value) for value in log_p])
        p, exact = weights / weights.sum(), statistics.astype(int).astype(object)
        mean = exact @ p
        wanted = ((exact * p) @ exact.T - np.outer(mean, mean)).astype(float)
    vector = np.random.default_rng(1).normal(size=6)
    machine = BoltzmannMachine(3, subsets(3, 2))

    @jax.jit
    def described(log_p):
        operator = machine.covariance(vector, jnp.exp(jax.nn.log_softmax(log_p)))
        return operator.as_matrix(), operator.mv(vector), lx.diagonal(operator)

    matrix, product, diagonal = described(log_p)
    largest = np.max(np.abs(wanted))
    assert largest < 1e-16
    np.testing.assert_allclose(matrix, wanted, rtol=0, atol=1e-14 * largest)
    np.testing.assert_allclose(diagonal, np.diag(wanted), rtol=1e-13)
    np.testing.assert_allclose(product, wanted @ vector, rtol=0, atol=1e-14 * largest)


def test_natural_gradients_of_all_interactions_are_solved_by_transforms():
    machine, rng = BoltzmannMachine(4, subsets(4, 4)), np.random.default_rng(2)
    theta, gradient = rng.normal(size=(2, 15))
    transform = natural_gradient(1.0, HessianMetric(machine), damping=0.01, trust=None, box=None, accept=None)

    @jax.jit
    def step(theta, gradient):
        change, state = transform.update(gradient, transform.init(theta), theta)
        return change, state.diagnostics.residual, jax.hessian(machine.potential)(theta)

    change, residual, fisher = step(theta, gradient)
    np.testing.assert_allclose(change, -np.linalg.solve(fisher + 0.01 * np.eye(15), gradient), rtol=1e-11)
    assert float(residual) < 1e-13
    factorisations = {"cholesky", "lu", "eigh", "triangular_solve", "custom_linear_solve"}
    assert not factorisations & set(
        re.findall(
            r"\w+",
            str(jax.make_jaxpr(lambda *a: transform.update(a[1], transform.init(a[0]), a[0])[0])(theta, gradient)),
        )
    )


def test_a_chain_of_sixteen_spins_is_solved_without_a_table():
    """The open Ising chain has ⟨sᵢsⱼ⟩ = tanh(J)^|i−j|, and of four spins in order the product of both pairs."""
    n, coupling = 16, 0.6
    sets = subsets(n, 2)
    machine = BoltzmannMachine(n, sets)
    theta = np.array([coupling * (len(each) == 2 and each[1] == each[0] + 1) for each in sets])

    @jax.jit
    def described(theta):
        potential, eta = jax.value_and_grad(machine.potential)(theta)
        return potential, eta, HessianMetric(machine).at(theta).as_matrix()

    compiled = described.lower(theta).compile()
    potential, eta, fisher = map(np.asarray, compiled(theta))
    assert potential == pytest.approx(n * np.log(2) + (n - 1) * np.log(np.cosh(coupling)), rel=1e-14)

    def mean(units):
        units = sorted(units)
        return 0.0 if len(units) % 2 else np.tanh(coupling) ** sum(np.subtract(units[1::2], units[::2]))

    np.testing.assert_allclose(eta, [mean(each) for each in sets], atol=1e-13)
    wanted = [[mean(set(a) ^ set(b)) - mean(a) * mean(b) for b in sets] for a in sets]
    np.testing.assert_allclose(fisher, wanted, atol=1e-13)
    # of which the table of all statistics would be 136
    vectors = compiled.memory_analysis().temp_size_in_bytes / (8 * 2**n)
    assert vectors < 16


def test_a_machine_is_found_from_its_moments():
    machine = BoltzmannMachine(8, subsets(8, 2))

    @jax.jit
    def found(theta):
        return machine.to_primal(machine.to_dual(theta))

    theta = 0.3 * np.random.default_rng(3).normal(size=36)
    np.testing.assert_allclose(found(theta), theta, atol=1e-12)


def test_moments_that_no_distribution_has_give_nan():
    machine = MACHINES["triples"]
    assert np.all(np.isnan(jax.jit(machine.to_primal)(np.array([0.9, 0.9, 0.0, -0.9, 0.0, 0.0, 0.0]))))


def test_bad_machines_are_refused():
    for sets in (((0, 3),), ((0,), (0,)), ((0, 1), (1, 0)), ((0, 0),), ((),), ()):
        with pytest.raises(ValueError, match=rf"different sets of units 0 … 2; got {re.escape(str(sets))}"):
            BoltzmannMachine(3, sets)
    with pytest.raises(ValueError, match="at most 24 are enumerated"):
        BoltzmannMachine(25, subsets(25, 1)).potential(np.zeros(25))
    with pytest.raises(ValueError, match="at most 20 are"):
        _ = BoltzmannMachine(21, subsets(21, 1)).exponential_family
    with pytest.raises(ValueError, match="layer of 21 units"):
        RestrictedBoltzmannMachine(21, 21).potential(np.zeros(483))
    with pytest.raises(ValueError, match="visible and hidden units; got 2 and 0"):
        RestrictedBoltzmannMachine(2, 0)
