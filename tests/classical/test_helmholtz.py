"""Helmholtz machines against enumeration, automatic differentiation and stored numbers."""

import functools
import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.linalg import block_diag
from scipy.special import logsumexp

from classical.methods.wake_sleep import HelmholtzFisher, draws, score, value_and_grad
from classical.models.helmholtz import HelmholtzMachine
from qnat.geometry import laws
from qnat.geometry.structured import UnitBlocks

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "sbn_fisher.json").read_text())
GENERATOR = [np.array(GOLDEN["Wx_bias_last"]), np.array(GOLDEN["W1_bias_last"]), np.array(GOLDEN["b2"])[:, None]]
MACHINES = {"01": HelmholtzMachine((3, 2, 2), signed=False), "pm1": HelmholtzMachine((3, 2, 2))}
MACHINE = MACHINES["pm1"]
ALL = [np.array(list(itertools.product((0.0, 1.0), repeat=7)))[:, s] for s in (slice(3), slice(3, 5), slice(5, 7))]
X = ALL[0][::16]


@pytest.fixture(scope="module")
def params():
    return MACHINE.init(jax.random.key(0))


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@functools.partial(jax.jit, static_argnums=(0, 3))
def log_probs_and_scores(machine, weights, states, part):
    """log p of all states and its gradients, a row a state."""
    vector, unravel = ravel_pytree(weights)

    def log_p(w):
        return machine.log_prob(unravel(w), states, part)

    return log_p(vector), jax.jacrev(log_p)(vector)


@pytest.mark.parametrize("encoding", MACHINES)
def test_sbn_block_equals_autodiff_enumeration(encoding):
    machine, golden = MACHINES[encoding], GOLDEN["encodings"][encoding]
    log_p, scores = map(np.asarray, log_probs_and_scores(machine, GENERATOR, ALL, "generator"))
    p = np.exp(log_p)
    assert float(p.sum()) == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(p @ scores, 0, atol=1e-15)
    fisher = (scores.T * p) @ scores
    np.testing.assert_allclose(fisher, golden["F_full"], atol=1e-15)

    # the blocks, with the enumerated states weighted by their probability in place of dreams
    @jax.jit
    def described(weights, states, p, gradient, alpha):
        blocks = []
        for w, phi in zip(weights, machine.parents(states, "generator"), strict=True):
            s = jax.nn.sigmoid(w @ phi.T)
            blocks.append(UnitBlocks(phi, s * (1 - s) * p))
        inverses = [block.inverse(alpha) for block in blocks]
        return [b.as_matrix() for b in blocks], [inverse(g) for inverse, g in zip(inverses, gradient, strict=True)]

    alpha, ends = golden["alpha"], np.cumsum([w.size for w in GENERATOR])[:-1]
    gradient = [g.reshape(w.shape) for g, w in zip(np.split(np.array(golden["grad"]), ends), GENERATOR, strict=True)]
    blocks, natural = described(GENERATOR, ALL, p, gradient, np.asarray(alpha))
    np.testing.assert_allclose(block_diag(*blocks), fisher, atol=1e-14)
    np.testing.assert_allclose(flat(natural) * (1 + alpha), golden["damped_nat_grad"], rtol=1e-12)


def test_sbn_woodbury_equals_dense():
    golden = GOLDEN["sampled"]
    features, gradient, alpha = np.array(golden["features"]), np.array(golden["grad"])[None], golden["alpha"]

    @jax.jit
    def described(features, w, gradient, alpha):
        s = jax.nn.sigmoid(features @ w)
        block = UnitBlocks(features, (s * (1 - s) / len(features))[None])
        return block.as_matrix(), block.inverse(alpha)(gradient)

    matrix, natural = described(features, np.array(golden["w"]), gradient, np.asarray(alpha))
    np.testing.assert_allclose(matrix, golden["F_hat"], atol=1e-15)
    found = flat(natural) * (1 + alpha)
    assert features.shape[0] < features.shape[1]  # Woodbury's path
    np.testing.assert_allclose(found, golden["nat_dense"], rtol=1e-12)
    np.testing.assert_allclose(found, golden["nat_woodbury"], rtol=1e-12)


@pytest.mark.parametrize("part", ["generator", "recogniser"])
def test_scores_are_the_gradients(part, params):
    @jax.jit
    def both(weights, states, importance):
        by_hand = score(MACHINE, weights, states, part, importance)
        return by_hand, jax.grad(lambda w: importance @ MACHINE.log_prob(w, states, part))(weights)

    found, wanted = both(params[part], ALL, np.random.default_rng(1).normal(size=128))
    np.testing.assert_allclose(flat(found), flat(wanted), atol=1e-13)


def test_the_likelihood_is_the_sum_over_hidden_states():
    log_p = np.asarray(log_probs_and_scores(MACHINE, GENERATOR, ALL, "generator")[0]).reshape(8, 16)
    found = MACHINE.log_likelihood(GENERATOR, X)
    np.testing.assert_allclose(found, logsumexp(log_p, axis=1), atol=1e-14)
    deep = HelmholtzMachine((2, 3, 2, 2))
    weights = deep.init(jax.random.key(2))["generator"]
    assert np.exp(deep.log_likelihood(weights, ALL[1][::4][:4])).sum() == pytest.approx(1, abs=1e-13)


