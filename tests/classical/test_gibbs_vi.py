"""Variational Gibbs inference: its objective, its gradient against that of EM, its chain, and what it fits."""

import itertools
import json
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from sklearn.linear_model import Ridge

from classical.data.imputed import IncompleteTable, Picked
from classical.data.missing import rows
from classical.methods.gibbs_bound import divergence, lower_bound
from classical.methods.gibbs_vi import gibbs_vi
from classical.models.conditionals import ConditionalParams, GaussianConditionals
from classical.models.factor import FactorAnalysis, Linear, complete_log_prob, from_linear
from classical.models.factor_chart import FactorChart, FactorCoordinates
from qnat.geometry import laws
from qnat.inference.laws import check_process

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "vgi_fa.json"
MODEL = FactorAnalysis()
LOADINGS = np.array([[0.9, 0.1], [0.7, -0.4], [-0.5, 0.8], [0.2, 0.6]])
BIAS, NOISE = np.array([0.3, -0.2, 0.1, 0.5]), np.array([0.3, 0.5, 0.4, 0.7])
COVARIANCE = LOADINGS @ LOADINGS.T + np.diag(NOISE)


def exact_conditionals():
    """The conditionals of the normal distribution with that mean and covariance, from its precision; √d is 2."""
    precision = np.linalg.inv(COVARIANCE)
    own = np.diag(precision)
    params = ConditionalParams(
        np.zeros(4), -2 * precision / own[:, None], -np.log(own) / 2, (), np.zeros((2, 4, 0))
    )  # fmt: skip
    return GaussianConditionals(BIAS, np.ones(4)), params


