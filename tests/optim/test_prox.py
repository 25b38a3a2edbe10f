"""Exact facts about steps in an exponential family that contains its target."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.geometry import DivergenceMetric, HessianMetric, relative_entropy
from qnat.optim import mirror_descent, natural_gradient, proximal_newton
from qnat.quantum import GibbsFamily, PauliSum, ThermalTask, tfim
from qnat.quantum.operators.hamiltonians import local_strings

TFIM = tfim(1, 2, field=0.7)
FAMILY = GibbsFamily(PauliSum.from_strings(TFIM.strings).matrices())


def plain(rate, metric):
    return natural_gradient(rate, metric, damping=0.0, trust=None, box=None, accept=None)


@eqx.filter_jit
def one_step(task, optimizer, params):
    value, grads = task.value_and_grad(params)
    value_fn = lambda p: task.value_and_grad(p)[0]  # noqa: E731
    return params + optimizer.update(grads, optimizer.init(params), params, value=value, value_fn=value_fn)[0]


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_natural_gradient_of_the_free_energy_contracts_exactly(rate):
    """∇L = F(θ − θ*), so the BKM step is θ − η(θ − θ*): one step for η = 1, from anywhere."""
    task = ThermalTask(FAMILY, TFIM, beta=2.0)
    theta, exact = np.array([0.3, -0.8, 0.5]), -2.0 * np.asarray(TFIM.coefficients)
    stepped = one_step(task, plain(rate, task.metric("bkm")), theta)
    np.testing.assert_allclose(stepped, (1 - rate) * theta + rate * exact, atol=1e-13)
    np.testing.assert_allclose(one_step(task, plain(1.0, HessianMetric(FAMILY.mirror)), theta), exact, atol=1e-13)


@pytest.mark.slow
def test_safeguards_do_not_spoil_the_exact_step():
    """With trust radius and damping the same problem ends in a handful of tried steps, from a degenerate start."""
    task = ThermalTask(FAMILY, TFIM, beta=2.0)

    @eqx.filter_jit
    def trained(optimizer, theta):
        def step(carry, _):
            theta, state = carry
            value, grads = task.value_and_grad(theta)
            value_fn = lambda p: task.value_and_grad(p)[0]  # noqa: E731
            updates, state = optimizer.update(grads, state, theta, value=value, value_fn=value_fn)
            return (theta + updates, state), None

        return jax.lax.scan(step, (theta, optimizer.init(theta)), None, length=20)[0][0]

    for optimizer in (natural_gradient(1.0, task.metric("bkm")), proximal_newton(1.0, task.metric("bkm"))):
        assert float(task.evaluate(trained(optimizer, np.zeros(3)))["relative_entropy"]) < 1e-6


def test_state_space_mirror_descent_is_a_geometric_mixture():
    """In a complete family the BKM step is K₊ = (1 − η)K − ηβH: matrix multiplicative weights, monotone for η ≤ 1."""
    complete = [s for s in (a + b for a in "IXYZ" for b in "IXYZ") if s != "II"]
    family = GibbsFamily(PauliSum.from_strings(complete).matrices())
    task = ThermalTask(family, TFIM, beta=1.5)
    start = np.random.default_rng(3).normal(size=15) / 2

    @jax.jit
    def walked(theta, target):
        """Log-densities and relative entropies of the start and of six steps, and of the mixture beside them."""

        def step(theta, _):
            new = one_step(task, plain(0.4, task.metric("bkm")), theta)
            return new, (family.log_density(new), task.evaluate(new)["relative_entropy"])

        here = family.log_density(theta)
        return here, relative_entropy(here, target), jax.lax.scan(step, theta, None, length=6)[1]

    target = -1.5 * np.asarray(TFIM.matrix())
    mixture, entropy, (steps, entropies) = jax.tree.map(np.asarray, walked(start, target))
    for density in steps:
        mixture = 0.6 * mixture + 0.4 * target
        np.testing.assert_allclose(density, mixture, atol=1e-12)
    assert all(later < earlier for earlier, later in itertools.pairwise([entropy, *entropies]))


def test_mirror_descent_matches_moments():
    """One step of unit rate learns data of the family; an infeasible target is taken back and the rate halved."""
    mirror, data = FAMILY.mirror, np.array([0.4, -0.6, 0.9])

    @jax.jit
    def first_step(data, rate):
        goal, start, optimizer = mirror.to_dual(data), jnp.zeros(3), mirror_descent(rate, mirror)

        def likelihood(theta):
            return mirror.potential(theta) - goal @ theta

        value, grads = jax.value_and_grad(likelihood)(start)
        return optimizer.update(grads, optimizer.init(start), start, value=value, value_fn=likelihood)

    updates, state = first_step(data, 1.0)
    np.testing.assert_allclose(updates, data, atol=1e-11)
    assert float(state.diagnostics.accepted) == 1
    updates, state = first_step(data, 30.0)
    np.testing.assert_array_equal(updates, 0)
    assert float(state.scale) == 0.5
    assert float(state.diagnostics.accepted) == 0


def test_divergences_induce_the_bkm_metric_in_both_directions():
    divergences = FAMILY.relative_entropy, lambda new, old: FAMILY.relative_entropy(old, new)
    metrics = [HessianMetric(FAMILY.mirror), *map(DivergenceMetric, divergences)]
    wanted, *found = jax.jit(lambda theta: [m.at(theta).as_matrix() for m in metrics])(np.array([0.3, -0.8, 0.5]))
    for matrix in found:
        np.testing.assert_allclose(matrix, wanted, atol=1e-12)


@pytest.mark.slow
def test_thermal_learning_with_local_generators():
    """A family of all local Paulis around a Hamiltonian of its own: the safeguarded step finds it at once."""
    hamiltonian = tfim(1, 3, field=0.7, periodic=True)
    family = GibbsFamily(PauliSum.from_strings(local_strings(3, periodic=True)).matrices())
    task = ThermalTask(family, hamiltonian, beta=1.0)
    theta = one_step(task, plain(1.0, task.metric("bkm")), np.zeros(family.generators.shape[0]))
    assert float(task.evaluate(theta)["relative_entropy"]) < 1e-20
