"""QN-SPSA: the mean over all signs is the gradient and the metric, and the steps are those of PennyLane."""

import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pennylane as qml
import pytest

from qnat.geometry import HessianMetric, relative_entropy
from qnat.optim import qn_spsa
from qnat.optim.spsa import directions, spsa_gradient, spsa_metric
from qnat.quantum import Circuit, GibbsFamily, PauliSum, PureMetric, PureState
from qnat.quantum.circuits.circuit import rotation

pytestmark = pytest.mark.slow

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
STORED = json.loads((GOLDEN / "limits.json").read_text())["spsa_metric"]
BKM = np.array(json.loads((GOLDEN / "metrics_qhbm.json").read_text())["metrics"]["BKM"])
rng = np.random.default_rng(3)
ROOT = rng.normal(size=(3, 3))
METRIC = ROOT @ ROOT.T
POINT = np.array([0.4, -0.3, 0.7])
SIGNS = np.array(list(itertools.product([1.0, -1.0], repeat=3)))
FAMILY = GibbsFamily(PauliSum.from_strings(["XI", "ZZ", "IY"]))
RELATIVE_ENTROPY = FAMILY.relative_entropy


def mean_metrics(divergence, steps, point=POINT, signs=SIGNS):
    """E[Ĝ] at every step, exactly: over all pairs of sign vectors."""
    pairs = np.array(list(itertools.product(signs, signs)))

    @jax.jit
    def mean(step):
        return jax.lax.map(lambda pair: spsa_metric(divergence, point, pair[0], pair[1], step), pairs).mean(0)

    return [np.asarray(mean(np.asarray(step))) for step in steps]


def mean_gradients(value_fn, steps):
    @jax.jit
    def mean(step):
        return jax.vmap(lambda h: spsa_gradient(value_fn, POINT, h, step))(SIGNS).mean(0)

    return [np.asarray(mean(np.asarray(step))) for step in steps]


def test_the_mean_metric_of_the_relative_entropy_is_bkm_to_second_order():
    wanted = np.asarray(jax.jit(lambda theta: HessianMetric(FAMILY.mirror).at(theta).as_matrix())(POINT))
    coarse, fine = (np.abs(m - wanted).max() for m in mean_metrics(RELATIVE_ENTROPY, (0.04, 0.02)))
    assert fine < 1e-3
    assert coarse / fine == pytest.approx(4, rel=0.05)


def test_the_mean_gradient_is_the_gradient_to_second_order():
    def loss(x):
        return jnp.sin(x[0]) * jnp.exp(x[1]) + x[2] ** 3

    wanted = np.asarray(jax.jit(jax.grad(loss))(POINT))
    coarse, fine = (np.abs(g - wanted).max() for g in mean_gradients(loss, (0.04, 0.02)))
    assert fine < 2e-3
    assert coarse / fine == pytest.approx(4, rel=0.01)
    (exact,) = mean_gradients(lambda x: x @ METRIC @ x, (0.1,))
    np.testing.assert_allclose(exact, 2 * METRIC @ POINT, atol=1e-13)


@jax.jit
def stored_moments():
    """Mean and standard deviation of Ĝ over all 2¹⁴ pairs of signs, D = (v − v₀)ᵀ BKM (v − v₀)/2."""
    signs = jnp.array(list(itertools.product([1.0, -1.0], repeat=len(BKM))))
    samples = jax.vmap(lambda h: jax.vmap(lambda k: stored_draw(h, k))(signs))(signs)
    return samples.mean((0, 1)), samples.std((0, 1))


def stored_draw(first, second):
    return spsa_metric(lambda new, old: (new - old) @ BKM @ (new - old) / 2, jnp.ones(7), first, second, jnp.ones(()))


def test_the_mean_metric_of_a_quadratic_is_its_hessian():
    """Of the stored run the draws are not kept; its largest error is one that 6000 draws make."""
    mean, deviation = stored_moments()
    np.testing.assert_allclose(mean, BKM, atol=1e-10)
    assert STORED["max_abs_err"] < STORED["max_zscore"] * np.max(deviation) / np.sqrt(STORED["draws"])


def test_sampled_metrics_scatter_around_it_within_four_standard_errors():
    def one(step):
        return stored_draw(*directions(jax.random.key(0), step, 7, float)[1:])

    samples = np.asarray(jax.jit(jax.vmap(one))(jnp.arange(STORED["draws"])))
    z = (samples.mean(0) - BKM) / (np.asarray(stored_moments()[1]) / np.sqrt(len(samples)))
    assert 0.5 < np.abs(z).max() < 4


PAIR = PureState(Circuit(2, (rotation("X", 0), rotation("Y", 1, controls=(0,)))))
ZZ = PauliSum.from_strings(["ZZ"])


def cost(angles):
    return PAIR.energy({"angles": angles}, ZZ)


