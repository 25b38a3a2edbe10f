"""The trust region of the natural gradient: what a step may be, what a good and a bad one change."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qnat.geometry import EuclideanMetric, HessianMetric
from qnat.optim import natural_gradient

CURVATURE = np.array([100.0, 1.0])
START = np.array([1.0, -0.5])


def loss(x):
    return jnp.sum(CURVATURE * x**2) / 2


@eqx.filter_jit
def two_steps(optimizer, params):
    """(updates, state) of two steps; the second begins where the first one ended."""
    found, state = [], optimizer.init(params)
    for _ in range(2):
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params, value=value, value_fn=loss)
        params = optax.apply_updates(params, updates)
        found.append((updates, state))
    return jax.tree.map(jnp.asarray, found)


def test_a_step_that_raises_the_loss_is_not_taken():
    """Plain descent of rate one, a hundred times too far: halved in length, damped four times as much, tried again."""
    (first, after), (second, later) = two_steps(natural_gradient(1.0, EuclideanMetric(), trust=None, box=None), START)
    length, damping = np.linalg.norm(CURVATURE * START), float(after.diagnostics.damping)
    np.testing.assert_array_equal(first, 0)
    assert after.diagnostics.accepted == 0
    assert after.rejected == 1
    assert after.radius == pytest.approx(length / (1 + damping) / 2)
    assert later.diagnostics.damping == pytest.approx(4 * damping)
    assert later.diagnostics.radius == after.radius
    assert np.linalg.norm(second) <= after.radius


@pytest.mark.parametrize(
    ("trust", "box", "wanted"),
    [(0.3, None, 0.3), (None, 0.2, 0.2 * np.sqrt(CURVATURE @ START**2)), (0.3, 1e-3, None)],
)
def test_steps_keep_within_the_radius_and_the_box(trust, box, wanted):
    (step, after), (_, later) = two_steps(natural_gradient(1.0, HessianMetric(loss), trust=trust, box=box), START)
    step = np.asarray(step)
    length = np.sqrt(np.sum(CURVATURE * step**2))
    assert length <= (trust or np.inf) * (1 + 1e-12)
    assert np.abs(step).max() <= (box or np.inf) * (1 + 1e-12)
    if wanted is not None:
        assert length == pytest.approx(wanted, rel=1e-4)
        assert 0 < after.diagnostics.clip < 1
    # the model is exact: a step that used its radius doubles it, another leaves it alone
    assert later.diagnostics.radius == ((2 if box is None else 1) * trust if trust else np.inf)


def test_the_damping_shortens_a_step():
    (free, _), _ = two_steps(natural_gradient(1.0, HessianMetric(loss), damping=0.0, trust=None, box=None), START)
    (held, _), _ = two_steps(natural_gradient(1.0, HessianMetric(loss), damping=1.0, trust=None, box=None), START)
    np.testing.assert_allclose(free, -START, rtol=1e-12)
    np.testing.assert_allclose(held, -START * CURVATURE / (CURVATURE + 1), rtol=1e-12)
