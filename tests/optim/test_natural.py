"""The trust region of the natural gradient: what a step may be, what a good and a bad one change."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qnat.geometry import EuclideanMetric, HessianMetric
from qnat.inference import descend
from qnat.optim import natural_gradient, proximal_newton
from qnat.quantum import LatentGibbs, ThermalTask, real, tfim

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


@eqx.filter_jit
def descended(value_and_grad, optimizer, params, measure, steps):
    """What is measured before every step, and whether it was taken."""

    def step(carry, _):
        params, state = carry
        value, grads = value_and_grad(params)
        updates, state = optimizer.update(grads, state, params, value=value, value_fn=lambda p: value_and_grad(p)[0])
        return (optax.apply_updates(params, updates), state), (measure(params), state.diagnostics.accepted)

    return jax.lax.scan(step, (params, optimizer.init(params)), None, length=steps)[1]


@pytest.mark.parametrize("curvature", [3.0, 500.0, 1e6])
def test_a_metric_that_falls_short_of_the_curvature_does_not_let_steps_circle(curvature):
    """Steps of the length of the metric overshoot by that factor: the radius shrinks with them, as far as it must."""
    weights = curvature * np.array([1.0, 0.3])

    def value(x):
        return jnp.sum(weights * x**2) / 2

    values, _ = descended(jax.value_and_grad(value), natural_gradient(1.0, EuclideanMetric()), START, value, 200)
    assert values[-1] < 1e-12 * values[0]


def cold(n, beta):
    """A thermal task whose state is nearly pure, and a start."""
    task = ThermalTask(LatentGibbs(real(n, 3), order=n), tfim(1, n), beta=beta)
    return task, task.init(jax.random.key(0))


@pytest.mark.parametrize(
    "make", [natural_gradient, pytest.param(proximal_newton, marks=pytest.mark.slow)], ids=lambda make: make.__name__
)
def test_cold_states_are_learnt(make):
    """At β = 50 eigenvalues of the metric vanish; a radius held at some length circled at D = 4e-4 for ever."""
    task, params = cold(3, 50.0)

    def measure(params):
        return task.evaluate(params)["relative_entropy"]

    found, accepted = descended(task.value_and_grad, make(1.0, task.metric("bkm")), params, measure, 100)
    assert found[-1] < (1e-6 if make is natural_gradient else 1e-5)
    assert np.mean(accepted) > 0.5


@pytest.mark.parametrize("damping", [0.0, 1e-300, 1e-18])
def test_without_damping_a_singular_metric_gives_the_step_of_least_squares(damping):
    """The angles of two qubits are more than the state has: their metric is singular, and Cholesky fails on it."""
    task, params = cold(2, 1.0)

    def measure(params):
        return task.evaluate(params)["relative_entropy"]

    optimizer = natural_gradient(1.0, task.metric("bkm"), damping=damping)
    found, accepted = descended(task.value_and_grad, optimizer, params, measure, 30)
    assert np.all(accepted[:5] == 1)
    assert found[-1] < 1e-12


@pytest.mark.parametrize(("accept", "taken"), [("fresh", [1, 1]), ("trust", [1, 0])])
def test_a_loss_that_is_drawn_anew_is_compared_within_its_own_step(accept, taken):
    """The second loss lies higher by a hundred, as another draw may."""
    optimizer = natural_gradient(1.0, HessianMetric(loss), accept=accept)

    @eqx.filter_jit
    def two_draws():
        found, params, state = [], jnp.asarray(START), optimizer.init(START)
        for offset in (0.0, 100.0):
            value, grads = jax.value_and_grad(loss)(params)
            draw = {"value": value + offset, "value_fn": lambda x, offset=offset: loss(x) + offset}
            updates, state = optimizer.update(grads, state, params, **draw)
            params = optax.apply_updates(params, updates)
            found.append((state.diagnostics.accepted, state.radius))
        return found

    accepted, radii = zip(*two_draws(), strict=True)
    assert [float(each) for each in accepted] == taken
    assert float(radii[0]) == pytest.approx(0.6)  # grows after a step that used it and was predicted well


def test_of_a_fresh_loss_damping_follows_the_gain():
    far = natural_gradient(1.0, EuclideanMetric(), trust=1e3, box=None, accept="fresh")
    (first, after), (_, later) = two_steps(far, START)
    assert (float(after.radius), float(later.radius)) == (1e3, 1e3)  # never below the first one
    np.testing.assert_array_equal(first, 0)
    assert (float(after.factor), float(later.factor)) == (2.0, 4.0)
    assert later.diagnostics.damping == pytest.approx(2 * after.diagnostics.damping)
    (step, after), _ = two_steps(natural_gradient(1.0, HessianMetric(loss), accept="fresh"), START)
    assert np.abs(step).max() > 0
    assert after.factor == 1.0


def test_a_step_is_judged_by_what_linearise_adds():
    task = ThermalTask(LatentGibbs(real(2, 1)), tfim(1, 2), 1.0)

    @eqx.filter_jit
    def accepted(height):
        def linearise(params, batch, key):
            found = task.linearise(params, batch, key)
            far = lambda trial: jnp.sum((trial["angles"] - params["angles"]) ** 2)  # noqa: E731
            return found._replace(judge=lambda trial: found.value + height * far(trial))

        process = descend(task.value_and_grad, natural_gradient(1.0), linearise=linearise)
        state = process.init(task.init(jax.random.key(0)))
        return process.step(state, None, key=jax.random.key(1))[1].scalars["accepted"]

    assert accepted(jnp.asarray(-1e3)) == 1
    assert accepted(jnp.asarray(1e3)) == 0
