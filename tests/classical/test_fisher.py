"""Fisher matrices of networks against stored ones, enumeration and each other."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classical.methods.fisher import FisherMetric, KroneckerFisher, OuterProductFisher, residuals
from classical.models.network import Layer, Network
from qnat.geometry import laws
from qnat.geometry.families import Bernoulli, Categorical, Normal
from qnat.geometry.structured import OuterProducts, Rows
from qnat.optim import natural_gradient

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "kfac_tiny.json").read_text())
NETWORK = Network(2, (Layer(2), Layer(3, "linear")), Categorical())
WEIGHTS = [np.array(GOLDEN["W1"]), np.array(GOLDEN["W2"])]
X, Y = np.array(GOLDEN["X"]), np.eye(3)[GOLDEN["y"]]

PICTURES = np.random.default_rng(1).normal(size=(6, 32))
CONVOLUTION = Network(
    (2, 4, 4), (Layer(3, "tanh", kernel=2), Layer(2, "relu", kernel=2, stride=1), Layer(4, "linear")), Bernoulli()
)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.fixture(scope="module")
def found():
    """Of the stored network: the gradient, the factors, the matrices, and the natural gradient."""

    @jax.jit
    def described(weights, x, y):
        gradient, batch = jax.grad(NETWORK.loss)(weights, x, y), (x, y)
        transform = natural_gradient(
            1.0, FisherMetric(NETWORK), damping=GOLDEN["lam"], trust=None, box=None, accept=None
        )
        return {
            "gradient": gradient,
            "factors": [(block.A, block.G) for block in KroneckerFisher(NETWORK, "exact").at(weights, batch).leaves()],
            "exact": FisherMetric(NETWORK).at(weights, batch).as_matrix(),
            "empirical": OuterProductFisher(NETWORK, "data").at(weights, batch).as_matrix(),
            "natural": transform.update(gradient, transform.init(weights), weights, batch=batch)[0],
        }

    return described(WEIGHTS, X, Y)


def test_golden_gradient(found):
    for ours, wanted in zip(found["gradient"], GOLDEN["grads"], strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-15)


def test_golden_factors(found):
    for factors, A, G in zip(found["factors"], GOLDEN["A"], GOLDEN["G"], strict=True):
        np.testing.assert_allclose(factors[0], A, atol=1e-15)
        np.testing.assert_allclose(factors[1], G, atol=1e-15)


def test_golden_exact_and_empirical_fisher(found):
    np.testing.assert_allclose(found["exact"], GOLDEN["F_exact"], atol=1e-15)
    np.testing.assert_allclose(found["empirical"], GOLDEN["F_empirical"], atol=1e-15)


def test_exact_natural_gradient_golden(found):
    np.testing.assert_allclose(-flat(found["natural"]), GOLDEN["exact_damped_natgrad"], rtol=1e-11)


@pytest.mark.parametrize("network", [pytest.param(NETWORK, marks=pytest.mark.slow), CONVOLUTION])
def test_metrics_obey_the_laws(network):
    x = X if network is NETWORK else PICTURES
    params = network.init(jax.random.key(2))
    y = np.zeros((len(x), network.layers[-1].units))
    for metric in (FisherMetric(network), OuterProductFisher(network), KroneckerFisher(network)):
        laws.check_metric(metric, params, batch=(x, y), key=jax.random.key(3))


def test_rows_of_a_convolution_are_its_gradients():
    @jax.jit
    def both(params, x, y):
        rows = OuterProductFisher(CONVOLUTION, "data").at(params, (x, y)).rows
        single = jax.vmap(jax.grad(CONVOLUTION.loss), in_axes=(None, 0, 0))(params, x[:, None], y[:, None])
        return rows.combine(jnp.eye(6)[2]), single

    found, single = both(CONVOLUTION.init(jax.random.key(4)), PICTURES, np.ones((6, 4)))
    for layer in range(3):
        np.testing.assert_allclose(found[layer], np.asarray(single[layer])[2], atol=1e-14)


def test_a_convolution_sums_its_features_over_patches_and_averages_its_scores():
    @jax.jit
    def described(params, x, y):
        block = KroneckerFisher(CONVOLUTION, "data").at(params, (x, y)).leaves()[0]
        taps = CONVOLUTION.taps(params, x)
        return block.A, block.G, taps.features[0], taps.pull(residuals(CONVOLUTION, taps.outputs, y, None))[0]

    A, G, features, scores = described(CONVOLUTION.init(jax.random.key(4)), PICTURES, np.ones((6, 4)))
    items, patches = features.shape[:2]
    assert patches > 1
    np.testing.assert_allclose(A, np.einsum("nti,ntj->ij", features, features) / items, atol=1e-13)
    np.testing.assert_allclose(G, np.einsum("nti,ntj->ij", scores, scores) / (items * patches), atol=1e-14)


def test_a_convolution_of_the_whole_picture_is_a_dense_layer():
    whole = Network((2, 4, 4), (Layer(3, "tanh", kernel=4), Layer(2, "linear")), Normal())
    dense = Network(32, (Layer(3, "tanh"), Layer(2, "linear")), Normal())

    @jax.jit
    def both(params, x, y):
        return [
            (n(params, x), [block.as_matrix() for block in KroneckerFisher(n, "data").at(params, (x, y)).leaves()])
            for n in (whole, dense)
        ]

    ours, theirs = both(dense.init(jax.random.key(5)), PICTURES, np.ones((6, 2)))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)


def test_kfac_linear_gaussian_exact():
    # one linear layer, least squares: G = 1 and independent of the features
    linear = Network(3, (Layer(2, "linear"),), Normal())
    metrics = (FisherMetric(linear), KroneckerFisher(linear, "exact"), KroneckerFisher(linear, outputs=False))
    x, params = np.random.default_rng(6).normal(size=(7, 3)), linear.init(jax.random.key(7))
    wanted, *found = jax.jit(lambda p, x, y: [metric.at(p, (x, y)).as_matrix() for metric in metrics])(
        params, x, np.zeros((7, 2))
    )
    for matrix in found:
        np.testing.assert_allclose(matrix, wanted, atol=1e-14)


def test_the_moments_of_a_part_of_a_batch():
    linear = Network(3, (Layer(2, "linear"),), Normal())
    rng = np.random.default_rng(6)
    x, y, params = rng.normal(size=(7, 3)), rng.normal(size=(7, 2)), linear.init(jax.random.key(8))
    for outputs in (True, False):
        part = jax.jit(KroneckerFisher(linear, "data", outputs, items=4).at)(params, (x, y))
        whole = jax.jit(KroneckerFisher(linear, "data", outputs).at)(params, (x[:4], y[:4]))
        jax.tree.map(np.testing.assert_array_equal, part, whole)


def test_mc_fisher_rate():
    # the error of the Monte Carlo Fisher falls as one over the root of the draws
    network = Network(6, (Layer(4), Layer(3, "linear")), Categorical())

    @jax.jit
    def matrices(params, x, keys):
        def draw(key):
            return OuterProductFisher(network).at(params, (x, None), key=key).as_matrix()

        return FisherMetric(network).at(params, (x, None)).as_matrix(), jax.lax.map(draw, keys)

    x, keys = np.random.default_rng(8).normal(size=(60, 6)), jax.random.split(jax.random.key(10), 256)
    exact, draws = (np.asarray(found) for found in matrices(network.init(jax.random.key(9)), x, keys))
    errors = [
        np.mean(np.linalg.norm(draws.reshape(-1, s, *exact.shape).mean(1) - exact, axis=(1, 2))) for s in (1, 16, 256)
    ]
    assert 3.0 < errors[0] / errors[1] < 5.3
    assert 2.5 < errors[1] / errors[2] < 6.5


def test_the_empirical_fisher_is_another_matrix():
    network = Network(6, (Layer(4), Layer(3, "linear")), Categorical())
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(400, 6)), np.eye(3)[rng.integers(0, 3, 400)]
    metrics = (FisherMetric(network), OuterProductFisher(network, "data"))
    exact, empirical = jax.jit(lambda p, x, y: [metric.at(p, (x, y)).as_matrix() for metric in metrics])(
        network.init(jax.random.key(9)), x, y
    )
    assert np.linalg.norm(np.subtract(empirical, exact)) / np.linalg.norm(exact) > 0.3


@pytest.mark.parametrize("case", ["dense", "convolution"])
def test_subsampled_ng_woodbury(case):
    # the default solver inverts by Woodbury's identity, and the step is that of the dense matrix
    network, x = (NETWORK, X) if case == "dense" else (CONVOLUTION, PICTURES)
    params, damping = (WEIGHTS, GOLDEN["lam"]) if case == "dense" else (network.init(jax.random.key(4)), 0.05)
    y = Y if case == "dense" else np.random.default_rng(12).integers(0, 2, (6, 4)).astype(float)
    kronecker = [KroneckerFisher(network, "data")] if case == "dense" else []
    metrics = (OuterProductFisher(network), *kronecker)

    @jax.jit
    def described(params, batch, key):
        gradient, steps = jax.grad(network.loss)(params, *batch), []
        for metric in metrics:
            transform = natural_gradient(1.0, metric, damping=damping, trust=None, box=None, accept=None)
            steps.append(transform.update(gradient, transform.init(params), params, batch=batch, key=key)[0])
        return gradient, steps, [metric.at(params, batch, key=key).as_matrix() for metric in metrics]

    gradient, steps, matrices = described(params, (x, y), jax.random.key(13))
    for change, matrix in zip(steps, matrices, strict=True):
        wanted = -np.linalg.solve(matrix + damping * np.eye(len(matrix)), flat(gradient))
        np.testing.assert_allclose(flat(change), wanted, rtol=1e-9, atol=1e-12)


def test_outer_products_of_all_targets_are_the_exact_fisher(found):
    # every class as data, weighted by its probability: Woodbury's rows make the golden natural gradient too
    @jax.jit
    def described(weights, x, gradient):
        probabilities = jax.nn.softmax(NETWORK(weights, x))
        metric, classes = OuterProductFisher(NETWORK, "data"), jnp.eye(3)
        parts = [metric.at(weights, (x, jnp.tile(classes[k], (len(x), 1)))).rows for k in range(3)]
        roots = [jnp.sqrt(3 * probabilities[:, k])[:, None] for k in range(3)]
        back = [jnp.concatenate([r * p.back[i] for r, p in zip(roots, parts, strict=True)]) for i in range(2)]
        inputs = [jnp.concatenate([p.inputs[i] for p in parts]) for i in range(2)]
        operator = OuterProducts(Rows(back, inputs))
        return operator.as_matrix(), operator.inverse(jnp.asarray(GOLDEN["lam"]))(gradient)

    matrix, natural = described(WEIGHTS, X, found["gradient"])
    np.testing.assert_allclose(matrix, GOLDEN["F_exact"], atol=1e-15)
    np.testing.assert_allclose(flat(natural), GOLDEN["exact_damped_natgrad"], rtol=1e-11)
