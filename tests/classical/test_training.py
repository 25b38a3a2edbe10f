"""Networks and Helmholtz machines as tasks: batches, losses, curves, and one run of each."""

import itertools

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
from scipy.special import expit, log_softmax
from sklearn.metrics import confusion_matrix

from classical.data.batches import epochs
from classical.models.helmholtz import HelmholtzMachine
from classical.models.network import Layer, Network
from classical.problems.helmholtz import HelmholtzTask
from classical.problems.network import NetworkTask
from qnat.experiment import laws, run
from qnat.geometry.families import Bernoulli, Categorical, Normal

rng = np.random.default_rng(0)
X, LABELS = rng.integers(0, 2, (30, 9)).astype(float), np.eye(3)[rng.integers(0, 3, 30)]
FAMILIES = {"autoencode": (Bernoulli(), X), "classify": (Categorical(), LABELS), "regress": (Normal(), X[:, :1])}
MACHINE = HelmholtzMachine((9, 4, 3))
SGD = optax.sgd(0.1)


def network_task(kind, batch=8):
    family, y = FAMILIES[kind]
    network = Network(9, (Layer(4), Layer(y.shape[1], "linear")), family)
    return NetworkTask(network, X[:20], y[:20], X[20:], y[20:], batch=batch)


@pytest.fixture(scope="module")
def helmholtz_task():
    return HelmholtzTask(MACHINE, X[:20], X[20:], batch=8, samples=5)


def test_an_epoch_shows_every_item_once_in_an_order_of_its_own():
    items = np.arange(10)
    stream = epochs((items, items**2), 5, jax.random.key(2))
    first, second = ([next(stream), next(stream)] for _ in range(2))
    for epoch in (first, second):
        assert sorted(np.concatenate([x for x, _ in epoch])) == list(items)
        assert all((y == x**2).all() for x, y in epoch)
    assert (first[0][0] != second[0][0]).any()
    again = epochs((items, items), 5, jax.random.key(2))
    np.testing.assert_array_equal(first[0][0], next(again)[0])
    # what does not fill a batch is left out
    stream = epochs((items,), 4, jax.random.key(3))
    assert len({int(i) for (x,) in itertools.islice(stream, 2) for i in x}) == 8


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*FAMILIES, "helmholtz"])
def test_tasks_obey_the_laws(kind, helmholtz_task):
    task = helmholtz_task if kind == "helmholtz" else network_task(kind)
    laws.check_task(task, key=jax.random.key(4), has_loss=isinstance(task, NetworkTask))


@eqx.filter_jit
def outputs(network, params, x):
    return network(params, x)


def test_the_network_is_evaluated_on_all_items():
    task = network_task("classify")
    params = task.init(jax.random.key(6))
    found = eqx.filter_jit(task.evaluate)(params)
    logits = np.asarray(outputs(task.network, params, X))
    losses = -np.sum(LABELS * log_softmax(logits, axis=1), axis=1)
    right = logits.argmax(1) == LABELS.argmax(1)
    wanted = {"train_loss": losses[:20].mean(), "test_loss": losses[20:].mean()}
    wanted |= {"train_accuracy": right[:20].mean(), "test_accuracy": right[20:].mean()}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-14), name
    confusion = eqx.filter_jit(task.artifacts)(params)["confusion"]
    classes = LABELS[20:].argmax(1), logits[20:].argmax(1)
    np.testing.assert_array_equal(confusion.value, confusion_matrix(*classes, labels=[0, 1, 2]))
    assert confusion.dims == ("true_class", "predicted_class")


def test_a_regression_knows_its_error_in_the_units_of_the_target():
    task = network_task("regress")
    params = task.init(jax.random.key(6))
    found = eqx.filter_jit(task.evaluate)(params)
    wrong = np.asarray(outputs(task.network, params, X)) - X[:, :1]
    for part, rows in (("train", slice(20)), ("test", slice(20, None))):
        wanted = np.sqrt(np.mean(wrong[rows] ** 2))
        assert float(found[f"{part}_rmse"]) == pytest.approx(wanted, rel=1e-14)


def test_an_autoencoder_shows_items_beside_their_reconstructions():
    task = network_task("autoencode")
    params = task.init(jax.random.key(7))
    pictures = np.asarray(eqx.filter_jit(task.artifacts)(params)["reconstructions"].value)
    assert pictures.shape == (20, 3, 3)
    np.testing.assert_array_equal(pictures[::2].reshape(10, 9), X[20:])
    np.testing.assert_allclose(pictures[1::2].reshape(10, 9), expit(outputs(task.network, params, X[20:])))
    assert network_task("regress").artifacts(params) == {}


