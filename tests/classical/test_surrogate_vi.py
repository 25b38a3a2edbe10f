"""Bent Gaussians for a posterior: SciPy's densities, gradients and optima by quadrature, the Gaussian limit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from classical.methods.surrogate_vi import surrogate_vi
from classical.models.shaped_approximation import ShapedApproximation
from classical.models.shapes import SHAPES
from classical.models.surrogate import Parameters
from qnat.inference.laws import check_process

LAMBDA = {"normal": (), "skew_normal": np.array([1.5, -0.7]), "student_t": np.log(4.0)}
KINDS = {**{name: (name, 1) for name in SHAPES}, "mixture": ("normal", 2), "skew mixture": ("skew_normal", 2)}
PRECISION, MEANS = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([[0.5, -1.0], [-1.0, 0.0]])
WEIGHTS = {1: np.array([1.0]), 2: np.array([0.3, 0.7])}


def nightly(*names):
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


def made(name, dimensions=2):
    """A kind of stand-in, and parameters of one, in NumPy; of one dimension the first of two."""
    shape, count = KINDS[name]
    precision, means = PRECISION[:dimensions, :dimensions], MEANS[:count, :dimensions]
    shapes = np.asarray(LAMBDA[shape])[..., :dimensions] if shape == "skew_normal" else LAMBDA[shape]
    stacked = jax.tree.map(lambda leaf: np.stack([np.asarray(leaf)] * count), shapes)
    surrogate = np.log(WEIGHTS[count]), (means @ precision, np.stack([-precision / 2] * count))
    return ShapedApproximation(SHAPES[shape](), count), Parameters(surrogate, stacked)


def exact(name, means, along):
    """The densities of x (N, 2) and of h·x of one component each, by SciPy: (log q, frozen distribution)."""
    shape, covariance, root = KINDS[name][0], np.linalg.inv(PRECISION), np.linalg.cholesky(PRECISION)
    length = np.sqrt(along @ covariance @ along)
    if shape == "student_t":
        nu = 2 + np.exp(LAMBDA[shape])
        log_q = scipy.stats.multivariate_t(means, covariance, df=nu).logpdf
        return log_q, scipy.stats.t(nu, along @ means, length)
    normal = scipy.stats.multivariate_normal(means, covariance)
    if shape == "normal":
        return normal.logpdf, scipy.stats.norm(along @ means, length)
    alpha = LAMBDA[shape]
    cosine = np.linalg.solve(root, along) @ alpha / length
    skew = cosine / np.sqrt(1 + alpha @ alpha - cosine**2)
    return (
        lambda x: np.log(2) + normal.logpdf(x) + scipy.stats.norm.logcdf((x - means) @ root @ alpha),
        scipy.stats.skewnorm(skew, along @ means, length),
    )


@pytest.mark.parametrize("name", ["student_t", "skew mixture", *nightly("normal", "skew_normal", "mixture")])
def test_stand_ins_have_their_density_draws_and_moments(name):
    kind, params = made(name)

    @jax.jit
    def found(params, x):
        return kind.log_prob(params, x), kind.moments(params), kind.draws(params, jax.random.key(0), 40_000)

    x, along = np.random.default_rng(0).normal(size=(50, 2)) * 2, np.array([1.0, 0.5])
    log_q, (mean, covariance), draws = jax.tree.map(np.asarray, found(params, x))
    weights = WEIGHTS[kind.components]
    each = [exact(name, means, along) for means in MEANS[: kind.components]]
    wanted = np.log(sum(w * np.exp(one(x)) for w, (one, _) in zip(weights, each, strict=True)))
    np.testing.assert_allclose(log_q, wanted, atol=1e-10)
    first = sum(w * one.mean() for w, (_, one) in zip(weights, each, strict=True))
    second = sum(w * (one.var() + one.mean() ** 2) for w, (_, one) in zip(weights, each, strict=True))
    np.testing.assert_allclose(along @ mean, first, atol=1e-12)
    np.testing.assert_allclose(along @ covariance @ along, second - first**2, atol=1e-12)
    cdf = lambda t: sum(w * one.cdf(t) for w, (_, one) in zip(weights, each, strict=True))  # noqa: E731
    assert scipy.stats.kstest(draws @ along, cdf).pvalue > 1e-3


STEPS = np.linspace(-6, 6, 4001)
GRID, SPACING = np.sinh(STEPS), np.cosh(STEPS) * (STEPS[1] - STEPS[0])


def energy(x, labels=6):
    """One of the labels is 1, of log-odds x under a wide normal prior: skew unless there are two; tails of exp(−x)."""
    return jnp.sum(labels * jax.nn.softplus(x) - x + x**2 / 200)


def free_energy(kind, params, labels=6):
    """By the trapezoidal rule in asinh x."""
    log_q = kind.log_prob(params, GRID[:, None])
    return jnp.sum(jnp.exp(log_q) * SPACING * (jax.vmap(lambda x: energy(x, labels))(GRID) + log_q))


@pytest.mark.parametrize("name", ["skew mixture", *nightly("student_t", "normal", "skew_normal", "mixture")])
def test_a_step_is_the_natural_gradient_by_quadrature(name):
    """The surrogate's by (π, E[x], E[x²]) of each component, and the plain one by what bends it."""
    kind, params = made(name, dimensions=1)
    rate = 1e-4
    process = surrogate_vi(energy, kind, rate, samples=100_000, warm_up=0)

    @jax.jit
    def both(params):
        state = process.init(params, key=jax.random.key(0))
        state, info = process.step(state, key=jax.random.key(1))
        log_weights, (shift, half) = params.surrogate
        mean, variance = -shift[:, 0] / (2 * half[:, 0, 0]), -1 / (2 * half[:, 0, 0])

        def by_means(weights, mean, second, shapes):
            half = -1 / (2 * (second - mean**2))
            parts = (-2 * half * mean)[:, None], half[:, None, None]
            total = jnp.sum(weights)
            return free_energy(kind, Parameters((jnp.log(weights / total), parts), shapes))

        weights = jnp.exp(log_weights)
        args = weights, mean, mean**2 + variance, params.auxiliary
        return state, info.value, jax.value_and_grad(by_means, argnums=(0, 1, 2, 3))(*args)

    state, value, (wanted, (by_weight, by_mean, by_second, by_shape)) = jax.tree.map(np.asarray, both(params))
    weights = WEIGHTS[kind.components]
    close = {"rtol": 0.03, "atol": 0.03}
    np.testing.assert_allclose(value, wanted, **close)
    np.testing.assert_allclose(
        (params.surrogate[1][0] - state.params.surrogate[1][0])[:, 0] / rate, by_mean / weights, **close
    )
    moved = (params.surrogate[1][1] - state.params.surrogate[1][1])[:, 0, 0] / rate
    np.testing.assert_allclose(moved, by_second / weights, **close)
    np.testing.assert_allclose((params.surrogate[0] - state.params.surrogate[0]) / rate, by_weight, **close)
    for found, each in zip(jax.tree.leaves(state.adam.mu), jax.tree.leaves(by_shape), strict=True):
        np.testing.assert_allclose(10 * found, each, **close)