def test_importance_sampling_approaches_the_likelihood_from_below(params):
    @jax.jit
    def sampled(params, x, key):
        return [MACHINE.importance_log_likelihood(params, x, s, key=key) for s in (1, 20_000)]

    exact = MACHINE.log_likelihood(params["generator"], X)
    one, many = sampled(params, X, jax.random.key(3))
    assert np.mean(one) < np.mean(exact)
    np.testing.assert_allclose(many, exact, atol=0.03)


def test_dreams_and_causes_have_their_probabilities(params):
    @jax.jit
    def described(generator, recogniser, x):
        """Draws of both networks, and the log-probabilities of all states."""
        states = {
            "generator": MACHINE.dream(generator, 20_000, key=jax.random.key(4)),
            "recogniser": MACHINE.recognise(recogniser, jnp.tile(x, (20_000, 1)), key=jax.random.key(5)),
        }
        weights = {"generator": generator, "recogniser": recogniser}
        return states, {part: MACHINE.log_prob(weights[part], ALL, part) for part in states}

    drawn, log_probs = described(GENERATOR, params["recogniser"], X[5])
    for part, states in drawn.items():
        p = np.exp(log_probs[part])
        if part == "recogniser":
            p = p * np.all(ALL[0] == X[5], axis=1)
        counts = np.bincount((np.concatenate(states, -1) @ 2 ** np.arange(7)[::-1]).astype(int), minlength=128)
        assert np.all(np.abs(counts / 20_000 - p) < 5 * np.sqrt(p * (1 - p) / 20_000) + 1e-12)


def estimated(params, algorithm, samples, seed):
    """The value and the directions of the data X."""
    estimate = functools.partial(value_and_grad, MACHINE, algorithm=algorithm, samples=samples)
    return jax.jit(lambda params, x, key: estimate(params, x, key=key))(params, X, jax.random.key(seed))


def test_q_baseline_zero_mean(params):
    # one sample: all weights are one, and the recogniser's wake gradient is zero, not only in the mean
    _, one = estimated(params, "bihm", 1, seed=6)
    np.testing.assert_array_equal(flat(one["recogniser"]), 0)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_bihm_bound(power, params):
    # 2 log Σ_h √(p(x, h) q(h|x)) ≤ log p(x), by Cauchy and Schwarz; the estimators' values approach both
    p, q = (
        np.asarray(log_probs_and_scores(MACHINE, params[part], ALL, part)[0]).reshape(8, 16)
        for part in ("generator", "recogniser")
    )
    wanted = logsumexp(power * p + (1 - power) * q, axis=1) / power
    assert np.all(wanted <= np.asarray(MACHINE.log_likelihood(params["generator"], X)) + 1e-14)
    value, _ = estimated(params, "bihm" if power == 0.5 else "rws", 20_000, seed=7)
    assert float(value) == pytest.approx(-float(wanted.mean()), abs=0.02)


def test_reweighted_wake_follows_the_gradient_of_the_likelihood(params):
    # in the limit of many samples the generator's direction is ∇ log p(x)
    wanted = jax.jit(jax.grad(lambda w, x: -jnp.mean(MACHINE.log_likelihood(w, x))))(params["generator"], X)
    _, found = estimated(params, "rws", 20_000, seed=8)
    np.testing.assert_allclose(flat(found["generator"]), flat(wanted), atol=5e-3)


def test_the_metric_obeys_the_laws_and_approaches_the_exact_one(params):
    metric = HelmholtzFisher(MACHINE, len(X), samples=4000)
    laws.check_metric(HelmholtzFisher(MACHINE, len(X), samples=2), params, batch=X, key=jax.random.key(9))

    @jax.jit
    def matrices(params, x, key):
        return {part: [b.as_matrix() for b in blocks] for part, blocks in metric.at(params, x, key=key).blocks.items()}

    for part, found in matrices(params, X, jax.random.key(10)).items():
        log_p, scores = map(np.asarray, log_probs_and_scores(MACHINE, params[part], ALL, part))
        p = np.exp(log_p) / (1 if part == "generator" else len(X))
        np.testing.assert_allclose(block_diag(*found), (scores.T * p) @ scores, atol=0.01)


def test_wake_and_sleep_come_from_the_two_networks(params):
    wake, sleep = jax.jit(lambda params, x, key: draws(MACHINE, params, x, 3, key=key))(params, X, jax.random.key(11))
    assert [bits.shape for bits in wake] == [(3, 8, 3), (3, 8, 2), (3, 8, 2)]
    assert [bits.shape for bits in sleep] == [(24, 3), (24, 2), (24, 2)]
    np.testing.assert_array_equal(np.asarray(wake[0])[1], X)


def test_bad_machines_and_samples_are_refused(params):
    with pytest.raises(ValueError, match="a visible and a hidden layer"):
        HelmholtzMachine((3,))
    with pytest.raises(ValueError, match="ws draws one sample; got 2"):
        value_and_grad(MACHINE, params, X, algorithm="ws", samples=2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="importance sampling"):
        HelmholtzMachine((4, 20, 10)).log_likelihood([], X)
