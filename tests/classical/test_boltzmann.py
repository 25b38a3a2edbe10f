"""Boltzmann machines against enumeration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from classical.models.boltzmann import BoltzmannMachine, RestrictedBoltzmannMachine
from qnat.geometry import HessianMetric, laws
from qnat.geometry.spins import all_bits, subsets

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


@pytest.mark.parametrize("name", MACHINES)
def test_machines_are_mirror_maps(name):
    machine = MACHINES[name]
    laws.check_mirror_map(machine, machine.init(jax.random.key(0), scale=0.5), key=jax.random.key(1))


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
        }

    theta = machine.init(jax.random.key(0), scale=0.5)
    found = {key: np.asarray(value) for key, value in described(theta, all_bits(machine.n)).items()}
    p, t = found["each"], found["statistics"]
    assert float(p.sum()) == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(found["all"], p, atol=1e-15)
    np.testing.assert_allclose(found["means"], p @ t, atol=1e-14)
    covariance = (t.T * p) @ t - np.outer(p @ t, p @ t)
    np.testing.assert_allclose(found["fisher"], covariance, atol=1e-14)


def test_all_interactions_make_any_distribution():
    machine = MACHINES["triples"]

    @jax.jit
    def fitted(p):
        eta = machine.exponential_family.statistics @ p
        return jnp.exp(machine.log_probs(machine.to_primal(eta)))

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


def test_bad_machines_are_refused():
    with pytest.raises(ValueError, match=r"sets of units 0 … 2; got \(\(0, 3\),\)"):
        BoltzmannMachine(3, ((0, 3),))
    with pytest.raises(ValueError, match="at most 20 are enumerated"):
        BoltzmannMachine(21, subsets(21, 1)).potential(np.zeros(21))
    with pytest.raises(ValueError, match="layer of 21 units"):
        RestrictedBoltzmannMachine(21, 21).potential(np.zeros(483))
