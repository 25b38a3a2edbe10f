"""Helmholtz machines against enumeration, automatic differentiation and stored numbers."""

import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from classical.methods.wake_sleep import HelmholtzFisher, draws, score, value_and_grad
from classical.models.helmholtz import HelmholtzMachine
from qnat.geometry import laws
from qnat.geometry.structured import UnitBlocks

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "sbn_fisher.json").read_text())
GENERATOR = [jnp.array(GOLDEN["Wx_bias_last"]), jnp.array(GOLDEN["W1_bias_last"]), jnp.array(GOLDEN["b2"])[:, None]]
MACHINES = {"01": HelmholtzMachine((3, 2, 2), signed=False), "pm1": HelmholtzMachine((3, 2, 2))}
ALL = [jnp.array(list(itertools.product((0.0, 1.0), repeat=7)))[:, s] for s in (slice(3), slice(3, 5), slice(5, 7))]
X = ALL[0][::16]
PARAMS = MACHINES["pm1"].init(jax.random.key(0))


def flat(tree):
    return ravel_pytree(tree)[0]


@pytest.mark.parametrize("encoding", MACHINES)
def test_sbn_block_equals_autodiff_enumeration(encoding):
    machine, golden = MACHINES[encoding], GOLDEN["encodings"][encoding]
    log_p, unravel = machine.log_prob(GENERATOR, ALL, "generator"), ravel_pytree(GENERATOR)[1]
    p = jnp.exp(log_p)
    assert float(p.sum()) == pytest.approx(1, abs=1e-14)
    scores = jax.jacrev(lambda w: machine.log_prob(unravel(w), ALL, "generator"))(flat(GENERATOR))
    np.testing.assert_allclose(p @ scores, 0, atol=1e-15)
    fisher = (scores.T * p) @ scores
    np.testing.assert_allclose(fisher, golden["F_full"], atol=1e-15)
    # the blocks, with the enumerated states weighted by their probability in place of dreams
    blocks = []
    for w, phi in zip(GENERATOR, machine.parents(ALL, "generator"), strict=True):
        s = jax.nn.sigmoid(w @ phi.T)
        blocks.append(UnitBlocks(phi, s * (1 - s) * p))
    found = jax.scipy.linalg.block_diag(*(block.as_matrix() for block in blocks))
    np.testing.assert_allclose(found, fisher, atol=1e-14)
    gradient, alpha = unravel(jnp.array(golden["grad"])), golden["alpha"]
    natural = [b.inverse(jnp.asarray(alpha))(g) * (1 + alpha) for b, g in zip(blocks, gradient, strict=True)]
    np.testing.assert_allclose(flat(natural), golden["damped_nat_grad"], rtol=1e-12)


def test_sbn_woodbury_equals_dense():
    golden = GOLDEN["sampled"]
    features, w = jnp.array(golden["features"]), jnp.array(golden["w"])
    s = jax.nn.sigmoid(features @ w)
    block = UnitBlocks(features, (s * (1 - s) / len(features))[None])
    np.testing.assert_allclose(block.as_matrix(), golden["F_hat"], atol=1e-15)
    alpha, gradient = golden["alpha"], jnp.array(golden["grad"])[None]
    found = block.inverse(jnp.asarray(alpha))(gradient)[0] * (1 + alpha)
    assert features.shape[0] < features.shape[1]  # Woodbury's path
    np.testing.assert_allclose(found, golden["nat_dense"], rtol=1e-12)
    np.testing.assert_allclose(found, golden["nat_woodbury"], rtol=1e-12)


@pytest.mark.parametrize("part", ["generator", "recogniser"])
def test_scores_are_the_gradients(part):
    machine = MACHINES["pm1"]
    weights, importance = PARAMS[part], jax.random.normal(jax.random.key(1), (128,))
    wanted = jax.grad(lambda w: importance @ machine.log_prob(w, ALL, part))(weights)
    np.testing.assert_allclose(flat(score(machine, weights, ALL, part, importance)), flat(wanted), atol=1e-13)


def test_the_likelihood_is_the_sum_over_hidden_states():
    machine = MACHINES["pm1"]
    log_p = machine.log_prob(GENERATOR, ALL, "generator").reshape(8, 16)
    found = machine.log_likelihood(GENERATOR, X)
    np.testing.assert_allclose(found, jax.nn.logsumexp(log_p, axis=1), atol=1e-14)
    deep = HelmholtzMachine((2, 3, 2, 2))
    weights = deep.init(jax.random.key(2))["generator"]
    assert float(jnp.exp(deep.log_likelihood(weights, ALL[1][::4][:4])).sum()) == pytest.approx(1, abs=1e-13)


