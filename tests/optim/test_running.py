"""Running metrics: what is averaged, when the inverse is renewed, and the golden directions of K-FAC and FOOF."""

import json
import pathlib

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
WEIGHTS = [jnp.array(GOLDEN["W1"]), jnp.array(GOLDEN["W2"])]
BATCH = jnp.array(GOLDEN["X"]), jnp.eye(3)[jnp.array(GOLDEN["y"])]
KFAC = KroneckerFisher(NETWORK, "exact")


def first(transform):
    gradient = jax.grad(NETWORK.loss)(WEIGHTS, *BATCH)
    return transform.update(gradient, transform.init(WEIGHTS), WEIGHTS, batch=BATCH, key=jax.random.key(0))[0]


@pytest.mark.parametrize(
    ("name", "metric", "options"),
    [
        ("kfac_std_damped_update", KFAC, {}),
        ("kfac_update", KFAC, {"inverter": factored_inverse}),
        ("foof_update", KroneckerFisher(NETWORK, outputs=False), {}),
    ],
)
@pytest.mark.parametrize("memory", [None, 0.95])
def test_pi_damping_golden(name, metric, options, memory):
    found = first(scale_by_running_metric(metric, damping=GOLDEN["lam"], memory=memory, **options))
    for one, wanted in zip(found, GOLDEN[name], strict=True):
        np.testing.assert_allclose(-one, wanted, rtol=1e-11)  # stored are descents


def test_foof_is_kfac_with_identity_G():
    operator = KFAC.at(WEIGHTS, BATCH)
    foof = KroneckerFisher(NETWORK, outputs=False).at(WEIGHTS, BATCH)
    for ours, theirs in zip(foof.leaves(), operator.leaves(), strict=True):
        np.testing.assert_array_equal(ours.as_matrix(), np.kron(np.eye(len(theirs.G)), theirs.A))


def test_inverses_are_renewed_in_the_warm_up_and_then_on_time():
    transform = scale_by_running_metric(KFAC, damping=0.1, memory=0.5, refresh=4, warm_up=2)
    state, seen = transform.init(WEIGHTS), []
    gradient = jax.grad(NETWORK.loss)(WEIGHTS, *BATCH)
    for step in range(9):
        weights = [w * (1 + 0.1 * step) for w in WEIGHTS]
        _, state = transform.update(gradient, state, weights, batch=BATCH, key=jax.random.key(0))
        seen.append(float(state.inverses[1].values.sum()))
    changed = [step for step in range(1, 9) if seen[step] != seen[step - 1]]
    assert changed == [1, 4, 8]


@pytest.mark.slow
def test_the_average_starts_with_the_first_operator_and_forgets():
    transform = scale_by_running_metric(KFAC, memory=0.5)
    state, average = transform.init(WEIGHTS), None
    for step in range(4):
        weights = [w * (1 + 0.3 * step) for w in WEIGHTS]
        _, state = transform.update(WEIGHTS, state, weights, batch=BATCH, key=jax.random.key(0))
        new = KFAC.at(weights, BATCH).leaves()[0].A, KFAC.at(weights, BATCH).leaves()[1].A
        kept = min(1 - 1 / (step + 1), 0.5)
        average = (
            new if average is None else tuple(kept * a + (1 - kept) * b for a, b in zip(average, new, strict=True))
        )
    np.testing.assert_allclose(state.operator.leaves()[1].A, average[1], rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("items", [2, 16])
def test_without_memory_the_newest_metric_counts(items):
    machine = HelmholtzMachine((6, 4, 2))
    params = machine.init(jax.random.key(1))
    metric = HelmholtzFisher(machine, items, samples=1)
    x, key = jnp.ones((items, 6)), jax.random.key(2)
    transform = scale_by_running_metric(metric, damping=0.2, memory=None, refresh=3, warm_up=0)
    found, state = transform.update(params, transform.init(params), params, batch=x, key=key)
    matrix = metric.at(params, x, key=key).as_matrix()
    flat = jax.flatten_util.ravel_pytree
    wanted = jnp.linalg.solve(matrix + 0.2 * jnp.eye(len(matrix)), flat(params)[0])
    np.testing.assert_allclose(flat(found)[0], wanted, rtol=1e-10)
    again, _ = transform.update(params, state, params, batch=x, key=jax.random.key(3))
    np.testing.assert_array_equal(flat(again)[0], flat(found)[0])


@pytest.mark.parametrize("inverter", [exact_inverse, factored_inverse])
def test_single_precision_stays_single(inverter):
    weights, batch = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (WEIGHTS, BATCH))
    transform = scale_by_running_metric(KFAC, damping=0.1, inverter=inverter)
    gradient = jax.grad(NETWORK.loss)(weights, *batch)
    step = jax.jit(lambda g, s: transform.update(g, s, weights, batch=batch))
    state = transform.init(weights)
    for _ in range(2):
        found, state = step(gradient, state)
    wanted = transform.update(jax.grad(NETWORK.loss)(WEIGHTS, *BATCH), transform.init(WEIGHTS), WEIGHTS, batch=BATCH)[0]
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="refresh = 0"):
        scale_by_running_metric(KFAC, refresh=0)
    with pytest.raises(ValueError, match="at least 0; got -1"):
        scale_by_running_metric(KFAC, damping=-1)
