"""Boltzmann machines against enumeration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classical.models.boltzmann import BoltzmannMachine, RestrictedBoltzmannMachine
from qnat.geometry import HessianMetric, laws
from qnat.geometry.spins import all_bits, subsets

pytestmark = pytest.mark.slow

MACHINES = {
    "pairs": BoltzmannMachine(4, subsets(4, 2)),
    "triples": BoltzmannMachine(3, subsets(3, 3)),
    "chosen": BoltzmannMachine(4, ((0,), (1, 3), (0, 2, 3))),
    "restricted": RestrictedBoltzmannMachine(3, 2),
    "restricted, more hidden": RestrictedBoltzmannMachine(2, 3),
}
RESTRICTED = MACHINES["restricted"]
THETA = RESTRICTED.init(jax.random.key(1), scale=0.7)


@pytest.mark.parametrize("name", MACHINES)
def test_machines_are_mirror_maps(name):
    machine = MACHINES[name]
    laws.check_mirror_map(machine, machine.init(jax.random.key(0), scale=0.5), key=jax.random.key(1))


@pytest.mark.parametrize("name", MACHINES)
def test_probabilities_moments_and_fisher_are_sums_over_states(name):
    machine = MACHINES[name]
    theta, states = machine.init(jax.random.key(0), scale=0.5), jnp.asarray(all_bits(machine.n))
    p = jnp.exp(jax.vmap(lambda x: machine.log_prob(theta, x))(states))
    assert float(p.sum()) == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(jnp.exp(machine.log_probs(theta)), p, atol=1e-15)
    t = jax.vmap(machine.statistic)(states)
    np.testing.assert_allclose(machine.to_dual(theta), p @ t, atol=1e-14)
    covariance = (t.T * p) @ t - jnp.outer(p @ t, p @ t)
    np.testing.assert_allclose(HessianMetric(machine).at(theta).as_matrix(), covariance, atol=1e-14)


def test_all_interactions_make_any_distribution():
    machine = MACHINES["triples"]
    p = jax.nn.softmax(jax.random.normal(jax.random.key(2), (8,)))
    eta = machine.exponential_family.statistics @ p
    np.testing.assert_allclose(jnp.exp(machine.log_probs(machine.to_primal(eta))), p, rtol=1e-10)


def test_data_of_the_machine_have_its_moments():
    machine = MACHINES["pairs"]
    theta = machine.init(jax.random.key(3), scale=0.5)
    x = jax.vmap(lambda key: machine.sample(theta, key=key))(jax.random.split(jax.random.key(4), 4000))
    eta = machine.to_dual(theta)
    assert np.all(np.abs(machine.moments(x) - eta) < 4 * np.sqrt((1 - eta**2) / 4000))


def test_hidden_spins_are_summed_over_in_closed_form():
    states = jnp.asarray(all_bits(5))
    joint = jax.vmap(lambda x: RESTRICTED.log_prob(THETA, x))(states).reshape(8, 4)
    found = RESTRICTED.log_likelihood(THETA, jnp.asarray(all_bits(3)))
    np.testing.assert_allclose(found, jax.nn.logsumexp(joint, axis=1), atol=1e-14)
    assert float(RESTRICTED.potential(THETA)) == pytest.approx(
        float(BoltzmannMachine(5, RESTRICTED.interactions).potential(THETA)), abs=1e-14
    )


def test_a_large_machine_sums_over_its_smaller_layer():
    wide = RestrictedBoltzmannMachine(40, 3)
    theta = wide.init(jax.random.key(5))
    gradient = jax.grad(lambda t: wide.log_likelihood(t, jnp.zeros((2, 40))).mean())(theta)
    assert bool(jnp.all(jnp.isfinite(gradient)))
    assert float(wide.log_likelihood(jnp.zeros_like(theta), jnp.zeros(40))) == pytest.approx(-40 * np.log(2))


def test_gibbs_sweeps_leave_the_distribution():
    p = jnp.exp(RESTRICTED.log_likelihood(THETA, jnp.asarray(all_bits(3))))
    start, sweep = jax.random.split(jax.random.key(6))
    v = jnp.asarray(all_bits(3))[jax.random.categorical(start, jnp.log(p), shape=(20_000,))]
    v = RESTRICTED.gibbs_sweep(THETA, v, key=sweep)
    counts = np.bincount((v @ jnp.array([4.0, 2.0, 1.0])).astype(int), minlength=8) / 20_000
    assert np.all(np.abs(counts - p) < 4 * np.sqrt(p * (1 - p) / 20_000))
    # and from elsewhere they lead to it
    v = jnp.zeros((4000, 3))
    for key in jax.random.split(jax.random.key(7), 40):
        v = RESTRICTED.gibbs_sweep(THETA, v, key=key)
    counts = np.bincount((v @ jnp.array([4.0, 2.0, 1.0])).astype(int), minlength=8) / 4000
    assert np.all(np.abs(counts - p) < 4 * np.sqrt(p * (1 - p) / 4000))


def test_bad_machines_are_refused():
    with pytest.raises(ValueError, match=r"sets of units 0 … 2; got \(\(0, 3\),\)"):
        BoltzmannMachine(3, ((0, 3),))
    with pytest.raises(ValueError, match="at most 20 are enumerated"):
        BoltzmannMachine(21, subsets(21, 1)).potential(jnp.zeros(21))
    with pytest.raises(ValueError, match="layer of 21 units"):
        RestrictedBoltzmannMachine(21, 21).potential(jnp.zeros(483))
