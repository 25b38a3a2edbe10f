"""Steps that end inside a domain."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qnat.geometry import EuclideanMetric
from qnat.optim import laws, natural_gradient, projected, with_rate


def inside(x):
    return jnp.maximum(x, 0.5)


def test_a_projected_optimizer_keeps_its_promises():
    optimizer = projected(with_rate(optax.identity(), 0.4), inside)
    laws.check_optimizer(
        optimizer, lambda x: jnp.sum((x - np.array([-1.0, 2.0])) ** 2), jnp.array([3.0, 1.0]), minimum=2.25
    )


def test_a_trial_is_judged_where_it_ends():
    """Outside the domain the loss is NaN, which would reject the step."""
    optimizer = projected(natural_gradient(1.0, EuclideanMetric(), damping=0.0, trust=None, box=None), inside)

    def loss(x):
        return jnp.where(jnp.all(x >= 0.5), jnp.sum((x + 3) ** 2), jnp.nan)

    @jax.jit
    def step(x):
        value, gradient = jax.value_and_grad(loss)(x)
        updates, state = optimizer.update(gradient, optimizer.init(x), x, value=value, value_fn=loss)
        return optax.apply_updates(x, updates), state.diagnostics.accepted

    found, accepted = step(jnp.array([1.0, 2.0]))
    assert accepted == 1
    np.testing.assert_array_equal(found, [0.5, 0.5])


def test_it_wants_the_parameters():
    optimizer = projected(optax.sgd(0.1), inside)
    with pytest.raises(ValueError, match="projected looks where a step ends; pass params="):
        optimizer.update(np.ones(2), optimizer.init(np.ones(2)))
