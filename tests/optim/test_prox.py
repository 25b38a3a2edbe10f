"""Exact facts about steps in an exponential family that contains its target."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.geometry import DivergenceMetric, HessianMetric, relative_entropy
from qnat.optim import mirror_descent, natural_gradient, proximal_newton
from qnat.quantum import GibbsFamily, PauliSum, ThermalTask, tfim
from qnat.quantum.hamiltonians import local_strings

TFIM = tfim(1, 2, field=0.7)
FAMILY = GibbsFamily(PauliSum.from_strings(TFIM.strings).matrices())


def plain(rate, metric):
    return natural_gradient(rate, metric, damping=0.0, trust=None, box=None, accept=None)


def one_step(task, optimizer, params):
    value, grads = task.value_and_grad(params)
    value_fn = lambda p: task.value_and_grad(p)[0]  # noqa: E731
    return params + optimizer.update(grads, optimizer.init(params), params, value=value, value_fn=value_fn)[0]


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_natural_gradient_of_the_free_energy_contracts_exactly(rate):
    """∇L = F(θ − θ*), so the BKM step is θ − η(θ − θ*): one step for η = 1, from anywhere."""
    task = ThermalTask(FAMILY, TFIM, beta=2.0)
    theta, exact = jnp.array([0.3, -0.8, 0.5]), -2.0 * TFIM.coefficients
    stepped = one_step(task, plain(rate, task.metric("bkm")), theta)
    np.testing.assert_allclose(stepped, (1 - rate) * theta + rate * exact, atol=1e-13)
    np.testing.assert_allclose(one_step(task, plain(1.0, HessianMetric(FAMILY.mirror)), theta), exact, atol=1e-13)


@pytest.mark.slow
def test_safeguards_do_not_spoil_the_exact_step():
    """With trust radius and damping the same problem ends in a handful of tried steps, from a degenerate start."""
    task = ThermalTask(FAMILY, TFIM, beta=2.0)
    for optimizer in (natural_gradient(1.0, task.metric("bkm")), proximal_newton(1.0, task.metric("bkm"))):
        theta, state = jnp.zeros(3), optimizer.init(jnp.zeros(3))
        for _ in range(20):
            value, grads = task.value_and_grad(theta)
            updates, state = optimizer.update(
                grads, state, theta, value=value, value_fn=lambda p: task.value_and_grad(p)[0]
            )
            theta = theta + updates
        assert task.evaluate(theta)["relative_entropy"] < 1e-6


def test_state_space_mirror_descent_is_a_geometric_mixture():
    """In a complete family the BKM step is K₊ = (1 − η)K − ηβH: matrix multiplicative weights, monotone for η ≤ 1."""
    complete = [s for s in (a + b for a in "IXYZ" for b in "IXYZ") if s != "II"]
    family = GibbsFamily(PauliSum.from_strings(complete).matrices())
    task = ThermalTask(family, TFIM, beta=1.5)
    theta = jax.random.normal(jax.random.key(3), (15,)) / 2
    mixture, target = family.log_density(theta), -1.5 * TFIM.matrix()
    entropies = [float(relative_entropy(mixture, target))]
    for _ in range(6):
        theta = one_step(task, plain(0.4, task.metric("bkm")), theta)
        mixture = 0.6 * mixture + 0.4 * target
        np.testing.assert_allclose(family.log_density(theta), mixture, atol=1e-12)
        entropies.append(float(task.evaluate(theta)["relative_entropy"]))
    assert all(later < earlier for earlier, later in itertools.pairwise(entropies))


def test_mirror_descent_matches_moments():
    """One step of unit rate learns data of the family; an infeasible target is taken back and the rate halved."""
    mirror, data = FAMILY.mirror, jnp.array([0.4, -0.6, 0.9])
    goal = mirror.to_dual(data)

    def likelihood(theta):
        return mirror.potential(theta) - goal @ theta

    optimizer = mirror_descent(1.0, mirror)
    grads = jax.grad(likelihood)(jnp.zeros(3))
    updates, state = optimizer.update(
        grads, optimizer.init(grads), jnp.zeros(3), value=likelihood(jnp.zeros(3)), value_fn=likelihood
    )
    np.testing.assert_allclose(updates, data, atol=1e-11)
    assert state.diagnostics.accepted == 1
    infeasible = mirror_descent(30.0, mirror)
    updates, state = infeasible.update(
        grads, infeasible.init(grads), jnp.zeros(3), value=likelihood(jnp.zeros(3)), value_fn=likelihood
    )
    assert jnp.all(updates == 0)
    assert state.scale == 0.5
    assert state.diagnostics.accepted == 0


def test_divergences_induce_the_bkm_metric_in_both_directions():
    theta = jnp.array([0.3, -0.8, 0.5])
    wanted = HessianMetric(FAMILY.mirror).at(theta).as_matrix()
    for divergence in (FAMILY.relative_entropy, lambda new, old: FAMILY.relative_entropy(old, new)):
        np.testing.assert_allclose(DivergenceMetric(divergence).at(theta).as_matrix(), wanted, atol=1e-12)


@pytest.mark.slow
def test_thermal_learning_with_local_generators():
    """A family of all local Paulis around a Hamiltonian of its own: the safeguarded step finds it at once."""
    hamiltonian = tfim(1, 3, field=0.7, periodic=True)
    family = GibbsFamily(PauliSum.from_strings(local_strings(3, periodic=True)).matrices())
    task = ThermalTask(family, hamiltonian, beta=1.0)
    theta = one_step(task, plain(1.0, task.metric("bkm")), jnp.zeros(family.generators.shape[0]))
    assert task.evaluate(theta)["relative_entropy"] < 1e-20
