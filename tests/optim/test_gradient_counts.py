"""What a step is said to cost is what it calls: gradients and values of the loss, metrics, divergences."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.geometry import EuclideanMetric, HessianMetric
from qnat.geometry.metric import AbstractMetric
from qnat.inference import descend
from qnat.optim import natural_gradient, qbang, qn_spsa
from qnat.quantum import LatentGibbs, LatentMetric, PauliSum, PureMetric, PureState, ThermalTask
from qnat.quantum.circuits.ansatz import real
from qnat.quantum.models import ApproximateMetric, NetworkEnergy

CURVATURE = np.diag([1.0, 2.0, 5.0])
START = np.array([0.4, -0.3, 0.7])
CALLS: collections.Counter[str] = collections.Counter()


def loss(params, batch=None, key=None):
    CALLS["loss"] += 1
    return params @ CURVATURE @ params / 2, CURVATURE @ params


def divergence(new, old):
    CALLS["divergence"] += 1
    return (new - old) @ CURVATURE @ (new - old) / 2


class Counted(AbstractMetric):
    """The Hessian of the loss, which counts how often it is evaluated."""

    def at(self, params, batch=None, *, key=None):
        CALLS["metric"] += 1
        return HessianMetric(lambda x: x @ CURVATURE @ x / 2).at(params)


def called(function, *arguments):
    """Calls of one trace, which are those of one step: nothing here stands in a loop."""
    CALLS.clear()
    jax.eval_shape(function, *arguments)
    return dict(CALLS)


def recorded(process, params, steps=3):
    """What every step says of itself."""

    @jax.jit
    def scalars(params, key):
        def step(state, key):
            state, info = process.step(state, None, key=key)
            return state, info.scalars

        return jax.lax.scan(step, process.init(params, key=key), jax.random.split(key, steps))[1]

    return jax.tree.map(np.asarray, scalars(params, jax.random.key(0)))


def test_qbang_pays_for_its_metric_once():
    process = descend(loss, qbang(0.1, Counted()))
    assert called(process.init, START) == {"metric": 1}
    assert called(lambda s: process.step(s, None), jax.eval_shape(process.init, START)) == {"loss": 1}
    assert recorded(process, START)["model_gradients"].tolist() == [3, 0, 0]
    euclidean = descend(loss, qbang(0.1, EuclideanMetric()))
    assert recorded(euclidean, START)["model_gradients"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("blocking", [True, False])
def test_qn_spsa_takes_values_only_and_counts_them(blocking):
    process = descend(loss, qn_spsa(0.1, divergence, blocking=blocking))
    state, key = jax.eval_shape(process.init, START), jax.random.key(0)
    calls = called(lambda s: process.step(s, None, key=key), state)
    found = recorded(process, START, 1)
    assert found["divergence_values"].tolist() == [calls["divergence"]] == [4]
    # the step calls the loss where it is as well, which only a step that is tried needs
    assert found["loss_values"].tolist() == [calls["loss"] - (not blocking)] == [4 if blocking else 2]
    assert "model_gradients" not in found


def test_natural_gradients_pay_a_row_a_parameter_and_nothing_for_the_identity():
    for metric, rows in ((Counted(), 3), (EuclideanMetric(), 0)):
        process = descend(loss, natural_gradient(0.1, metric, accept=None))
        calls = called(lambda s, step=process.step: step(s, None), jax.eval_shape(process.init, START))
        assert calls == {"loss": 1} | ({"metric": 1} if rows else {})
        assert recorded(process, START, 2)["model_gradients"].tolist() == [rows, rows]


LATENT = {
    "kobe": (LatentGibbs(real(2, 2), order=2), LatentMetric, 3),
    "network": (LatentGibbs(real(2, 2), NetworkEnergy(2, 3)), LatentMetric, 12),
    "pure": (PureState(real(2, 2)), PureMetric, 0),
}


@pytest.mark.parametrize("name", LATENT)
def test_blocks_that_keep_the_latent_distribution_pay_for_its_parameters(name):
    model, metric, rows = LATENT[name]
    assert ApproximateMetric(metric(model), "latent").passes() == rows
    assert ApproximateMetric(metric(model), "layer").passes() is None


def test_a_step_with_latent_blocks_says_so():
    model = LATENT["kobe"][0]
    task = ThermalTask(model, PauliSum.from_terms([("ZZ", -1.0), ("XI", -0.7)]), beta=1.0)
    params = jax.tree.map(jnp.zeros_like, jax.eval_shape(lambda: model.init(jax.random.key(0))))
    for blocks, rows in (("latent", 3), ("diagonal", 3 + model.circuit.num_angles)):
        process = descend(task.value_and_grad, natural_gradient(0.1, ApproximateMetric(task.metric(), blocks)))
        assert recorded(process, params, 1)["model_gradients"].tolist() == [rows]
