"""What is known of missing entries and hidden vectors, given what is seen: against dense normal distributions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from classical.data.missing import sequences
from classical.models.chains import HiddenMarkov
from classical.models.dynamical import DynamicalParams, LinearDynamical, changed_dynamics, first_of, move_of
from classical.models.emissions import DiagonalGaussians, FullGaussians, Symbols
from classical.models.factor import FactorAnalysis, Linear, from_linear
from classical.models.mixture import IncompleteMixture
from classical.models.trained_densities import TrainedDynamics, TrainedFactors, TrainedMarkov, TrainedMixture

K, D, ROWS = 2, 3, 6
CENTRE = np.array([5.0, -1.0, 0.5])


def holes(generator, rows: int = ROWS) -> np.ndarray:
    """Rows about the centre: one of which nothing is seen, one whole."""
    x = 2 * generator.normal(size=(rows, D))
    gone = generator.random(x.shape) < 0.4
    gone[0], gone[1] = True, False
    return np.where(gone, np.nan, x + CENTRE)


def conditional(mean, covariance, x):
    """E[row | what is seen of x] of a normal distribution, and the log-density of that."""
    seen = ~np.isnan(x)
    gain = covariance[:, seen] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    if not seen.any():
        return mean, 0.0
    part = scipy.stats.multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)])
    return mean + gain @ (x[seen] - mean[seen]), part.logpdf(x[seen])


def components(generator, *, diagonal: bool):
    means = 2 * generator.normal(size=(K, D))
    roots = np.eye(D) + 0.4 * generator.normal(size=(K, D, D))
    covariances = roots @ roots.swapaxes(1, 2)
    if diagonal:
        covariances = np.stack([np.diag(np.diag(each)) for each in covariances])
    second = means[:, :, None] * means[:, None] + covariances
    emission = DiagonalGaussians() if diagonal else FullGaussians()
    return emission, means, covariances, np.einsum("kii->ki", second) if diagonal else second


def check_filled(found, x, wanted) -> None:
    np.testing.assert_array_equal(found[~np.isnan(x)], x[~np.isnan(x)])
    np.testing.assert_allclose(found, np.where(np.isnan(x), wanted, x), rtol=1e-10)


@pytest.mark.parametrize("diagonal", [False, True])
def test_missing_entries_of_a_mixture_are_means_weighted_by_responsibilities(diagonal):
    generator = np.random.default_rng(0)
    emission, means, covariances, second = components(generator, diagonal=diagonal)
    x, weights = holes(generator, 40), np.array([0.3, 0.7])
    eta = weights, (weights[:, None] * means, weights.reshape(-1, *[1] * (second.ndim - 1)) * second)
    model = TrainedMixture(IncompleteMixture(emission), jax.jit(emission.maximise)(eta), jnp.asarray(CENTRE))
    wanted = []
    for row in x - CENTRE:
        each = [conditional(*part, row) for part in zip(means, covariances, strict=True)]
        shares = weights * np.exp([log for _, log in each])
        wanted.append(shares / shares.sum() @ np.array([mean for mean, _ in each]) + CENTRE)
    check_filled(np.asarray(model.impute(x)), x, np.array(wanted))


def posterior(start, move, logs):
    """Probabilities of states, by enumeration of their paths, from log p of every row in every state."""
    found = np.zeros_like(logs)
    for path in itertools.product(range(K), repeat=len(logs)):
        chance = start[path[0]] * np.prod([move[pair] for pair in itertools.pairwise(path)])
        chance *= np.exp(sum(logs[t, state] for t, state in enumerate(path)))
        found[np.arange(len(path)), path] += chance
    return found / found.sum(axis=1, keepdims=True)


START, MOVE = np.array([0.4, 0.6]), np.array([[0.8, 0.2], [0.3, 0.7]])


def test_missing_entries_of_a_hidden_markov_model_are_known_by_the_whole_sequence():
    generator = np.random.default_rng(1)
    emission, means, covariances, second = components(generator, diagonal=False)
    x, ones = holes(generator), np.ones(K)
    theta = jax.jit(HiddenMarkov(emission).maximise)((START, MOVE, (ones, (means, second))))
    model = TrainedMarkov(HiddenMarkov(emission), theta, jnp.asarray(CENTRE))
    each = [[conditional(*part, row) for part in zip(means, covariances, strict=True)] for row in x - CENTRE]
    shares = posterior(START, MOVE, np.array([[log for _, log in row] for row in each]))
    wanted = np.einsum("tk,tkd->td", shares, np.array([[mean for mean, _ in row] for row in each])) + CENTRE
    check_filled(np.asarray(model.impute(x)), x, wanted)
    np.testing.assert_allclose(model.states(x), shares, rtol=1e-10)


def test_missing_symbols_are_the_most_probable_ones():
    generator = np.random.default_rng(2)
    tables = [generator.dirichlet(np.full(size, 0.5), size=K) for size in (2, 4)]
    x = np.column_stack([generator.integers(0, size, ROWS) for size in (2, 4)]).astype(float)
    x[0], x[2, 0], x[3, 1] = np.nan, np.nan, np.nan
    model = HiddenMarkov(Symbols(sizes=(2, 4)))
    theta = jax.jit(model.maximise)((START, MOVE, (np.ones(K), np.concatenate(tables, axis=1))))
    logs = np.zeros((ROWS, K))
    for column, table in enumerate(tables):
        there = ~np.isnan(x[:, column])
        logs[there] += np.log(table[:, x[there, column].astype(int)].T)
    shares = posterior(START, MOVE, logs)
    wanted = np.column_stack([np.argmax(shares @ table, axis=1) for table in tables])
    trained = TrainedMarkov(model, theta, jnp.zeros(2))
    check_filled(np.asarray(trained.impute(x)), x, wanted)
    with pytest.raises(ValueError, match="Column 1 of row 2 holds 4; its symbols are 0 to 3"):
        trained.log_prob([[0, 1], [1, 3], [1, 4]])


def linear(generator, m: int):
    return generator.normal(size=(D, m)), generator.normal(size=D), 0.2 + generator.random(D)


def test_factors_and_missing_entries_are_conditional_means_of_one_normal_distribution():
    generator = np.random.default_rng(3)
    m, x = 2, holes(generator, 40)
    loadings, bias, noise = linear(generator, m)
    theta = jax.jit(from_linear)(Linear(loadings, bias, noise))
    model = TrainedFactors(FactorAnalysis(), theta, jnp.asarray(CENTRE))
    both = np.concatenate([np.eye(m), loadings])  # (z, x)
    covariance = both @ both.T + np.diag(np.concatenate([np.zeros(m), noise]))
    unknown, mean = np.full((len(x), m), np.nan), np.concatenate([np.zeros(m), bias])
    found = np.array([conditional(mean, covariance, row)[0] for row in np.concatenate([unknown, x - CENTRE], axis=1)])
    np.testing.assert_allclose(model.hidden_means(x), found[:, :m], rtol=1e-9, atol=1e-12)
    check_filled(np.asarray(model.impute(x)), x, found[:, m:] + CENTRE)


def test_a_smoothed_vector_is_a_conditional_mean_of_one_normal_distribution():
    generator = np.random.default_rng(4)
    m, x = 2, holes(generator)
    loadings, bias, noise = linear(generator, m)
    matrix, move = 0.9 * np.linalg.qr(generator.normal(size=(m, m)))[0], 0.3 * np.eye(m) + 0.1
    mean, first, change = generator.normal(size=m), 0.7 * np.eye(m), np.eye(m) + 0.3 * generator.normal(size=(m, m))

    @jax.jit
    def params():
        theta = DynamicalParams(
            first_of(jnp.asarray(mean), jnp.asarray(first + np.outer(mean, mean))),
            move_of(jnp.asarray(matrix), jnp.asarray(move)),
            from_linear(Linear(*map(jnp.asarray, (loadings, bias, noise)))),
        )
        return theta, changed_dynamics(theta, jnp.asarray(change))

    theta, other = params()
    model, moved = (TrainedDynamics(LinearDynamical(), each, jnp.asarray(CENTRE)) for each in (theta, other))
    # z = L (noises) + means, L from the moves; then (z, x) of all rows
    steps = np.eye(ROWS * m)
    for t, before in itertools.product(range(ROWS), repeat=2):
        if t > before:
            power = np.linalg.matrix_power(matrix, t - before)
            steps[t * m : (t + 1) * m, before * m : (before + 1) * m] = power
    hidden = steps @ scipy.linalg.block_diag(first, *[move] * (ROWS - 1)) @ steps.T
    means = np.concatenate([np.linalg.matrix_power(matrix, t) @ mean for t in range(ROWS)])
    both = np.concatenate([np.eye(ROWS * m), np.kron(np.eye(ROWS), loadings)])
    noises = np.concatenate([np.zeros(ROWS * m), np.tile(noise, ROWS)])
    covariance = both @ hidden @ both.T + np.diag(noises)
    center = both @ means + np.concatenate([np.zeros(ROWS * m), np.tile(bias, ROWS)])
    row = np.concatenate([np.full(ROWS * m, np.nan), (x - CENTRE).ravel()])
    found, log = conditional(center, covariance, row)
    smoothed, wanted = found[: ROWS * m].reshape(ROWS, m), found[ROWS * m :].reshape(ROWS, D) + CENTRE
    np.testing.assert_allclose(model.hidden_means(x), smoothed, rtol=1e-9)
    check_filled(np.asarray(model.impute(x)), x, wanted)
    for each in (model, moved):
        np.testing.assert_allclose(each.log_prob(x), log, rtol=1e-12)
    np.testing.assert_allclose(moved.hidden_means(x) @ change.T, smoothed, rtol=1e-9)


def test_behind_the_end_of_a_sequence_nothing_is_smoothed():
    """Two sequences of different length are smoothed as each alone."""
    generator = np.random.default_rng(5)
    x = generator.normal(size=(5, D))
    model = LinearDynamical()

    @jax.jit
    def found():
        one, rows = jnp.eye(1), from_linear(Linear(*map(jnp.asarray, linear(generator, 1))))
        theta = DynamicalParams(first_of(jnp.zeros(1), one), move_of(0.9 * one, 0.2 * one), rows)
        together = model.hidden_means(theta, sequences(x, np.array([0, 0, 1, 1, 1])))
        return together, model.hidden_means(theta, sequences(x[:2], np.zeros(2, int)))

    together, alone = found()
    np.testing.assert_allclose(together[0, :2], alone[0], rtol=1e-12)
    np.testing.assert_array_equal(together[0, 2], 0)
