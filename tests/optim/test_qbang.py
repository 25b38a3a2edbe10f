"""qBang: its inverse is the inverse, and without decay it is Adam's step in a fixed metric."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qnat.geometry import EuclideanMetric, HessianMetric
from qnat.optim import qbang
from qnat.quantum import PauliSum, PureMetric, PureState
from qnat.quantum.circuits.ansatz import real

pytestmark = pytest.mark.slow

MODEL = PureState(real(3, 2))
HAMILTONIAN = PauliSum.from_terms([("ZZI", -1.0), ("IZZ", -1.0), ("XII", -0.8), ("IXI", -0.8), ("IIX", -0.8)])


@jax.jit
def gradient(angles):
    return jax.grad(lambda a: MODEL.energy({"angles": a}, HAMILTONIAN))(angles)


@pytest.fixture(scope="module")
def start():
    return MODEL.init(jax.random.key(0), scale=0.5)


def dense(rate, decay, steps, start, damping=1e-2):
    """Gradients, angles and inverses of the update rules with the metric itself, inverted anew in every step."""
    angles = np.asarray(start["angles"])
    metric = np.asarray(jax.jit(lambda params: PureMetric(MODEL).at(params).as_matrix())(start))
    B = metric + damping * np.eye(len(angles))
    m, v, path = np.zeros_like(angles), np.zeros_like(angles), []
    for k in range(steps):
        g = np.asarray(gradient(angles))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        p = m / (1 - 0.9 ** (k + 1)) / (np.sqrt(v / (1 - 0.999 ** (k + 1))) + 1e-8)
        angles = angles - rate * (k + 1) ** -decay * np.linalg.solve(B, p)
        B = (1 - decay / (k + 1)) * B + decay / (k + 1) * np.outer(g, g)
        path.append((g, angles, np.linalg.inv(B)))
    return map(np.array, zip(*path, strict=True))


@pytest.mark.parametrize("decay", [0.2, 0.0])
def test_fifty_steps_equal_those_with_the_metric_inverted_anew(decay, start):
    """Without decay, B is the metric of the start in every step: its natural gradient, of Adam's direction."""
    optimizer = qbang(0.02, PureMetric(MODEL), decay=decay, damping=1e-2)

    @jax.jit
    def walked(params, gradients):
        def step(carry, gradient):
            params, state = carry
            updates, state = optimizer.update({"angles": gradient}, state)
            params = optax.apply_updates(params, updates)
            return (params, state), (params["angles"], state.inverse)

        return jax.lax.scan(step, (params, optimizer.init(params)), gradients)[1]

    # the gradients of one path for both: without decay fifty steps may make a rounding error a million times larger
    gradients, wanted, inverses = dense(0.02, decay, 50, start)
    angles, found = map(np.asarray, walked(start, gradients))
    for ours, inverse in zip(found, inverses, strict=True):
        assert np.abs(ours - inverse).max() < 1e-10 * np.abs(inverse).max()
    np.testing.assert_allclose(angles, wanted, atol=1e-10)


def test_with_the_euclidean_metric_and_no_decay_it_is_adam():
    """A metric of ones and no damping leave Adam, on parameters of any shape."""
    optimizers = qbang(0.1, EuclideanMetric(), decay=0.0, damping=0.0), optax.adam(0.1)

    @jax.jit
    def walked(params):
        def step(states, k):
            grads = jax.tree.map(lambda x: jnp.sin(x + k), params)
            found = [o.update(grads, state, params) for o, state in zip(optimizers, states, strict=True)]
            return [state for _, state in found], [updates for updates, _ in found]

        return jax.lax.scan(step, [o.init(params) for o in optimizers], jnp.arange(5))[1]

    ours, adam = walked({"a": np.array([[1.0, -2.0]]), "b": np.array(0.5)})
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), ours, adam)


def test_decay_out_of_range_is_refused():
    metric = HessianMetric(lambda x: x @ x)
    for decay in (1.0, -0.1):
        with pytest.raises(ValueError, match="0 <= decay < 1"):
            qbang(0.1, metric, decay=decay)
