"""Fisher matrices of networks against stored ones, enumeration and each other."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classical.methods.fisher import FisherMetric, KroneckerFisher, OuterProductFisher
from classical.models.network import Layer, Network
from qnat.geometry import laws
from qnat.geometry.families import Bernoulli, Categorical, Normal

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "kfac_tiny.json").read_text())
NETWORK = Network(2, (Layer(2), Layer(3, "linear")), Categorical())
WEIGHTS = [jnp.array(GOLDEN["W1"]), jnp.array(GOLDEN["W2"])]
X, Y = jnp.array(GOLDEN["X"]), jnp.eye(3)[jnp.array(GOLDEN["y"])]

PICTURES = jax.random.normal(jax.random.key(1), (6, 32))
CONVOLUTION = Network(
    (2, 4, 4), (Layer(3, "tanh", kernel=2), Layer(2, "relu", kernel=2, stride=1), Layer(4, "linear")), Bernoulli()
)


def test_golden_gradient():
    for found, wanted in zip(jax.grad(NETWORK.loss)(WEIGHTS, X, Y), GOLDEN["grads"], strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-15)


def test_golden_factors():
    blocks = KroneckerFisher(NETWORK, targets="exact").at(WEIGHTS, (X, Y)).leaves()
    for block, A, G in zip(blocks, GOLDEN["A"], GOLDEN["G"], strict=True):
        np.testing.assert_allclose(block.A, A, atol=1e-15)
        np.testing.assert_allclose(block.G, G, atol=1e-15)


def test_golden_exact_and_empirical_fisher():
    found = FisherMetric(NETWORK).at(WEIGHTS, (X, Y)).as_matrix()
    np.testing.assert_allclose(found, GOLDEN["F_exact"], atol=1e-15)
    found = OuterProductFisher(NETWORK, "data").at(WEIGHTS, (X, Y)).as_matrix()
    np.testing.assert_allclose(found, GOLDEN["F_empirical"], atol=1e-15)


@pytest.mark.parametrize("network", [NETWORK, CONVOLUTION])
def test_metrics_obey_the_laws(network):
    x = X if network is NETWORK else PICTURES
    params = network.init(jax.random.key(2))
    y = jnp.zeros((len(x), network.layers[-1].units))
    for metric in (FisherMetric(network), OuterProductFisher(network), KroneckerFisher(network)):
        laws.check_metric(metric, params, batch=(x, y), key=jax.random.key(3))


def test_rows_of_a_convolution_are_its_gradients():
    params, y = CONVOLUTION.init(jax.random.key(4)), jnp.ones((6, 4))
    rows = OuterProductFisher(CONVOLUTION, "data").at(params, (PICTURES, y)).rows
    single = jax.vmap(jax.grad(CONVOLUTION.loss), in_axes=(None, 0, 0))(params, PICTURES[:, None], y[:, None])
    for layer in range(3):
        found = rows.combine(jnp.eye(6)[2])[layer]
        np.testing.assert_allclose(found, single[layer][2], atol=1e-14)


def test_a_convolution_of_the_whole_picture_is_a_dense_layer():
    whole = Network((2, 4, 4), (Layer(3, "tanh", kernel=4), Layer(2, "linear")), Normal())
    dense = Network(32, (Layer(3, "tanh"), Layer(2, "linear")), Normal())
    params = dense.init(jax.random.key(5))
    y = jnp.ones((6, 2))
    np.testing.assert_allclose(whole(params, PICTURES), dense(params, PICTURES), atol=1e-14)
    for a, b in zip(
        *(KroneckerFisher(n, "data").at(params, (PICTURES, y)).leaves() for n in (whole, dense)), strict=True
    ):
        np.testing.assert_allclose(a.as_matrix(), b.as_matrix(), atol=1e-14)


def test_kfac_linear_gaussian_exact():
    # one linear layer, least squares: G = 1 and independent of the features
    linear = Network(3, (Layer(2, "linear"),), Normal())
    x = jax.random.normal(jax.random.key(6), (7, 3))
    params = linear.init(jax.random.key(7))
    batch = (x, jnp.zeros((7, 2)))
    wanted = FisherMetric(linear).at(params, batch).as_matrix()
    for metric in (KroneckerFisher(linear, "exact"), KroneckerFisher(linear, outputs=False)):
        np.testing.assert_allclose(metric.at(params, batch).as_matrix(), wanted, atol=1e-14)


def test_mc_fisher_rate():
    # the error of the Monte Carlo Fisher falls as one over the root of the draws
    network = Network(6, (Layer(4), Layer(3, "linear")), Categorical())
    x = jax.random.normal(jax.random.key(8), (60, 6))
    params = network.init(jax.random.key(9))
    exact = FisherMetric(network).at(params, (x, None)).as_matrix()

    @jax.jit
    def draw(key):
        return OuterProductFisher(network).at(params, (x, None), key=key).as_matrix()

    draws = jax.lax.map(draw, jax.random.split(jax.random.key(10), 256))
    errors = [
        float(jnp.mean(jnp.linalg.norm(draws.reshape(-1, s, *exact.shape).mean(1) - exact, axis=(1, 2))))
        for s in (1, 16, 256)
    ]
    assert 3.0 < errors[0] / errors[1] < 5.3
    assert 2.5 < errors[1] / errors[2] < 6.5


def test_the_empirical_fisher_is_another_matrix():
    network = Network(6, (Layer(4), Layer(3, "linear")), Categorical())
    x = jax.random.normal(jax.random.key(8), (400, 6))
    params = network.init(jax.random.key(9))
    y = jnp.eye(3)[jax.random.randint(jax.random.key(11), (400,), 0, 3)]
    exact = FisherMetric(network).at(params, (x, y)).as_matrix()
    empirical = OuterProductFisher(network, "data").at(params, (x, y)).as_matrix()
    assert float(jnp.linalg.norm(empirical - exact) / jnp.linalg.norm(exact)) > 0.3
