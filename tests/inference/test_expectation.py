"""Estimates of expectations: unbiased with their derivatives, by z-scores at fixed seeds; baselines; free energies."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.geometry.families import Bernoulli, DiagonalGaussian, Gaussian
from qnat.inference.expectation import AbstractEstimator, Pathwise, Points, Score, expectation, free_energy

MEAN, PRECISION = np.array([0.5, -1.0]), np.array([[1.5, -0.6], [-0.6, 2.0]])
THETA = (PRECISION @ MEAN, -PRECISION / 2)
ESTIMATORS = {
    "pathwise": Pathwise(8),
    "pathwise, in pairs": Pathwise(8, antithetic=True),
    "pathwise, Sobol": Pathwise(16, sobol=True),
    "pathwise, Sobol in pairs": Pathwise(16, antithetic=True, sobol=True),
    "scores": Score(8, leave_one_out=False),
    "scores, a baseline": Score(8),
    "scores, a baseline of pairs": Score(8, antithetic=True),
    "scores, Sobol": Score(16, sobol=True),
    "scores, Sobol in pairs": Score(16, sobol=True, antithetic=True),
}
REPEATS = 4000


def fn(x):
    return jnp.sin(x[0] + 2 * x[1]) + x[0] ** 2 * x[1] + 9


class Quadrature(AbstractEstimator):
    """Gauss–Hermite nodes, which move with θ."""

    def points(self, family, theta, key):
        node, weight = np.polynomial.hermite_e.hermegauss(40)
        grid = np.stack(np.meshgrid(node, node), axis=-1).reshape(-1, 2)
        weights = np.outer(weight, weight).ravel() / (2 * np.pi)
        x = jax.vmap(lambda noise: family.from_noise(theta, noise))(jnp.asarray(grid))
        return Points(x, jnp.asarray(weights))


@eqx.filter_jit
def estimates(estimator, theta, repeats):
    """Values and gradients of many estimates, a row each."""

    def one(key):
        value, slope = jax.value_and_grad(lambda theta: expectation(estimator, Gaussian(), theta, fn, key=key))(theta)
        return jnp.concatenate([value[None], slope[0], (slope[1] + slope[1].T).ravel() / 2])

    return jax.lax.map(one, jax.random.split(jax.random.key(7), repeats))


@pytest.fixture(scope="module")
def truth():
    return np.asarray(estimates(Quadrature(), THETA, 1))[0]


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_values_and_gradients_are_unbiased(name, truth):
    found = np.asarray(estimates(ESTIMATORS[name], THETA, REPEATS))
    error = found.std(axis=0, ddof=1) / REPEATS**0.5
    assert np.abs((found.mean(axis=0) - truth) / error).max() < 4


def test_pairs_points_and_baselines_are_worth_their_while():
    def spread(name):
        return np.asarray(estimates(ESTIMATORS[name], THETA, 500))[:, 1:].std(axis=0).mean()

    assert spread("scores, a baseline") < 0.7 * spread("scores")
    assert spread("pathwise, Sobol") < 0.7 * spread("pathwise")


def test_a_draw_does_not_know_its_own_baseline():
    """Of a pair neither half does: else the estimate is biased."""
    values = np.arange(8.0) ** 2
    alone = np.asarray(Score(8).baseline(jnp.asarray(values)))
    np.testing.assert_allclose(alone, (values.sum() - values) / 7)
    pairs = values.reshape(4, 2).sum(axis=1)
    np.testing.assert_allclose(
        Score(8, antithetic=True).baseline(jnp.asarray(values)), np.repeat((pairs.sum() - pairs) / 6, 2)
    )
    halves = values.reshape(2, 4).mean(axis=1)
    np.testing.assert_allclose(Score(8, sobol=True).baseline(jnp.asarray(values)), np.repeat(halves[::-1], 4))


def test_discrete_draws_have_scores():
    """E[fn] of three bits and its gradient, by enumeration in NumPy."""
    bits = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], float)
    theta = np.array([0.3, -1.2, 0.8])
    weights = np.array([[0.0, 0.7, -0.4], [0.7, 0.0, 1.1], [-0.4, 1.1, 0.0]])
    values = 3 + np.einsum("ni,ij,nj->n", bits, weights, bits)
    mean = 1 / (1 + np.exp(-theta))
    p = np.prod(np.where(bits == 1, mean, 1 - mean), axis=1)
    truth = np.concatenate([[p @ values], (p * values) @ (bits - mean)])

    @jax.jit
    def many(theta):
        def one(key):
            def estimate(theta):
                return expectation(Score(8), Bernoulli(), theta, lambda x: 3 + x @ weights @ x, key=key)

            value, slope = jax.value_and_grad(estimate)(theta)
            return jnp.concatenate([value[None], slope])

        return jax.lax.map(one, jax.random.split(jax.random.key(1), REPEATS))

    found = np.asarray(many(theta))
    error = found.std(axis=0, ddof=1) / REPEATS**0.5
    assert np.abs((found.mean(axis=0) - truth) / error).max() < 4


@pytest.mark.parametrize("estimator", [Pathwise(4), Score(4)], ids=["pathwise", "scores"])
def test_a_gradient_at_the_optimum_has_no_variance(estimator):
    """With θ held in log q; and its value is −log Z, whatever the draws."""

    @jax.jit
    def at(theta):
        def energy(x):
            return -Gaussian().log_prob(theta, x) - 3.0

        def loss(theta):
            return free_energy(Gaussian(), theta, energy, estimator=estimator, key=jax.random.key(2))

        return jax.value_and_grad(loss)(theta)

    value, slope = at(THETA)
    np.testing.assert_allclose(value, -3.0, atol=1e-12)
    for leaf in jax.tree.leaves(slope):
        np.testing.assert_allclose(leaf, 0, atol=1e-12)


def test_entropies_are_exact_or_of_the_draws():
    """E[−log q] of quadrature is the entropy in closed form."""

    @jax.jit
    def both(theta):
        return [
            free_energy(Gaussian(), theta, fn, estimator=Quadrature(), exact_entropy=exact) for exact in (True, False)
        ]

    closed, sampled = both(THETA)
    np.testing.assert_allclose(closed, sampled, rtol=1e-10)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Score(1), "A leave-one-out baseline needs at least 2 samples here; got 1"),
        (lambda: Score(2, antithetic=True), "needs at least 4 samples here; got 2"),
        (lambda: Pathwise(7, antithetic=True), "Antithetic draws come in pairs; 7 samples are odd"),
        (lambda: Score(12, sobol=True), "Sobol points are a power of two, at least 4; got 12"),
        (lambda: Pathwise(0), "An estimate needs at least one sample; got 0"),
        (lambda: expectation(Pathwise(2), Bernoulli(), np.zeros(2), jnp.sum, key=jax.random.key(0)), "use Score"),
        (lambda: expectation(Score(2), DiagonalGaussian(), (np.zeros(2), -np.ones(2)), jnp.sum), "pass key="),
        (
            lambda: expectation(Score(4, antithetic=True), Bernoulli(), np.zeros(2), jnp.sum, key=jax.random.key(0)),
            "Antithetic draws and Sobol points are of Gaussians; Bernoulli has independent draws only",
        ),
    ],
)
def test_refusals(made, message):
    with pytest.raises(ValueError, match=message):
        made()