def best(name, labels):
    """The least free energy of a kind, by SciPy over coordinates of its own and quadrature."""
    kind, params = made(name, dimensions=1)
    shapes, tree = jax.tree.flatten(params.auxiliary)
    count = kind.components

    @jax.jit
    def value(free):
        logits, means, logs, rest = (
            free[:count],
            free[count : 2 * count],
            free[2 * count : 3 * count],
            free[3 * count :],
        )
        precision = jnp.exp(-2 * logs)
        parts = (precision * means)[:, None], -precision[:, None, None] / 2
        auxiliary = jax.tree.unflatten(tree, [rest.reshape(leaf.shape) for leaf in shapes])
        return free_energy(kind, Parameters((jax.nn.log_softmax(logits), parts), auxiliary), labels)

    slope = jax.jit(jax.grad(value))
    start = np.concatenate([np.zeros(count), np.linspace(-3.0, -1.5, count), np.full(count, 0.2)])
    start = np.concatenate([start, *[np.full(leaf.size, -1.0 if name == "skew_normal" else 1.0) for leaf in shapes]])
    return scipy.optimize.minimize(lambda x: float(value(x)), start, jac=lambda x: np.asarray(slope(x))).fun


@pytest.mark.parametrize("name", ["skew_normal", *nightly("normal", "student_t", "mixture")])
def test_the_best_is_found_from_afar(name):
    """And it is better than the best Gaussian, where the posterior has what the shape has."""
    kind, labels = made(name, dimensions=1)[0], 2 if name == "student_t" else 6
    process = surrogate_vi(lambda x: energy(x, labels), kind, samples=50)

    @jax.jit
    def end(key):
        start, steps = jax.random.split(key)
        params = kind.about((jnp.full(1, 300.0), jnp.full((1, 1), -50.0)), jnp.zeros(1))
        state = process.init(params, key=start)
        state, infos = jax.lax.scan(lambda s, each: process.step(s, key=each), state, jax.random.split(steps, 400))
        return free_energy(kind, process.params(state), labels), infos.value

    reached, values = map(np.asarray, end(jax.random.key(0)))
    assert np.isfinite(values).all()
    assert -1e-6 < reached - best(name, labels) < 3e-3
    if name != "normal":
        assert reached < best("normal", labels) - 0.005


@pytest.mark.slow
@pytest.mark.parametrize("name", ["skew mixture", "student_t"])
def test_the_process_keeps_its_promises(name):
    kind, params = made(name)
    check_process(surrogate_vi(energy, kind, samples=4, warm_up=2), params, key=jax.random.key(3))


def test_rates_and_components_are_checked():
    kind, _ = made("normal")
    with pytest.raises(ValueError, match=r"in \(0, 1\]; got 0"):
        surrogate_vi(jnp.sum, kind, 0)
    with pytest.raises(ValueError, match="at least 1 component; got 0"):
        surrogate_vi(jnp.sum, ShapedApproximation(kind.shape, 0))