def holes(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal(BIAS, COVARIANCE, count)
    x[rng.random(x.shape) < 0.3] = np.nan
    return x[~np.isnan(x).all(axis=1)]


def process(x, optimizer=None, **options):
    adam = optax.adam(0.01) if optimizer is None else optimizer
    return gibbs_vi(
        complete_log_prob, FactorChart(np.nanstd(x, axis=0)), rows(x), adam, adam, quadratic=True, **options
    )


@pytest.mark.parametrize("options", [{}, {"hidden": (3,), "batch": 5, "warmup": 0}])
def test_the_law_of_processes(options):
    check_process(process(holes(12), **options), from_linear(Linear(LOADINGS, BIAS, NOISE)), key=jax.random.key(0))


@pytest.mark.parametrize("isotropic", [False, True])
def test_the_law_of_charts(isotropic):
    logs = np.log(0.4) if isotropic else np.log(NOISE)
    chart = FactorChart(np.array([1.0, 2, 3, 4]), isotropic)
    laws.check_chart(chart, FactorCoordinates(LOADINGS, BIAS, jnp.asarray(logs)))


def test_conditionals_start_from_ridge_regressions():
    """Of rows whose missing entries are drawn from their columns, one by one; of whole rows, those of scikit-learn."""
    for x in (holes(40), np.random.default_rng(1).multivariate_normal(BIAS, COVARIANCE, 40)):
        centre, scale, count = np.nanmean(x, axis=0), np.nanstd(x, axis=0), len(x)
        conditionals = GaussianConditionals(centre, scale)
        params = eqx.filter_jit(conditionals.start)(jax.random.key(0), IncompleteTable.of(rows(x)))
        z = (x - centre) / scale
        missing = np.isnan(z)
        z = np.where(missing, 0, z)
        drawn = missing.mean(axis=0) + 4 / count
        moments = z.T @ z / count + np.diag(drawn)
        for j in range(4):
            others, there = np.arange(4) != j, ~missing[:, j]
            crossed = z[there].T @ z[there, j] / there.sum()
            slopes = np.zeros(4)
            slopes[others] = np.linalg.solve(moments[np.ix_(others, others)], crossed[others])
            np.testing.assert_allclose(params.slopes[j] / 2, slopes, atol=1e-12)
            if there.all():
                theirs = Ridge(4.0, fit_intercept=False).fit(z[:, others], z[:, j])
                np.testing.assert_allclose(slopes[others], theirs.coef_, atol=1e-12)
            variance = np.mean((z[there, j] - z[there] @ slopes) ** 2) + slopes**2 @ drawn
            np.testing.assert_allclose(params.log_deviation[j], np.log(variance) / 2, rtol=1e-12)


def test_without_missing_entries_it_is_the_likelihood():
    x = np.random.default_rng(0).multivariate_normal(BIAS, COVARIANCE, 20)
    theta, method = from_linear(Linear(LOADINGS, BIAS, NOISE)), process(x)

    @jax.jit
    def step(theta):
        state, info = method.step(method.init(theta, key=jax.random.key(0)), key=jax.random.key(1))
        return state.filled, info.value, info.scalars["e_step_kl"]

    filled, value, kl = step(theta)
    np.testing.assert_array_equal(filled, x)
    exact = -scipy.stats.multivariate_normal(BIAS, COVARIANCE).logpdf(x).mean()
    np.testing.assert_allclose(value, exact, rtol=1e-13)
    assert kl == 0


def test_with_true_conditionals_the_gradient_is_that_of_em_and_no_divergence_is_left():
    """That of the conditionals is 0 even for one draw.

    By quadrature: of the law of two missing entries, of the entry that is drawn, and of its noise.
    """
    seen, missing = [1, 3], [0, 2]
    x = np.array([0.0, 0.9, 0.0, -0.4])
    gain = COVARIANCE[np.ix_(missing, seen)] @ np.linalg.inv(COVARIANCE[np.ix_(seen, seen)])
    mean = BIAS[missing] + gain @ (x[seen] - BIAS[seen])
    root = np.linalg.cholesky(COVARIANCE[np.ix_(missing, missing)] - gain @ COVARIANCE[np.ix_(seen, missing)])
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)  # exact for the quadratic forms that log p is
    cases = list(itertools.product(range(3), range(3), range(3), missing))
    filled = np.tile(x, (len(cases), 1))
    filled[:, missing] = mean + np.array([[nodes[a], nodes[b]] for a, b, _, _ in cases]) @ root.T
    share = np.array([weights[a] * weights[b] * weights[c] for a, b, c, _ in cases]) / weights.sum() ** 3 / 2
    entry, noise = np.array([j for *_, j in cases]), np.array([nodes[c] for _, _, c, _ in cases])
    conditionals, params = exact_conditionals()
    picked = Picked(entry, np.ones(len(cases), bool))
    chart, place = FactorChart(np.ones(4)), FactorCoordinates(LOADINGS, BIAS, np.log(NOISE))
    row = rows(np.where(np.isin(range(4), missing), np.nan, x)[None])

    @jax.jit
    def slopes(place, params, filled, conditionals):
        def bound(place, params):
            theta = chart.to_point(place)
            return jnp.vdot(share, lower_bound(complete_log_prob, conditionals, theta, params, filled, picked, noise))

        def scattered(params):
            """Of one row and one draw alone; and the values of all."""
            theta = chart.to_point(place)
            values = lower_bound(complete_log_prob, conditionals, theta, params, filled, picked, noise)
            return values[0], values

        found = *jax.grad(bound, argnums=(0, 1))(place, params), *jax.grad(scattered, has_aux=True)(params)
        wider = params._replace(log_deviation=params.log_deviation + 0.5, bias=params.bias + 0.1)
        theta = chart.to_point(place)
        told = [divergence(complete_log_prob, conditionals, theta, each, filled, picked) for each in (params, wider)]
        return *found, jax.grad(lambda place: MODEL.clamped(chart.to_point(place), row))(place), told

    found, of_conditionals, of_a_draw, values, exact, (none, some) = slopes(place, params, filled, conditionals)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), found, exact)
    for j in missing:  # log p(x) − log p(x_j | x_−j)
        others = np.arange(4) != j
        logs = scipy.stats.multivariate_normal(BIAS[others], COVARIANCE[np.ix_(others, others)]).logpdf(
            filled[:, others]
        )
        np.testing.assert_allclose(values[entry == j], logs[entry == j], rtol=1e-12)
    for each in (of_conditionals, of_a_draw):
        used = each._replace(slopes=each.slopes * (1 - np.eye(4)))
        jax.tree.map(lambda a: np.testing.assert_allclose(a, 0, atol=1e-12), used)
    np.testing.assert_allclose(none, 0, atol=1e-12)
    deviation = np.exp(params.log_deviation)[entry]
    expected = (np.exp(1) - 1 - 1 + (0.1 / deviation) ** 2) / 2
    np.testing.assert_allclose(some, expected, rtol=1e-10)


