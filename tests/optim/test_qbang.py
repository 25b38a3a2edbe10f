"""qBang: its inverse is the inverse, and without decay it is Adam's step in a fixed metric."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qnat.geometry import EuclideanMetric, HessianMetric
from qnat.optim import qbang
from qnat.quantum import PauliSum, PureMetric, PureState
from qnat.quantum.ansatz import real

pytestmark = pytest.mark.slow

MODEL = PureState(real(3, 2))
START = MODEL.init(jax.random.key(0), scale=0.5)
HAMILTONIAN = PauliSum.from_terms([("ZZI", -1.0), ("IZZ", -1.0), ("XII", -0.8), ("IXI", -0.8), ("IIX", -0.8)])


@jax.jit
def gradient(angles):
    return jax.grad(lambda a: MODEL.energy({"angles": a}, HAMILTONIAN))(angles)


def dense(rate, decay, steps, damping=1e-2):
    """The update rules with the metric itself, inverted anew in every step."""
    angles = np.asarray(START["angles"])
    B = np.asarray(PureMetric(MODEL).at(START).as_matrix()) + damping * np.eye(len(angles))
    m, v, path = np.zeros_like(angles), np.zeros_like(angles), []
    for k in range(steps):
        g = np.asarray(gradient(angles))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        p = m / (1 - 0.9 ** (k + 1)) / (np.sqrt(v / (1 - 0.999 ** (k + 1))) + 1e-8)
        angles = angles - rate * (k + 1) ** -decay * np.linalg.solve(B, p)
        B = (1 - decay / (k + 1)) * B + decay / (k + 1) * np.outer(g, g)
        path.append((angles, np.linalg.inv(B)))
    return path


@pytest.mark.parametrize("decay", [0.2, 0.0])
def test_fifty_steps_equal_those_with_the_metric_inverted_anew(decay):
    """Without decay, B is the metric of the start in every step: its natural gradient, of Adam's direction."""
    optimizer = qbang(0.02, PureMetric(MODEL), decay=decay, damping=1e-2)
    params, state = START, optimizer.init(START)
    update = eqx.filter_jit(optimizer.update)
    for angles, inverse in dense(0.02, decay, 50):
        updates, state = update({"angles": gradient(params["angles"])}, state)
        params = optax.apply_updates(params, updates)
        assert np.abs(state.inverse - inverse).max() < 1e-10 * np.abs(inverse).max()
        np.testing.assert_allclose(params["angles"], angles, atol=1e-10)


def test_with_the_euclidean_metric_and_no_decay_it_is_adam():
    """A metric of ones and no damping leave Adam, on parameters of any shape."""
    params = {"a": jnp.array([[1.0, -2.0]]), "b": jnp.array(0.5)}
    ours, adam = qbang(0.1, EuclideanMetric(), decay=0.0, damping=0.0), optax.adam(0.1)
    state, reference = ours.init(params), adam.init(params)
    for k in range(5):
        grads = jax.tree.map(lambda x, k=k: jnp.sin(x + k), params)
        updates, state = ours.update(grads, state, params)
        wanted, reference = adam.update(grads, reference, params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), updates, wanted)


def test_decay_out_of_range_is_refused():
    metric = HessianMetric(lambda x: x @ x)
    for decay in (1.0, -0.1):
        with pytest.raises(ValueError, match="0 <= decay < 1"):
            qbang(0.1, metric, decay=decay)
