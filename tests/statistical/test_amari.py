"""Fisher efficiency of the online natural gradient in regression: 400 runs of 3000 steps, an item each."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qnat.geometry import HessianMetric
from qnat.optim import natural_gradient

pytestmark = pytest.mark.slow

STEPS, REPLICAS = 3000, 400
TRUTH = np.array([0.5, -0.5, 0.3])
_MIX = np.array([[2.0, 0.0, 0.0], [1.6, 1.0, 0.0], [1.0, -0.6, 0.4]])
INPUTS = np.random.default_rng(0).normal(size=(32, 3)) @ _MIX.T  # correlated, and equally likely


def potential(theta):
    """The mean log-partition of logistic regression, whose Hessian is Fisher's matrix of one item (x, y)."""
    return jnp.mean(jax.nn.softplus(INPUTS @ theta))


def final(transform):
    """Parameters of every replica after the last step, from zero."""

    def one(key):
        def step(carry, key):
            theta, state = carry
            which, label = jax.random.split(key)
            x = jnp.asarray(INPUTS)[jax.random.randint(which, (), 0, len(INPUTS))]
            y = jax.random.bernoulli(label, jax.nn.sigmoid(x @ TRUTH))
            change, state = transform.update((jax.nn.sigmoid(x @ theta) - y) * x, state, theta)
            return (optax.apply_updates(theta, change), state), None

        return jax.lax.scan(step, (0 * TRUTH, transform.init(TRUTH)), jax.random.split(key, STEPS))[0][0]

    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), REPLICAS))


def inefficiency(transform):
    """T·Tr F E[(θ − θ*)(θ − θ*)ᵀ]/d, which is one at the Cramér–Rao bound."""
    fisher = HessianMetric(potential).at(TRUTH).as_matrix()
    assert np.linalg.cond(fisher) > 100
    errors = final(transform) - TRUTH
    return STEPS * float(jnp.mean(jnp.sum((errors @ fisher) * errors, axis=1))) / 3


def test_amari_efficiency():
    natural = natural_gradient(
        lambda step: 1 / (step + 20), HessianMetric(potential), damping=0.0, trust=None, box=None, accept=None
    )
    assert 0.9 < inefficiency(natural) < 1.12


def test_plain_stochastic_gradients_are_not_efficient():
    assert inefficiency(optax.sgd(lambda step: 10 / (step + 20))) > 2
