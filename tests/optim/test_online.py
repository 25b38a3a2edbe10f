"""Online natural gradient: one step against the formula; its statistics are in tests/statistical."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.geometry import HessianMetric, LogTraceExp
from qnat.optim.online import online_natural_gradient
from qnat.quantum import PauliSum

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("radius", [2.0, 0.3])
def test_a_step_is_that_of_the_formula(radius):
    mirror = LogTraceExp(PauliSum.from_strings(["XI", "ZZ", "IY", "YY"]).matrices())
    theta = jnp.array([0.3, -0.2, 0.5, 0.1])
    x = jnp.array([1.0, -1.0, 1.0, -1.0])
    found = online_natural_gradient(
        mirror, lambda key: x, theta, steps=1, replicas=3, offset=10.0, radius=radius, key=jax.random.key(0)
    )
    fisher = HessianMetric(mirror).at(theta).as_matrix()
    wanted = theta - jnp.linalg.solve(fisher, mirror.to_dual(theta) - x) / 10
    wanted = wanted * jnp.minimum(1, radius / jnp.linalg.norm(wanted))
    np.testing.assert_allclose(found, np.tile(wanted, (3, 1)), atol=1e-13)


def test_every_replica_and_every_step_draws_anew():
    mirror = LogTraceExp(PauliSum.from_strings(["X"]).matrices())

    def draw(key):
        return jax.random.rademacher(key, (1,), float)

    def run(steps):
        start = jnp.array([0.2])
        return online_natural_gradient(mirror, draw, start, steps=steps, replicas=64, key=jax.random.key(0))

    assert set(np.sign(run(1)[:, 0] - 0.2)) == {-1.0, 1.0}
    assert len(np.unique(run(8).round(12))) > 16
