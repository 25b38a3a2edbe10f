"""Approximate metrics: what they keep, when that is everything, and the laws."""

import equinox as eqx
import jax
import numpy as np
import pytest

from qnat.geometry import laws
from qnat.optim import natural_gradient
from qnat.quantum import Circuit, LatentGibbs, LatentMetric, PauliSum, PureMetric, PureState, ThermalTask
from qnat.quantum.circuits.ansatz import real
from qnat.quantum.circuits.circuit import rotation
from qnat.quantum.models import ApproximateMetric

pytestmark = pytest.mark.slow

MODEL = LatentGibbs(real(2, 2), order=2)
_normal = np.random.default_rng(0).normal
PARAMS = {"latent": _normal(scale=0.7, size=3), "angles": _normal(scale=0.7 * np.pi, size=MODEL.circuit.num_angles)}
FULL = LatentMetric(MODEL)
LAYER = real(2, 1).num_angles


def matrix(metric, params=PARAMS):
    return np.asarray(eqx.filter_jit(lambda m, p: m.at(p).as_matrix())(metric, params))


@pytest.fixture(scope="module")
def full():
    return matrix(FULL)  # angles stand before latents, in the order of their names


@pytest.mark.parametrize("blocks", ["layer", "diagonal", "latent"])
def test_they_keep_what_they_say_and_pass_the_laws(blocks, full):
    count = MODEL.circuit.num_angles
    index = np.arange(count) // LAYER
    angles = full[:count, :count]
    kept = {
        "layer": np.where(index[:, None] == index, angles, 0),
        "diagonal": np.diag(np.diag(angles)),
        "latent": np.eye(count),
    }[blocks]
    found = matrix(ApproximateMetric(FULL, blocks))
    np.testing.assert_allclose(found[:count, :count], kept, atol=1e-14)
    np.testing.assert_allclose(found[count:, count:], full[count:, count:], atol=1e-14)
    assert not found[:count, count:].any()
    laws.check_metric(ApproximateMetric(FULL, blocks), PARAMS, key=jax.random.key(1))


def test_the_layers_of_a_circuit_of_one_layer_are_all_of_it():
    model = PureState(real(2, 1))
    params = model.init(jax.random.key(2), scale=0.7)
    metric = PureMetric(model)
    np.testing.assert_allclose(matrix(ApproximateMetric(metric, "layer"), params), matrix(metric, params), atol=1e-15)


def test_the_diagonal_of_commuting_rotations_on_other_wires_is_all_of_it():
    model = PureState(Circuit(2, (rotation("X", 0), rotation("Y", 1))))
    params = model.init(jax.random.key(3), scale=0.7)
    metric = PureMetric(model)
    found = matrix(ApproximateMetric(metric, "diagonal"), params)
    np.testing.assert_allclose(found, matrix(metric, params), atol=1e-14)


def test_latent_blocks_are_classical_natural_gradient_beside_plain_descent():
    task = ThermalTask(MODEL, PauliSum.from_terms([("ZZ", -1.0), ("XI", -0.7), ("IX", -0.7)]), beta=1.3)
    value, grads = task.value_and_grad(PARAMS)
    optimizer = natural_gradient(0.2, ApproximateMetric(FULL, "latent"), damping=0.0, trust=None, box=None, accept=None)
    update = jax.jit(lambda params: optimizer.update(grads, optimizer.init(params), params, value=value)[0])
    updates, grads = jax.device_get((update(PARAMS), grads))
    np.testing.assert_allclose(updates["angles"], -0.2 * grads["angles"], atol=1e-14)
    s, p = (np.asarray(found(PARAMS["latent"])) for found in (MODEL.statistics, MODEL.log_probabilities))
    p = np.exp(p)
    fisher = (s - p @ s).T @ (p[:, None] * (s - p @ s))
    np.testing.assert_allclose(updates["latent"], -0.2 * np.linalg.solve(fisher, grads["latent"]), atol=1e-12)


def test_unknown_blocks_are_named():
    with pytest.raises(ValueError, match="'layer', 'diagonal' or 'latent'"):
        ApproximateMetric(FULL, "wire")