def test_the_chain_has_the_law_of_what_is_missing():
    """Copies of one row, under conditionals that are exact and stay so."""
    copies, missing, seen = 4000, [0, 2], [1, 3]
    x = np.tile([np.nan, 0.9, np.nan, -0.4], (copies, 1))
    x[0] = [1.0, 0, -1, 2]  # a column needs two different values
    x[1] = [-1.0, 2, 1, 1]
    method = process(x, optax.set_to_zero(), updates=60, warmup=0)
    _, exact = exact_conditionals()

    @jax.jit
    def moved(theta, params):
        state = method.init(theta, key=jax.random.key(0))._replace(conditionals=params)
        return method.step(state, key=jax.random.key(1))[0].filled

    # in units of the columns as the process has them
    centre, scale = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    slopes = exact.slopes * (1 - np.eye(4))
    params = exact._replace(
        slopes=slopes * scale / scale[:, None],
        log_deviation=exact.log_deviation - np.log(scale),
        bias=(BIAS + slopes @ (centre - BIAS) / 2 - centre) / scale,
    )
    filled = np.asarray(moved(from_linear(Linear(LOADINGS, BIAS, NOISE)), params))[2:]
    np.testing.assert_array_equal(filled[:, seen], x[2:, seen])
    gain = COVARIANCE[np.ix_(missing, seen)] @ np.linalg.inv(COVARIANCE[np.ix_(seen, seen)])
    mean = BIAS[missing] + gain @ (x[2, seen] - BIAS[seen])
    covariance = COVARIANCE[np.ix_(missing, missing)] - gain @ COVARIANCE[np.ix_(seen, missing)]
    deviation = np.sqrt(np.diag(covariance))
    assert np.abs((filled[:, missing].mean(axis=0) - mean) / deviation).max() < 4 / np.sqrt(copies)
    found = np.cov(filled[:, missing].T) / np.outer(deviation, deviation)
    np.testing.assert_allclose(found, covariance / np.outer(deviation, deviation), atol=6 / np.sqrt(copies))


@pytest.mark.slow
def test_it_comes_near_to_the_maximum_of_the_likelihood_of_what_is_seen():
    """Full batches, from rates of 1e-2 to 1e-3 along a cosine; mean imputation is a hundred times as far from it."""
    golden = json.loads(GOLDEN.read_text())
    x, best = np.array(golden["X"], float), golden["mle_obs_loglik_per_row"]
    mean, covariance = np.array(golden["mle_mu"]), np.array(golden["mle_cov"])
    seen = ~np.isnan(x)
    logs = [
        scipy.stats.multivariate_normal(mean[on], covariance[np.ix_(on, on)]).logpdf(row[on])
        for row, on in zip(x, seen, strict=True)
    ]
    np.testing.assert_allclose(np.mean(logs), best, rtol=1e-7)  # the stored maximum is that of the stored rows
    steps, spread = 6000, np.nanstd(x, axis=0)
    method = process(x, optax.adam(optax.cosine_decay_schedule(1e-2, steps, 0.1)))
    loadings = np.random.default_rng(0).normal(size=(5, 2)) * spread[:, None] / 2

    @jax.jit
    def fit(start, data):
        state = method.init(start, key=jax.random.key(0))

        def step(state, index):
            state, info = method.step(state, key=jax.random.fold_in(jax.random.key(1), index))
            return state, info.scalars["e_step_kl"]

        state, kl = jax.lax.scan(step, state, jnp.arange(steps))
        return MODEL.clamped(method.params(state), data), kl

    found, kl = fit(from_linear(Linear(loadings, np.zeros(5), spread**2 / 2)), rows(x))
    gap = best - float(found)
    assert 0 < gap < 0.002
    assert gap < (best - golden["mean_imputation_obs_loglik"]) / 100
    assert np.mean(kl[-500:]) < 0.002 < 0.1 < kl[0]
