"""Charts of mixtures: the law, the Fisher metric where two means meet, what depends on the chart and what does not."""

import functools
import json
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classical.methods.density_fisher import quadrature_fisher
from classical.methods.gradient_em import gradient_em
from classical.models.known_weights import KnownWeights
from classical.models.mixture_charts import (
    LEAST,
    CentredMeans,
    OrderedMeans,
    RelativeMeans,
    SquaredMeans,
    StandardMeans,
)
from qnat.geometry import laws, pulled
from qnat.geometry.families import Normal
from qnat.inference import descend, em
from qnat.optim import natural_gradient, projected

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "gmm_fisher.json").read_text())["cases"]
STEP = 0.125
GRID = np.arange(-12, 12 + STEP, STEP)[:, None]
CHARTS = ("standard", "relative", "centred", "ordered", "squared")
both_precisions = pytest.mark.parametrize(
    "dtype", [pytest.param(np.float32, id="float32", marks=pytest.mark.slow), pytest.param(np.float64, id="float64")]
)


def charts(weights, direction):
    return {
        "standard": StandardMeans(),
        "relative": RelativeMeans(),
        "centred": CentredMeans(weights),
        "ordered": OrderedMeans(weights, direction),
        "squared": SquaredMeans(weights, direction),
    }


def fisher(log_prob):
    return quadrature_fisher(log_prob, lambda _: (GRID, np.full(len(GRID), STEP)))


# K components in d dimensions, ordered along a direction
WEIGHTS = np.array([0.2, 0.1, 0.3, 0.15, 0.25])
MEANS = np.array([[-2.0, 0.3, 1.0], [-1.1, -0.8, 0.2], [0.1, 1.5, -0.4], [0.8, 0.1, 0.6], [2.3, -0.7, 0.9]])
DIRECTION = {1: np.array([1.0]), 3: np.array([2.0, -1.0, 2.0]) / 3}


@both_precisions
@pytest.mark.parametrize(("count", "dim"), [(2, 1), (5, 1), (2, 3), (5, 3)])
@pytest.mark.parametrize("name", CHARTS)
def test_charts_obey_the_law(name, count, dim, dtype):
    weights, direction = WEIGHTS[:count] / WEIGHTS[:count].sum(), DIRECTION[dim]
    means = MEANS[:count, :dim]
    means = means[np.argsort(means @ direction)].astype(dtype)
    chart = charts(weights.astype(dtype), direction.astype(dtype))[name]
    laws.check_chart(chart, eqx.filter_jit(chart.from_point)(means))


@pytest.mark.parametrize("name", CHARTS)
def test_the_fisher_metric_is_pulled_back(name):
    weights = np.array([0.2, 0.5, 0.3])
    model, chart = KnownWeights(Normal(), weights), charts(weights, DIRECTION[1])[name]
    coordinates = eqx.filter_jit(chart.from_point)(np.array([[-1.0], [0.2], [1.5]]))
    laws.check_chart(chart, coordinates, in_chart=lambda to_point: fisher(lambda c, x: model.log_prob(to_point(c), x)))


@functools.cache
def near_the_singularity():
    @jax.jit
    def matrices(weights, means):
        model = KnownWeights(Normal(), weights)
        metric = fisher(model.log_prob)
        found = {}
        for name, chart in charts(weights, jnp.ones(1)).items():
            here = chart.from_point(means)
            found[name] = pulled(metric, chart).at(here).as_matrix()
        return found

    return matrices


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"v={case['v']}, u={case['u']}")
def test_the_fisher_metric_where_two_means_meet(case):
    v = float(case["v"])
    means = np.array([[float(case["m1"])], [float(case["m2"])]])
    found = jax.tree.map(np.asarray, near_the_singularity()(np.array([1 - v, v]), means))
    centred = np.array(case["F_cu"], float)
    scale = np.sqrt(np.outer(np.diag(centred), np.diag(centred)))  # of F_cu, which is rounding beside it at small u
    np.testing.assert_allclose(found["standard"], np.array(case["F_m1m2"], float), rtol=1e-12)
    np.testing.assert_allclose(found["centred"] / scale, centred / scale, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found["ordered"][1, 1], float(case["F_logu"]), rtol=1e-12)
    squared = np.array([[centred[0, 0], float(case["F_cs"])], [float(case["F_cs"]), float(case["F_ss"])]])
    np.testing.assert_allclose(found["squared"], squared, rtol=1e-12, atol=1e-12)
    if float(case["u"]) == 1e-3:
        np.testing.assert_allclose(found["squared"][1, 1], v**2 * (1 - v) ** 2 / 2, rtol=1e-6)