def test_importance_sampling_approaches_the_likelihood_from_below():
    machine = MACHINES["pm1"]
    exact = machine.log_likelihood(PARAMS["generator"], X)
    found = [machine.importance_log_likelihood(PARAMS, X, s, key=jax.random.key(3)) for s in (1, 20_000)]
    assert float(jnp.mean(found[0])) < float(jnp.mean(exact))
    np.testing.assert_allclose(found[1], exact, atol=0.03)


def test_dreams_and_causes_have_their_probabilities():
    machine = MACHINES["pm1"]
    place = 2 ** jnp.arange(7)[::-1]
    for part, states in (
        ("generator", machine.dream(GENERATOR, 20_000, key=jax.random.key(4))),
        ("recogniser", machine.recognise(PARAMS["recogniser"], jnp.tile(X[5], (20_000, 1)), key=jax.random.key(5))),
    ):
        weights = GENERATOR if part == "generator" else PARAMS[part]
        p = np.exp(machine.log_prob(weights, ALL, part))
        if part == "recogniser":
            p = p * np.all(ALL[0] == X[5], axis=1)
        counts = np.bincount((jnp.concatenate(states, -1) @ place).astype(int), minlength=128)
        assert np.all(np.abs(counts / 20_000 - p) < 5 * np.sqrt(p * (1 - p) / 20_000) + 1e-12)


def test_q_baseline_zero_mean():
    # one sample: all weights are one, and the recogniser's wake gradient is zero, not only in the mean
    machine = MACHINES["pm1"]
    _, one = value_and_grad(machine, PARAMS, X, algorithm="bihm", samples=1, key=jax.random.key(6))
    np.testing.assert_array_equal(flat(one["recogniser"]), 0)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_bihm_bound(power):
    # 2 log Σ_h √(p(x, h) q(h|x)) ≤ log p(x), by Cauchy and Schwarz; the estimators' values approach both
    machine = MACHINES["pm1"]
    p, q = (machine.log_prob(PARAMS[part], ALL, part).reshape(8, 16) for part in ("generator", "recogniser"))
    wanted = jax.nn.logsumexp(power * p + (1 - power) * q, axis=1) / power
    assert np.all(wanted <= machine.log_likelihood(PARAMS["generator"], X) + 1e-14)
    algorithm = "bihm" if power == 0.5 else "rws"
    value, _ = value_and_grad(machine, PARAMS, X, algorithm=algorithm, samples=20_000, key=jax.random.key(7))
    assert float(value) == pytest.approx(-float(wanted.mean()), abs=0.02)


def test_reweighted_wake_follows_the_gradient_of_the_likelihood():
    # in the limit of many samples the generator's direction is ∇ log p(x)
    machine = MACHINES["pm1"]
    wanted = jax.grad(lambda w: -jnp.mean(machine.log_likelihood(w, X)))(PARAMS["generator"])
    _, found = value_and_grad(machine, PARAMS, X, algorithm="rws", samples=20_000, key=jax.random.key(8))
    np.testing.assert_allclose(flat(found["generator"]), flat(wanted), atol=5e-3)


@pytest.mark.slow
def test_the_metric_obeys_the_laws_and_approaches_the_exact_one():
    machine = MACHINES["pm1"]
    metric = HelmholtzFisher(machine, len(X), samples=4000)
    laws.check_metric(HelmholtzFisher(machine, len(X), samples=2), PARAMS, batch=X, key=jax.random.key(9))
    found = metric.at(PARAMS, X, key=jax.random.key(10)).blocks
    for part in ("generator", "recogniser"):
        log_p = machine.log_prob(PARAMS[part], ALL, part)
        p = jnp.exp(log_p) / (1 if part == "generator" else len(X))
        unravel = ravel_pytree(PARAMS[part])[1]
        scores = jax.jacrev(lambda w, part=part, unravel=unravel: machine.log_prob(unravel(w), ALL, part))(
            flat(PARAMS[part])
        )
        matrix = jax.scipy.linalg.block_diag(*(block.as_matrix() for block in found[part]))
        np.testing.assert_allclose(matrix, (scores.T * p) @ scores, atol=0.01)


def test_wake_and_sleep_come_from_the_two_networks():
    wake, sleep = draws(MACHINES["pm1"], PARAMS, X, 3, key=jax.random.key(11))
    assert [bits.shape for bits in wake] == [(3, 8, 3), (3, 8, 2), (3, 8, 2)]
    assert [bits.shape for bits in sleep] == [(24, 3), (24, 2), (24, 2)]
    np.testing.assert_array_equal(wake[0][1], X)


def test_bad_machines_and_samples_are_refused():
    with pytest.raises(ValueError, match="a visible and a hidden layer"):
        HelmholtzMachine((3,))
    with pytest.raises(ValueError, match="ws draws one sample; got 2"):
        value_and_grad(MACHINES["pm1"], PARAMS, X, algorithm="ws", samples=2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="importance sampling"):
        HelmholtzMachine((4, 20, 10)).log_likelihood([], X)
