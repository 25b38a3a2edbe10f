"""The classical branch and the commuting part of the quantum branch are one: same code, same numbers to 1e-12."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from scipy.special import softmax

from classical.methods.fisher import KroneckerFisher
from classical.models.network import Layer, Network
from qnat.geometry import HessianMetric, LogTraceExp, NegativeEntropy, bregman, monotone_metric, relative_entropy
from qnat.geometry.families import Categorical
from qnat.geometry.restricted import RestrictedBoltzmannMachine
from qnat.geometry.spin_families import BoltzmannMachine
from qnat.geometry.spins import subsets
from qnat.optim import mirror_descent, natural_gradient, scale_by_metric
from qnat.quantum import GibbsFamily, PauliSum
from qnat.quantum.methods.mirror import matrix_multiplicative_weights

KINDS = ["bkm", "sld", "wigner_yanase", "geometric", "harmonic", "wyd:0.3", "sandwiched:0.75"]
SOME_KINDS = ["bkm", "sld", "sandwiched:0.75"]
MACHINES = {
    "pairs": BoltzmannMachine(3, subsets(3, 2)),
    "triples": BoltzmannMachine(3, subsets(3, 3)),
    "restricted": RestrictedBoltzmannMachine(2, 2),
}


def diagonal_family(machine):
    """Products of spins as strings of Z."""
    strings = ["".join("Z" if unit in each else "I" for unit in range(machine.n)) for each in machine.interactions]
    return GibbsFamily(PauliSum.from_strings(strings))


@pytest.fixture(scope="module", params=[pytest.param("pairs", marks=pytest.mark.slow), "triples", "restricted"])
def twins(request):
    """(machine, its quantum twin, θ)."""
    machine = MACHINES[request.param]
    return machine, diagonal_family(machine), 0.4 * np.random.default_rng(0).normal(size=len(machine.interactions))


ENERGIES = np.array([0.3, -1.0, 0.8, 0.1])
P = softmax([0.2, -0.7, 1.1, 0.0])


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def metrics_of_logits():
    """Of one diagonal state, by kind; the last is Fisher."""
    basis = np.stack([np.diag(row) for row in np.eye(3)])

    @jax.jit
    def all_of_them(logits):
        each = {kind: monotone_metric(lambda t: jnp.tensordot(t, basis, 1), logits, kind) for kind in KINDS}
        each["fisher"] = HessianMetric(Categorical()).at(logits)
        return {name: operator.as_matrix() for name, operator in each.items()}

    return all_of_them(np.array([0.3, -0.5, 1.2]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_monotone_metric_is_fisher_on_diagonal_states(kind, metrics_of_logits):
    close(metrics_of_logits[kind], metrics_of_logits["fisher"])


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

    @jax.jit
    def both(theta, there):
        ours, theirs = (described(mirror, theta, there) for mirror in (machine, family.mirror))
        log_p = jnp.diagonal(family.log_density(theta)) - theirs["potential"]
        ours |= {"relative entropy": ours["divergence"], "log p": machine.log_probs(theta)}
        return ours, theirs | {"relative entropy": family.relative_entropy(theta, there), "log p": log_p}

    ours, theirs = both(theta, 0.5 * theta[::-1])
    for name, value in ours.items():
        close(theirs[name], value)


@pytest.fixture(scope="module")
def metrics_of_twins(twins):
    machine, family, theta = twins
    metrics = {kind: family.metric(kind) for kind in SOME_KINDS} | {"fisher": HessianMetric(machine)}
    return jax.jit(lambda theta: {name: metric.at(theta).as_matrix() for name, metric in metrics.items()})(theta)


@pytest.mark.parametrize("kind", SOME_KINDS)
def test_a_boltzmann_machine_has_the_metric_of_a_gibbs_family(kind, metrics_of_twins):
    close(metrics_of_twins[kind], metrics_of_twins["fisher"])


def trajectory(mirror, transform, moments, theta, steps=6):
    """Parameters while D(data‖model) = A(θ) − θ·η̂, up to a constant, is minimised."""

    def loss(t):
        return mirror.potential(t) - t @ moments

    def step(carry, _):
        t, state = carry
        value, gradient = jax.value_and_grad(loss)(t)
        change, state = transform.update(gradient, state, t, value=value, value_fn=loss)
        t = optax.apply_updates(t, change)
        return (t, state), t

    return jnp.concatenate([theta[None], jax.lax.scan(step, (theta, transform.init(theta)), None, length=steps)[1]])


def test_natural_gradient_trajectories_are_the_same(twins):
    machine, family, theta = twins
    pairs = ((machine, HessianMetric(machine)), (family.mirror, family.metric("bkm")))

    @jax.jit
    def paths(theta):
        moments = machine.to_dual(-theta)
        return [trajectory(mirror, natural_gradient(0.7, metric), moments, theta) for mirror, metric in pairs]

    ours, theirs = paths(theta)
    close(ours, theirs)
    assert np.linalg.norm(np.asarray(ours)[-1] + theta) < 0.1 * np.linalg.norm(2 * theta)  # and it learns


@pytest.mark.slow
def test_mirror_descent_trajectories_are_the_same(twins):
    machine, family, theta = twins

    @jax.jit
    def paths(theta):
        moments = machine.to_dual(-theta)
        found = [trajectory(m, mirror_descent(0.5, m), moments, theta) for m in (machine, family.mirror)]
        return found, jax.vmap(machine.to_dual)(found[0]) - moments

    found, left = paths(theta)
    close(*found)
    # the dual coordinates move straight: every step halves what is left
    left = np.asarray(left)
    close(left[1:], left[:-1] / 2)


def test_mirror_descent_on_the_simplex_is_matrix_multiplicative_weights():
    rate, beta, steps = 0.3, 1.7, 8

    @jax.jit
    def both(p, energies):
        def loss(q):
            return beta * q @ energies + NegativeEntropy().potential(q)

        transform = mirror_descent(rate, NegativeEntropy(), accept=None)

        def step(carry, _):
            q, state = carry
            change, state = transform.update(jax.grad(loss)(q), state, q)
            return (q + change, state), q + change

        path = jax.lax.scan(step, (p, transform.init(p)), None, length=steps)[1]
        states = matrix_multiplicative_weights(jnp.diag(jnp.log(p)), jnp.diag(energies), beta, rate=rate, steps=steps)
        return jax.nn.softmax(jnp.diagonal(states, axis1=1, axis2=2)), jnp.concatenate([p[None], path])

    close(*both(P, ENERGIES))


def test_mirror_diagonal_quantum_equals_categorical():
    mirrors = LogTraceExp(np.stack([np.diag(row) for row in np.eye(4)])), Categorical()

    @jax.jit
    def both(logits, energies, p):
        def described(mirror):
            divergence = bregman(mirror)(energies, logits)
            metric = HessianMetric(mirror).at(logits).as_matrix()
            return mirror.potential(logits), mirror.to_dual(logits), divergence, metric

        entropy = relative_entropy(jnp.diag(logits), jnp.diag(energies))
        return [described(mirror) for mirror in mirrors], entropy, [mirror.to_primal(p) for mirror in mirrors]

    (quantum, categorical), entropy, (free, found) = jax.tree.map(np.asarray, both(np.log(P), ENERGIES, P))
    for ours, theirs in zip(quantum, categorical, strict=True):
        close(ours, theirs)
    close(entropy, categorical[2])
    # the logits are those of zero sum, in both
    close(free - free.mean(), found)


@pytest.mark.slow
def test_one_transform_takes_a_bkm_metric_and_a_kronecker_metric():
    family, network = diagonal_family(MACHINES["pairs"]), Network(2, (Layer(3), Layer(2, "linear")), Categorical())
    transform = scale_by_metric(damping=0.01)

    @jax.jit
    def solved(theta, weights, x):
        """Of both metrics the damped matrix, the vector, and what the transform makes of it, flat."""
        cases = [
            (family.metric("bkm").at(theta), theta),
            (KroneckerFisher(network, "exact").at(weights, (x, None)), weights),
        ]
        triples = []
        for operator, vector in cases:
            found, _ = transform.update(vector, transform.init(vector), operator=operator)
            flat = ravel_pytree(vector)[0]
            triples.append((operator.as_matrix() + 0.01 * jnp.eye(flat.size), flat, ravel_pytree(found)[0]))
        return triples

    theta, x = (np.random.default_rng(0).normal(size=shape) for shape in (6, (5, 2)))
    for matrix, vector, found in solved(theta, network.init(jax.random.key(1)), x):
        np.testing.assert_allclose(np.asarray(matrix) @ found, vector, atol=1e-12)
