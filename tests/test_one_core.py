"""The classical branch and the commuting part of the quantum branch are one: same code, same numbers to 1e-12."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from classical.methods.fisher import KroneckerFisher
from classical.models.boltzmann import BoltzmannMachine, RestrictedBoltzmannMachine
from classical.models.network import Layer, Network
from qnat.geometry import HessianMetric, LogTraceExp, NegativeEntropy, bregman, monotone_metric, relative_entropy
from qnat.geometry.families import Categorical
from qnat.geometry.spins import subsets
from qnat.optim import mirror_descent, natural_gradient, scale_by_metric
from qnat.quantum import GibbsFamily, PauliSum
from qnat.quantum.methods.mirror import matrix_multiplicative_weights

KINDS = ["bkm", "sld", "wigner_yanase", "geometric", "harmonic", "wyd:0.3", "sandwiched:0.75"]
MACHINES = {
    "pairs": BoltzmannMachine(3, subsets(3, 2)),
    "triples": BoltzmannMachine(3, subsets(3, 3)),
    "restricted": RestrictedBoltzmannMachine(2, 2),
}


def diagonal_family(machine):
    """Products of spins as strings of Z."""
    strings = ["".join("Z" if unit in each else "I" for unit in range(machine.n)) for each in machine.interactions]
    return GibbsFamily(PauliSum.from_strings(strings))


@pytest.fixture(params=MACHINES)
def twins(request):
    """(machine, its quantum twin, θ)."""
    machine = MACHINES[request.param]
    return machine, diagonal_family(machine), machine.init(jax.random.key(0), scale=0.4)


@pytest.fixture(scope="module")
def simplex():
    """A distribution on four states and energies."""
    p = jax.nn.softmax(jnp.array([0.2, -0.7, 1.1, 0.0]))
    return p, jnp.array([0.3, -1.0, 0.8, 0.1])


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_every_monotone_metric_is_fisher_on_diagonal_states(kind):
    logits, basis = jnp.array([0.3, -0.5, 1.2]), jax.vmap(jnp.diag)(jnp.eye(3))
    fisher = HessianMetric(Categorical()).at(logits).as_matrix()
    close(monotone_metric(lambda t: jnp.tensordot(t, basis, 1), logits, kind).as_matrix(), fisher)


@jax.jit
def described(mirror, theta, there):
    """What a mirror map says: ψ, the means and the way back, a divergence and its gradient."""
    eta, gap = mirror.to_dual(theta), bregman(mirror)
    divergence, slope = jax.value_and_grad(lambda t: gap(there, t))(theta)
    return {
        "potential": mirror.potential(theta),
        "means": eta,
        "back": mirror.to_primal(eta),
        "divergence": divergence,
        "slope": slope,
    }


def test_a_boltzmann_machine_has_the_values_of_a_gibbs_family(twins):
    machine, family, theta = twins
    there = 0.5 * theta[::-1]
    ours, theirs = (described(mirror, theta, there) for mirror in (machine, family.mirror))
    for name, value in ours.items():
        close(theirs[name], value)
    close(family.relative_entropy(theta, there), ours["divergence"])
    log_p = jnp.diagonal(family.log_density(theta)) - theirs["potential"]
    close(log_p, machine.log_probs(theta))


@pytest.mark.parametrize("kind", ["bkm", "sld", "sandwiched:0.75"])
def test_a_boltzmann_machine_has_the_metric_of_a_gibbs_family(twins, kind):
    machine, family, theta = twins
    close(family.metric(kind).at(theta).as_matrix(), HessianMetric(machine).at(theta).as_matrix())


def trajectory(mirror, transform, moments, theta, steps=6):
    """Parameters while D(data‖model) = A(θ) − θ·η̂, up to a constant, is minimised."""

    def loss(t):
        return mirror.potential(t) - t @ moments

    @jax.jit
    def step(t, state):
        value, gradient = jax.value_and_grad(loss)(t)
        change, state = transform.update(gradient, state, t, value=value, value_fn=loss)
        return optax.apply_updates(t, change), state

    state, path = transform.init(theta), [theta]
    for _ in range(steps):
        theta, state = step(theta, state)
        path.append(theta)
    return jnp.stack(path)


def test_natural_gradient_trajectories_are_the_same(twins):
    machine, family, theta = twins
    moments = machine.to_dual(-theta)
    paths = [
        trajectory(mirror, natural_gradient(0.7, metric), moments, theta)
        for mirror, metric in ((machine, HessianMetric(machine)), (family.mirror, family.metric("bkm")))
    ]
    close(*paths)
    assert float(jnp.linalg.norm(paths[0][-1] + theta)) < 0.1 * float(jnp.linalg.norm(2 * theta))  # and it learns


@pytest.mark.slow
def test_mirror_descent_trajectories_are_the_same(twins):
    machine, family, theta = twins
    moments = machine.to_dual(-theta)
    paths = [trajectory(m, mirror_descent(0.5, m), moments, theta) for m in (machine, family.mirror)]
    close(*paths)
    # the dual coordinates move straight: every step halves what is left
    left = jax.vmap(machine.to_dual)(paths[0]) - moments
    close(left[1:], left[:-1] / 2)


def test_mirror_descent_on_the_simplex_is_matrix_multiplicative_weights(simplex):
    p, energies = simplex
    rate, beta, steps = 0.3, 1.7, 8
    transform = mirror_descent(rate, NegativeEntropy(), accept=None)
    state, path = transform.init(p), [p]
    for _ in range(steps):
        gradient = jax.grad(lambda q: beta * q @ energies + NegativeEntropy().potential(q))(path[-1])
        change, state = transform.update(gradient, state, path[-1])
        path.append(path[-1] + change)
    states = matrix_multiplicative_weights(jnp.diag(jnp.log(p)), jnp.diag(energies), beta, rate=rate, steps=steps)
    close(jax.nn.softmax(jnp.diagonal(states, axis1=1, axis2=2)), jnp.stack(path))


def test_mirror_diagonal_quantum_equals_categorical(simplex):
    p, energies = simplex
    categorical, quantum = Categorical(), LogTraceExp(jax.vmap(jnp.diag)(jnp.eye(4)))
    logits = jnp.log(p)
    close(quantum.potential(logits), categorical.potential(logits))
    close(quantum.to_dual(logits), categorical.to_dual(logits))
    close(bregman(quantum)(energies, logits), bregman(categorical)(energies, logits))
    close(relative_entropy(jnp.diag(logits), jnp.diag(energies)), bregman(categorical)(energies, logits))
    close(HessianMetric(quantum).at(logits).as_matrix(), HessianMetric(categorical).at(logits).as_matrix())
    # the logits are those of zero sum, in both
    free, found = (m.to_primal(p) for m in (quantum, categorical))
    close(free - free.mean(), found)


@pytest.mark.slow
def test_one_transform_takes_a_bkm_metric_and_a_kronecker_metric():
    family, theta = diagonal_family(MACHINES["pairs"]), MACHINES["pairs"].init(jax.random.key(0))
    network = Network(2, (Layer(3), Layer(2, "linear")), Categorical())
    weights, x = network.init(jax.random.key(1)), jax.random.normal(jax.random.key(2), (5, 2))
    transform = scale_by_metric(damping=0.01)
    cases = [
        (family.metric("bkm").at(theta), theta),
        (KroneckerFisher(network, "exact").at(weights, (x, None)), weights),
    ]
    for operator, vector in cases:
        flat = jax.flatten_util.ravel_pytree
        found, _ = transform.update(vector, transform.init(vector), operator=operator)
        matrix = operator.as_matrix() + 0.01 * jnp.eye(flat(vector)[0].size)
        np.testing.assert_allclose(matrix @ flat(found)[0], flat(vector)[0], atol=1e-12)