def test_the_likelihood_is_exact_or_says_how_it_was_sampled(monkeypatch, helmholtz_task):
    params = helmholtz_task.init(jax.random.key(8))
    exact = eqx.filter_jit(helmholtz_task.evaluate)(params)
    assert exact.keys() == {"test_negative_log_likelihood"}
    monkeypatch.setattr("classical.models.helmholtz._ENUMERABLE", 1)
    task = HelmholtzTask(MACHINE, X[:20], X[20:], batch=8, likelihood_samples=3000)
    sampled = eqx.filter_jit(task.evaluate)(params)
    assert float(sampled["likelihood_samples"]) == 3000
    # log of a mean of weights: its error is about the relative standard error of that mean
    gap = float(sampled["test_negative_log_likelihood"]) - float(exact["test_negative_log_likelihood"])
    assert abs(gap) < 0.05


def test_samples_are_pictures_of_probabilities(helmholtz_task):
    params = helmholtz_task.init(jax.random.key(9))
    samples = np.asarray(eqx.filter_jit(helmholtz_task.artifacts)(params)["samples"].value)
    assert samples.shape[1:] == (3, 3)
    assert 0 < samples.min() < samples.max() < 1
    # not square: rows of bits
    other = HelmholtzTask(HelmholtzMachine((8, 2)), X[:20, :8], X[20:, :8], batch=8)
    params = other.init(jax.random.key(9))
    assert eqx.filter_eval_shape(other.artifacts, params)["samples"].value.shape[1:] == (8,)


def test_runs_improve_record_and_resume(tmp_path):
    task = network_task("autoencode")
    whole = run(task, SGD, steps=30, seed=0, seeds=2, every=10)
    curve = whole.curves["test_loss"]
    assert np.flatnonzero(~np.isnan(curve[0])).tolist() == [0, 10, 20, 30]
    assert (whole.curves["train_loss"][:, -1] < whole.curves["train_loss"][:, 0] - 0.1).all()
    run(task, SGD, steps=17, seed=0, seeds=2, every=10, out=tmp_path / "r")
    more = run(task, SGD, steps=30, seed=0, seeds=2, every=10, out=tmp_path / "r", resume=True)
    np.testing.assert_array_equal(more.curves["loss"], whole.curves["loss"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: network_task("classify", batch=21), "between 1 and 20 items"),
        (lambda: network_task("classify", batch=0), "between 1 and 20 items"),
        (lambda: HelmholtzTask(MACHINE, X, X, batch=31), "between 1 and 30 items"),
        (lambda: HelmholtzTask(MACHINE, X / 2, X, batch=8), "models bits"),
        (lambda: HelmholtzTask(MACHINE, X[:, :8], X, batch=8), "8 bits do not fit 9 visible units"),
        (
            lambda: NetworkTask(network_task("classify").network, X, X, X, X, batch=2),
            "3 outputs and the targets have 9",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_linear_regression_is_least_squares_with_its_errors():
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 3))
    x[:, 2] = 1.5  # like the bias, which the items then do not determine
    y = 2.0 * x[:, :1] + 0.5 + 0.3 * random.normal(size=(40, 1))
    task = NetworkTask(Network(3, (Layer(1, "linear"),), Normal()), x, y, x[:10], y[:10], batch=40)
    features = np.c_[x[:, :2], np.ones(40)]
    best, square, *_ = np.linalg.lstsq(features, y[:, 0])
    coords = {}

    @jax.jit
    def found(w):
        artifacts = task.artifacts([w[None]])
        coords.update(artifacts["weights"].coords)
        return artifacts["weights_error"].value

    got = np.asarray(found(np.array([best[0], best[1], 0.0, best[2]])))
    errors = np.sqrt(square / (40 - 3) * np.diag(np.linalg.inv(features.T @ features)))
    np.testing.assert_allclose(got[:2], errors[:2], rtol=1e-10)
    assert np.isinf(got[2:]).all()
    network = Network(2, (Layer(1, "linear"),), Normal())
    small = NetworkTask(network, x[:, :2] * [1, 1e-5], y, x[:10, :2], y[:10], batch=40)
    single = jax.tree.map(lambda leaf: leaf.astype(np.float32) if eqx.is_array(leaf) else leaf, small)
    found = jax.jit(lambda w: single.artifacts([w[None]])["weights_error"].value)
    got = np.asarray(found(np.array([best[0], 1e5 * best[1], best[2]], np.float32)))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, errors * [1, 1e5, 1], rtol=1e-4)  # an input of small values is not one of none
    assert coords == {"input": ["0", "1", "2", "bias"]}
