"""Models with their parameters, as their users see them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classical.models.helmholtz import HelmholtzMachine
from classical.models.network import Layer, Network
from classical.models.trained import SpinDistribution, TrainedMachine, TrainedNetwork
from qnat.geometry.families import Bernoulli, Categorical, Normal
from qnat.geometry.spin_families import BoltzmannMachine
from qnat.geometry.spins import subsets

FAMILIES = {"classes": Categorical(), "bits": Bernoulli(), "values": Normal()}


def forward(weights, x):
    hidden = np.tanh(np.c_[x, np.ones(len(x))] @ weights[0].T)
    return np.c_[hidden, np.ones(len(x))] @ weights[1].T


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_predicts_means_and_is_judged_by_them(name):
    random = np.random.default_rng(0)
    network = Network(4, (Layer(5), Layer(3, "linear")), FAMILIES[name])
    weights = [random.normal(size=(5, 5)), random.normal(size=(3, 6))]
    trained = TrainedNetwork(network, [jnp.asarray(w) for w in weights])
    x, out = random.normal(size=(7, 4)), None
    out = forward(weights, x)
    labels = random.integers(0, 3, 7)
    if name == "classes":
        wanted = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True)
        measured = {"loss": -np.log(wanted[np.arange(7), labels]).mean(), "accuracy": (out.argmax(1) == labels).mean()}
        y = labels
    elif name == "bits":
        wanted, y = 1 / (1 + np.exp(-out)), random.integers(0, 2, (7, 3))
        measured = {"loss": -(y * np.log(wanted) + (1 - y) * np.log(1 - wanted)).sum(axis=1).mean()}
    else:
        wanted, y = out, random.normal(size=(7, 3))
        square = (wanted - y) ** 2
        measured = {"loss": (square.sum(axis=1) / 2).mean() + 1.5 * np.log(2 * np.pi), "rmse": np.sqrt(square.mean())}
    np.testing.assert_allclose(trained.predict(x), wanted, atol=1e-12)
    assert trained.evaluate(x, y) == pytest.approx(measured, rel=1e-12)
    if name == "classes":
        assert trained.evaluate(x, np.eye(3)[labels]) == trained.evaluate(x, labels)
    with pytest.raises(ValueError, match=r"Items are rows of 4 values; got an array of shape \(7, 3\)"):
        trained.predict(x[:, :3])
    with pytest.raises(ValueError, match="Targets are rows of 3 values, one an item"):
        trained.evaluate(x, np.zeros((7, 2)))


def test_classes_that_there_are_not_are_refused():
    network = Network(2, (Layer(3, "linear"),), Categorical())
    trained = TrainedNetwork(network, [jnp.zeros((3, 3))])
    with pytest.raises(ValueError, match="Classes go from 0 to 2; got one that is 3"):
        trained.evaluate(np.zeros((2, 2)), [0, 3])


def test_a_spin_distribution_samples_what_it_says():
    machine = BoltzmannMachine(3, subsets(3, 2))
    trained = SpinDistribution(machine, jnp.asarray(np.random.default_rng(1).normal(size=6)))
    states = np.array([[int(bit) for bit in f"{x:03b}"] for x in range(8)])
    log_p = np.asarray(trained.log_prob(states))
    spins = 1 - 2 * states
    exponents = np.array([np.prod(spins[:, list(each)], axis=1) for each in subsets(3, 2)]).T @ trained.theta
    np.testing.assert_allclose(log_p, exponents - np.log(np.exp(exponents).sum()), atol=1e-13)
    drawn = np.asarray(trained.sample(10_000, key=jax.random.key(0))) @ [4, 2, 1]
    found, p = np.bincount(drawn.astype(int), minlength=8) / 10_000, np.exp(log_p)
    assert np.all(abs(found - p) < 4 * np.sqrt(p * (1 - p) / 10_000))
    for wrong in (np.zeros(3), np.zeros((1, 2)), np.full((1, 3), 0.5)):
        with pytest.raises(ValueError, match="Items are rows of 3 bits"):
            trained.log_prob(wrong)


def test_a_machine_tells_exact_probabilities_where_it_can():
    machine = HelmholtzMachine((3, 2))
    trained = TrainedMachine(machine, machine.init(jax.random.key(0)))
    states = np.array([[int(bit) for bit in f"{x:03b}"] for x in range(8)])
    p = np.exp(trained.log_prob(states))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    drawn = np.asarray(trained.sample(10_000, key=jax.random.key(1))) @ [4, 2, 1]
    assert np.all(abs(np.bincount(drawn.astype(int), minlength=8) / 10_000 - p) < 4 * np.sqrt(p / 10_000))


def test_a_large_machine_needs_a_key():
    machine = HelmholtzMachine((3, 30))
    trained = TrainedMachine(machine, machine.init(jax.random.key(0)))
    with pytest.raises(ValueError, match="is sampled; pass key="):
        trained.log_prob(np.zeros((2, 3)))
    assert np.isfinite(trained.log_prob(np.zeros((2, 3)), key=jax.random.key(0))).all()
    for wrong in (np.zeros(3), np.zeros((1, 2)), np.full((1, 3), 0.5)):
        with pytest.raises(ValueError, match="Items are rows of 3 bits"):
            trained.log_prob(wrong)


SENTENCES = {
    -1: "count is -1; it must be a whole number of at least 1",
    0: "count is 0; it must be",
    2.0: r"count is 2\.0; it must be a whole number",
    True: "count is True; it must be a whole number",
    "7": "count is '7'; it must be a whole number",
    None: "count is None; it must be a whole number",
    10**400: r"count = 1000.* needs about 10\^\d+ GB, and this machine has .* GB; draw fewer at a time",
    2**45: "count = 35184372088832 needs about .* GB",
}


@pytest.mark.parametrize("count", SENTENCES, ids=lambda count: str(count)[:10])
def test_counts_of_draws_that_make_no_sense_are_one_sentence(count):
    key, sentence = jax.random.key(0), SENTENCES[count]
    machine = HelmholtzMachine((3, 30))
    helmholtz = TrainedMachine(machine, {"generator": [np.zeros((3, 31)), np.zeros((30, 1))], "recogniser": []})
    spins = SpinDistribution(BoltzmannMachine(3, subsets(3, 2)), np.zeros(6))
    for trained in (helmholtz, spins):
        with pytest.raises(ValueError, match=f"^{sentence}"):
            trained.sample(count, key=key)
    with pytest.raises(ValueError, match=f"^{sentence.replace('count', 'samples')}"):
        helmholtz.log_prob(np.zeros((2, 3)), samples=count, key=key)


def test_a_draw_does_not_take_a_number_for_every_state():
    machine = BoltzmannMachine(14, subsets(14, 1))
    trained = SpinDistribution(machine, jnp.zeros(14))
    traced = jax.make_jaxpr(lambda key: trained.sample(1000, key=key))(jax.random.key(0))
    sizes = [v.aval.size for eqn in traced.eqns for v in eqn.outvars]
    assert max(sizes) <= 2**14