def half_infidelity(new, old):
    return PAIR.infidelity({"angles": new}, {"angles": old}) / 2


def walk(optimizer, angles, key, steps):
    """Angles of every step, and what the optimiser says of it."""

    def step(carry, _):
        angles, state = carry
        value = cost(angles)
        updates, state = optimizer.update(jnp.zeros(2), state, angles, value=value, value_fn=cost, key=key)
        return (optax.apply_updates(angles, updates), state), (angles, value, state.diagnostics)

    return jax.lax.scan(step, (angles, optimizer.init(angles)), None, length=steps)[1]


class Replay:
    """PennyLane's source of signs, fed with ours: one vector for the gradient, then two for the metric."""

    def __init__(self, key, steps):
        rows = jax.jit(jax.vmap(lambda k: directions(key, k, 2, float)))(np.arange(steps))
        self.rows = iter(np.concatenate(rows))

    def choice(self, values, size):
        return next(self.rows).reshape(size)


@pytest.mark.parametrize("blocking", [True, False])
def test_steps_are_those_of_pennylane(blocking):
    """With a large rate, so that steps are blocked; without blocking, so that they are not."""
    key, start, steps, rate = jax.random.key(5), [0.9, 1.3], 25, 0.6 if blocking else 0.1
    circuit = qml.QNode(
        lambda t: (qml.RX(t[0], wires=0), qml.CRY(t[1], wires=[0, 1]), qml.expval(qml.Z(0) @ qml.Z(1)))[-1],
        qml.device("default.qubit", wires=2),
    )
    theirs = qml.QNSPSAOptimizer(stepsize=rate, blocking=blocking)
    theirs.rng = Replay(key, steps)
    point, wanted = qml.numpy.array(start), []
    for _ in range(steps):
        wanted.append(np.array(point))
        point, _ = theirs.step_and_cost(circuit, point)
    ours = qn_spsa(rate, half_infidelity, blocking=blocking)
    path, _, diagnostics = jax.jit(lambda start, key: walk(ours, start, key, steps))(np.array(start), key)
    np.testing.assert_allclose(path, wanted, atol=1e-8)
    assert (np.min(diagnostics.accepted) == 0) == blocking


def test_the_example_of_pennylane_ends_where_theirs_does():
    """RX and CRY under ⟨ZZ⟩ with rate 0.05, from near the maximum: about −0.998 after 50 steps."""
    keys = jax.random.split(jax.random.key(1), 8)
    _, values, _ = jax.jit(jax.vmap(lambda key: walk(qn_spsa(0.05, half_infidelity), jnp.array([0.1, 0.4]), key, 51)))(
        keys
    )
    values = np.asarray(values)
    assert np.all(values[:, 0] > 0.98)
    assert np.median(values[:, 50]) < -0.998


def test_the_infidelity_gives_the_metric_of_pure_states():
    """The Hessian of 1 − F is half the quantum Fisher information, so that of (1 − F)/2 is a quarter, Fubini–Study."""
    angles = np.array([0.7, 1.1])
    wanted = np.asarray(jax.jit(lambda angles: PureMetric(PAIR).at({"angles": angles}).as_matrix())(angles)) / 4
    coarse, fine = (
        np.abs(m - wanted).max() for m in mean_metrics(half_infidelity, (0.04, 0.02), angles, SIGNS[::2, :2])
    )
    assert fine < 1e-3
    assert coarse / fine == pytest.approx(4, rel=0.05)


def test_mixed_states_learn_with_the_relative_entropy():
    """A Gibbs family finds its data by function values alone."""
    data = np.array([0.8, -0.5, 0.3])

    def loss(theta):
        return relative_entropy(FAMILY.log_density(data), FAMILY.log_density(theta))

    optimizer = qn_spsa(0.2, RELATIVE_ENTROPY)

    @jax.jit
    def losses(theta, key):
        """At the start and after 100 steps."""

        def step(carry, _):
            theta, state = carry
            updates, state = optimizer.update(theta, state, theta, value=loss(theta), value_fn=loss, key=key)
            return (theta + updates, state), None

        (last, _), _ = jax.lax.scan(step, (theta, optimizer.init(theta)), None, length=100)
        return loss(theta), loss(last)

    before, after = map(float, losses(np.zeros(3), jax.random.key(2)))
    assert after < 1e-4 * before


def test_missing_arguments_are_named():
    optimizer = qn_spsa(0.1, RELATIVE_ENTROPY)
    state = jax.eval_shape(optimizer.init, POINT)
    with pytest.raises(ValueError, match="key="):
        optimizer.update(POINT, state, POINT, value=np.zeros(()), value_fn=jnp.sum)
    with pytest.raises(ValueError, match="value_fn="):
        optimizer.update(POINT, state, POINT, key=jax.random.key(0))
