"""Running metrics: what is averaged, when the inverse is renewed, and the golden directions of K-FAC and FOOF."""

import json
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classical.methods.fisher import KroneckerFisher
from classical.methods.wake_sleep import HelmholtzFisher
from classical.models.helmholtz import HelmholtzMachine
from classical.models.network import Layer, Network
from qnat.geometry.families import Categorical
from qnat.geometry.kronecker import factored_inverse
from qnat.geometry.structured import exact_inverse
from qnat.optim.running import scale_by_running_metric

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "kfac_tiny.json").read_text())
NETWORK = Network(2, (Layer(2), Layer(3, "linear")), Categorical())
WEIGHTS = [np.array(GOLDEN["W1"]), np.array(GOLDEN["W2"])]
BATCH = np.array(GOLDEN["X"]), np.eye(3)[GOLDEN["y"]]
KFAC = KroneckerFisher(NETWORK, "exact")


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize(
    ("name", "metric", "options"),
    [
        ("kfac_std_damped_update", KFAC, {}),
        ("kfac_update", KFAC, {"inverter": factored_inverse}),
        ("foof_update", KroneckerFisher(NETWORK, outputs=False), {}),
    ],
)
def test_pi_damping_golden(name, metric, options):
    """With a memory and without one: the first operator counts whole."""

    @jax.jit
    def first(weights, batch, key):
        gradient, found = jax.grad(NETWORK.loss)(weights, *batch), []
        for memory in (None, 0.95):
            transform = scale_by_running_metric(metric, damping=GOLDEN["lam"], memory=memory, **options)
            found.append(transform.update(gradient, transform.init(weights), weights, batch=batch, key=key)[0])
        return found

    for found in first(WEIGHTS, BATCH, jax.random.key(0)):
        for one, wanted in zip(found, GOLDEN[name], strict=True):
            np.testing.assert_allclose(np.negative(one), wanted, rtol=1e-11)  # stored are descents


def test_foof_is_kfac_with_identity_G():
    @jax.jit
    def blocks(weights, batch):
        foof = KroneckerFisher(NETWORK, outputs=False).at(weights, batch)
        return [block.as_matrix() for block in foof.leaves()], [(b.G, b.A) for b in KFAC.at(weights, batch).leaves()]

    for ours, (G, A) in zip(*blocks(WEIGHTS, BATCH), strict=True):
        np.testing.assert_array_equal(ours, np.kron(np.eye(len(G)), A))


def test_inverses_are_renewed_in_the_warm_up_and_then_on_time():
    transform = scale_by_running_metric(KFAC, damping=0.1, memory=0.5, refresh=4, warm_up=2)

    @jax.jit
    def sums(weights, batch, key):
        gradient = jax.grad(NETWORK.loss)(weights, *batch)

        def step(state, k):
            here = [w * (1 + 0.1 * k) for w in weights]
            _, state = transform.update(gradient, state, here, batch=batch, key=key)
            return state, state.inverses[1].values.sum()

        return jax.lax.scan(step, transform.init(weights), jnp.arange(9))[1]

    seen = np.asarray(sums(WEIGHTS, BATCH, jax.random.key(0)))
    changed = [step for step in range(1, 9) if seen[step] != seen[step - 1]]
    assert changed == [1, 4, 8]


@pytest.mark.slow
def test_the_average_starts_with_the_first_operator_and_forgets():
    transform = scale_by_running_metric(KFAC, memory=0.5)

    @jax.jit
    def second_factors(weights, batch, key):
        """Of the average after four steps, and of the operator of every step."""

        def step(state, k):
            here = [w * (1 + 0.3 * k) for w in weights]
            _, state = transform.update(weights, state, here, batch=batch, key=key)
            return state, KFAC.at(here, batch).leaves()[1].A

        state, each = jax.lax.scan(step, transform.init(weights), jnp.arange(4))
        return state.operator.leaves()[1].A, each

    found, each = second_factors(WEIGHTS, BATCH, jax.random.key(0))
    average = 0
    for step, new in enumerate(np.asarray(each)):
        kept = min(1 - 1 / (step + 1), 0.5)
        average = kept * average + (1 - kept) * new
    np.testing.assert_allclose(found, average, rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("items", [2, 16])
def test_without_memory_the_newest_metric_counts(items):
    machine = HelmholtzMachine((6, 4, 2))
    metric = HelmholtzFisher(machine, items, samples=1)
    transform = scale_by_running_metric(metric, damping=0.2, memory=None, refresh=3, warm_up=0)

    @jax.jit
    def described(params, x, key, later):
        found, state = transform.update(params, transform.init(params), params, batch=x, key=key)
        again, _ = transform.update(params, state, params, batch=x, key=later)
        return found, again, metric.at(params, x, key=key).as_matrix()

    params = machine.init(jax.random.key(1))
    found, again, matrix = described(params, np.ones((items, 6)), jax.random.key(2), jax.random.key(3))
    wanted = np.linalg.solve(matrix + 0.2 * np.eye(len(matrix)), flat(params))
    np.testing.assert_allclose(flat(found), wanted, rtol=1e-10)
    np.testing.assert_array_equal(flat(again), flat(found))


@pytest.mark.parametrize("inverter", [exact_inverse, factored_inverse])
def test_single_precision_stays_single(inverter):
    transform = scale_by_running_metric(KFAC, damping=0.1, inverter=inverter)

    @jax.jit
    def step(weights, batch, state):
        return transform.update(jax.grad(NETWORK.loss)(weights, *batch), state, weights, batch=batch)

    found = {}
    for dtype in (np.float32, np.float64):
        weights, batch = jax.tree.map(lambda leaf, dtype=dtype: leaf.astype(dtype), (WEIGHTS, BATCH))
        state = eqx.filter_jit(transform.init)(weights)
        for _ in range(2):
            found[dtype], state = step(weights, batch, state)
    for one, other in zip(found[np.float32], found[np.float64], strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="refresh = 0"):
        scale_by_running_metric(KFAC, refresh=0)
    with pytest.raises(ValueError, match="at least 0; got -1"):
        scale_by_running_metric(KFAC, damping=-1)
