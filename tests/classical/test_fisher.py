"""Fisher matrices of networks against stored ones, enumeration and each other."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from classical.methods.fisher import FisherMetric, KroneckerFisher, OuterProductFisher
from classical.models.network import Layer, Network
from qnat.geometry import laws
from qnat.geometry.families import Bernoulli, Categorical, Normal
from qnat.geometry.structured import OuterProducts, Rows
from qnat.optim import natural_gradient

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


@pytest.mark.slow
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


def test_the_moments_of_a_part_of_a_batch():
    linear = Network(3, (Layer(2, "linear"),), Normal())
    x, y = jax.random.normal(jax.random.key(6), (7, 3)), jax.random.normal(jax.random.key(7), (7, 2))
    params = linear.init(jax.random.key(8))
    for outputs in (True, False):
        part = KroneckerFisher(linear, "data", outputs, items=4).at(params, (x, y))
        whole = KroneckerFisher(linear, "data", outputs).at(params, (x[:4], y[:4]))
        jax.tree.map(np.testing.assert_array_equal, part, whole)


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


@pytest.mark.parametrize("case", ["dense", "convolution"])
def test_subsampled_ng_woodbury(case):
    # the default solver inverts by Woodbury's identity, and the step is that of the dense matrix
    network, x = (NETWORK, X) if case == "dense" else (CONVOLUTION, PICTURES)
    params, damping = (WEIGHTS, GOLDEN["lam"]) if case == "dense" else (network.init(jax.random.key(4)), 0.05)
    y = Y if case == "dense" else jax.random.bernoulli(jax.random.key(12), 0.5, (6, 4)).astype(float)
    gradient = jax.grad(network.loss)(params, x, y)
    kronecker = [KroneckerFisher(network, "data")] if case == "dense" else []
    for metric in (OuterProductFisher(network), *kronecker):
        transform = natural_gradient(1.0, metric, damping=damping, trust=None, box=None, accept=None)
        key = jax.random.key(13)
        change, matrix = jax.jit(
            lambda g, metric=metric, transform=transform, key=key: (
                transform.update(g, transform.init(params), params, batch=(x, y), key=key)[0],
                metric.at(params, (x, y), key=key).as_matrix(),
            )
        )(gradient)
        wanted = -jnp.linalg.solve(matrix + damping * jnp.eye(len(matrix)), ravel_pytree(gradient)[0])
        np.testing.assert_allclose(ravel_pytree(change)[0], wanted, rtol=1e-9, atol=1e-12)


def test_exact_natural_gradient_golden():
    transform = natural_gradient(1.0, FisherMetric(NETWORK), damping=GOLDEN["lam"], trust=None, box=None, accept=None)
    gradient = jax.grad(NETWORK.loss)(WEIGHTS, X, Y)
    change, _ = transform.update(gradient, transform.init(WEIGHTS), WEIGHTS, batch=(X, Y))
    np.testing.assert_allclose(-ravel_pytree(change)[0], jnp.array(GOLDEN["exact_damped_natgrad"]), rtol=1e-11)


def test_outer_products_of_all_targets_are_the_exact_fisher():
    # every class as data, weighted by its probability: Woodbury's rows make the golden natural gradient too
    probabilities = jax.nn.softmax(NETWORK(WEIGHTS, X))
    parts = [
        OuterProductFisher(NETWORK, "data").at(WEIGHTS, (X, jnp.eye(3)[jnp.full(len(X), k)])).rows for k in range(3)
    ]
    roots = [jnp.sqrt(3 * probabilities[:, k])[:, None] for k in range(3)]
    back = [jnp.concatenate([r * p.back[i] for r, p in zip(roots, parts, strict=True)]) for i in range(2)]
    inputs = [jnp.concatenate([p.inputs[i] for p in parts]) for i in range(2)]
    operator = OuterProducts(Rows(back, inputs))
    np.testing.assert_allclose(operator.as_matrix(), GOLDEN["F_exact"], atol=1e-15)
    gradient = jax.grad(NETWORK.loss)(WEIGHTS, X, Y)
    found = operator.inverse(jnp.asarray(GOLDEN["lam"]))(gradient)
    np.testing.assert_allclose(ravel_pytree(found)[0], jnp.array(GOLDEN["exact_damped_natgrad"]), rtol=1e-11)