def test_in_a_plane_the_squared_chart_is_regular_where_two_means_meet():
    """Along a direction that is not that of the chart; the centred chart's metric vanishes there as |u|²."""
    weights, gap = np.array([0.4, 0.6]), np.array([0.6, 0.8])
    axis = np.arange(-7, 7.25, 0.25)
    nodes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)

    @jax.jit
    def least(size):
        model = KnownWeights(Normal(), weights)
        metric = quadrature_fisher(model.log_prob, lambda _: (nodes, np.full(len(nodes), 0.0625)))
        means = CentredMeans(weights).to_point(jnp.stack([jnp.zeros(2), size * gap]))
        squared = SquaredMeans(weights, jnp.array([1.0, 0.0]))
        levels = [
            jnp.linalg.eigvalsh(pulled(metric, chart).at(chart.from_point(means)).as_matrix())
            for chart in (CentredMeans(weights), squared)
        ]
        return levels[0][0] / size**2, levels[1][0]

    far, near = np.array(least(1e-2)), np.array(least(1e-3))
    assert np.all(near > 1e-3)
    np.testing.assert_allclose(near, far, rtol=1e-3)  # both have a limit


def test_pairs_that_share_a_component_are_refused():
    with pytest.raises(ValueError, match=r"squares the gaps of pairs of 3 components that have none in common"):
        SquaredMeans(np.full(3, 1 / 3), np.ones(1), ((0, 1), (1, 2)))
    with pytest.raises(ValueError, match="of 2 components"):
        SquaredMeans(np.full(2, 0.5), np.ones(1), ((0, 2),))


@pytest.mark.parametrize("name", ["ordered", "squared"])
def test_the_other_order_has_no_coordinates(name):
    chart = charts(np.array([0.5, 0.5]), np.ones(1))[name]
    assert np.isnan(eqx.filter_jit(chart.from_point)(np.array([[1.0], [-1.0]]))[1, 0])


def test_squares_are_projected_to_positive_ones():
    chart = SquaredMeans(np.array([0.5, 0.5]), DIRECTION[3])
    outside = np.array([[1.0, 2.0, 3.0], [-0.3, 0.2, 0.1]])
    found = np.asarray(eqx.filter_jit(chart.project)(outside))
    np.testing.assert_allclose(found[1] @ DIRECTION[3], LEAST, rtol=1e-3)
    moved = found - outside
    np.testing.assert_array_equal(moved[0], 0)
    np.testing.assert_allclose(moved[1] - (moved[1] @ DIRECTION[3]) * DIRECTION[3], 0, atol=1e-15)


@pytest.mark.parametrize("name", CHARTS[1:])
def test_expectation_maximisation_does_not_know_the_chart(name):
    """Fifty steps whose M-step is Newton's method in the coordinates, against the closed form in the means."""
    weights = np.array([0.7, 0.3])
    data = (np.random.default_rng(1).normal(size=(40, 1)) * 1.5, np.full(40, 1 / 40))
    start = np.array([[-0.2], [0.1]])

    @jax.jit
    def both(start):
        model, chart = KnownWeights(Normal(), weights), charts(weights, jnp.ones(1))[name]
        process = em(model, data=data)
        state, here = process.init(model.joint(start)), chart.from_point(start)

        def step(carry, _):
            state, here = carry
            eta, _ = model.expected(model.joint(chart.to_point(here)), data)

            def lack(c):
                a, m = model.joint(chart.to_point(c.reshape(2, 1)))
                return -(eta[0] @ a + jnp.sum(eta[1] * m))

            def newton(_, c):
                return c - jnp.linalg.solve(jax.hessian(lack)(c), jax.grad(lack)(c))

            here = jax.lax.fori_loop(0, 40, newton, here.reshape(-1)).reshape(2, 1)
            state, _ = process.step(state)
            return (state, here), (process.params(state)[1], chart.to_point(here))

        return jax.lax.scan(step, (state, here), None, 50)[1]

    direct, charted = both(start)
    assert np.abs(direct[-1] - start).max() > 0.3
    np.testing.assert_allclose(charted, direct, atol=1e-12)


@pytest.mark.parametrize("name", CHARTS)
def test_one_gradient_step_of_the_m_step_is_gradient_descent(name):
    weights = np.array([0.7, 0.3])
    data = (np.random.default_rng(1).normal(size=(40, 1)) * 1.5, np.full(40, 1 / 40))

    @jax.jit
    def both(means):
        model, chart = KnownWeights(Normal(), weights), charts(weights, jnp.ones(1))[name]
        here = chart.from_point(means)

        def loss(c):
            return -data[1] @ model.log_prob(chart.to_point(c), data[0])

        ends = []
        for steps in (1, 3):
            process = gradient_em(model, lambda c: model.joint(chart.to_point(c)), 0.1, steps=steps, data=data)
            state, info = process.step(process.init(here))
            ends.append(process.params(state))
        return here - 0.1 * jax.grad(loss)(here), *ends, loss(here), info.value

    descent, one, three, loss, said = both(np.array([[-0.2], [0.5]]))
    np.testing.assert_allclose(one, descent, rtol=1e-13)
    np.testing.assert_allclose(said, loss, rtol=1e-14)
    assert np.abs(three - one).max() > 0.01


def test_at_equal_weights_and_means_a_step_of_rate_two_is_one_of_em():
    """Where every responsibility sums to a half: in the symmetric case only."""
    truth = np.exp(-((GRID[:, 0] - 1) ** 2) / 2) + np.exp(-((GRID[:, 0] + 1) ** 2) / 2)
    data = (GRID, truth / truth.sum())

    @jax.jit
    def both(means):
        model = KnownWeights(Normal(), jnp.array([0.5, 0.5]))
        process = em(model, data=data)
        state, _ = process.step(process.init(model.joint(means)))
        step = 2 * jax.grad(lambda m: data[1] @ model.log_prob(m, GRID))(means)
        return process.params(state)[1], means + step

    np.testing.assert_allclose(*both(np.array([[-0.1], [0.1]])), rtol=1e-12)


@pytest.mark.parametrize(("name", "least", "most"), [("squared", 1, 5), ("standard", 2, 10), ("EM", 100, 130)])
def test_the_plateau_is_that_of_em(name, least, most):
    """Means ∓¼ from ∓0.005: steps until KL < 10⁻⁹."""
    weights, truth, start = np.array([0.5, 0.5]), np.array([[-0.25], [0.25]]), np.array([[-0.005], [0.005]])

    @jax.jit
    def divergences(start):
        model = KnownWeights(Normal(), weights)
        log_truth = model.log_prob(truth, GRID)
        masses = STEP * jnp.exp(log_truth)
        if name == "EM":
            process, here = em(model, data=(GRID, masses)), model.joint(start)
        else:
            chart = charts(weights, jnp.ones(1))[name]
            metric = pulled(fisher(model.log_prob), chart)

            def loss(c, _batch, _key):
                return jax.value_and_grad(lambda c: masses @ (log_truth - model.log_prob(chart.to_point(c), GRID)))(c)

            process = descend(loss, projected(natural_gradient(1.0, metric), chart.project))
            here = chart.from_point(start)

        def step(state, _):
            state, info = process.step(state)
            return state, info.value + (masses @ log_truth if name == "EM" else 0)

        return jax.lax.scan(step, process.init(here), None, most + 1)[1]

    below = np.asarray(divergences(start)) < 1e-9
    assert below[-1]
    assert least <= np.argmax(below) <= most


@pytest.mark.parametrize(
    "name",
    [name if name in ("standard", "squared") else pytest.param(name, marks=pytest.mark.slow) for name in CHARTS],
)
def test_natural_gradients_in_every_chart_find_the_maximum_of_em(name):
    """Three components in a plane, of which the first two start close together."""
    weights, direction = np.array([0.3, 0.3, 0.4]), np.array([0.8, -0.6])
    truth = np.array([[-1.5, 0.5], [0.5, -1.0], [3.0, 1.5]])
    rng = np.random.default_rng(2)
    data = (truth[rng.choice(3, size=90, p=weights)] + rng.normal(size=(90, 2)), np.full(90, 1 / 90))
    start = np.array([[-0.1, 0.0], [0.2, -0.1], [2.0, 1.0]])
    axis = np.arange(-7, 7.5, 0.5)
    nodes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)

    @jax.jit
    def losses(start):
        model, chart = KnownWeights(Normal(), weights), charts(weights, direction)[name]
        metric = quadrature_fisher(model.log_prob, lambda _: (nodes, np.full(len(nodes), 0.25)))
        optimizer = projected(natural_gradient(1.0, pulled(metric, chart)), chart.project)

        def loss(c, _batch, _key):
            return jax.value_and_grad(lambda c: -data[1] @ model.log_prob(chart.to_point(c), data[0]))(c)

        def last(process, first, steps):
            state = jax.lax.fori_loop(0, steps, lambda _, s: process.step(s)[0], process.init(first))
            return process.step(state)[1].value

        by_em = last(em(model, data=data), model.joint(start), 3000)
        return last(descend(loss, optimizer), chart.from_point(start), 150), by_em

    natural, by_em = losses(start)
    np.testing.assert_allclose(natural, by_em, rtol=1e-10)
