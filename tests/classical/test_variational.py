"""Natural-gradient steps on a Gaussian posterior: stored numbers, conjugate models, quadrature, the cone."""

import json
import pathlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from classical.methods.advi import advi
from classical.methods.laplace import laplace
from classical.methods.retractions import RETRACTIONS
from classical.methods.variational import cvi, qbvi
from classical.models import gaussian_posterior as posterior
from qnat.geometry import Dual
from qnat.geometry.families import BlockGaussian, DiagonalGaussian, Gaussian, IsotropicGaussian
from qnat.inference.expectation import AbstractEstimator, Points, Score, free_energy
from qnat.inference.laws import check_process
from qnat.optim import mirror_descent

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "qbvi_step.json").read_text())
FAMILIES = [Gaussian(), DiagonalGaussian(), IsotropicGaussian(), BlockGaussian((1, 2))]
X, Y = np.array(GOLDEN["X"]), np.array(GOLDEN["y"])


class Noise(AbstractEstimator):
    """The score estimator at given noise, in place of draws, and its baseline; or quadrature, with weights."""

    noise: Any
    weights: Any
    left_out: bool = eqx.field(static=True)

    def points(self, family, theta, key):
        held = jax.lax.stop_gradient(theta)
        x = jax.vmap(lambda noise: family.from_noise(held, noise))(jnp.asarray(self.noise))
        log_p = jax.vmap(lambda one: family.log_prob(theta, one))(x)
        return Points(x, jnp.exp(log_p - jax.lax.stop_gradient(log_p)) * self.weights)

    def baseline(self, values):
        others = (jnp.sum(values) - values) / (len(values) - 1)
        return others if self.left_out else jnp.zeros_like(values)


def nodes(count, dimensions):
    """Gauss–Hermite nodes and weights of a product rule."""
    node, weight = np.polynomial.hermite_e.hermegauss(count)
    grid = np.stack(np.meshgrid(*[node] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    weights = np.prod(np.stack(np.meshgrid(*[weight] * dimensions, indexing="ij"), axis=-1), axis=-1).ravel()
    return grid, weights / weights.sum()


def quadrature(count=20, dimensions=3):
    return Noise(*nodes(count, dimensions), left_out=False)


def log_likelihood(w):
    return jnp.sum(Y * (X @ w) - jax.nn.softplus(X @ w))


def start(family, mean, precision):
    """θ of a mean, and of what the structure takes of a precision; what is taken, as a matrix; in NumPy."""
    if isinstance(family, Gaussian):
        half, taken = -precision / 2, precision
    elif isinstance(family, DiagonalGaussian):
        half, taken = -np.diag(precision) / 2, np.diag(np.diag(precision))
    elif isinstance(family, IsotropicGaussian):
        half, taken = -np.trace(precision) / 6, np.eye(3) * np.trace(precision) / 3
    else:
        half = -precision[:1, :1] / 2, -precision[1:, 1:] / 2
        taken = scipy.linalg.block_diag(precision[:1, :1], precision[1:, 1:])
    return (taken @ mean, half), taken


SIGMA, MEAN, PRIOR = np.array(GOLDEN["Sigma"]), np.array(GOLDEN["mu"]), 1 / GOLDEN["prior_var"]


@eqx.filter_jit
def stepped(family, theta, estimator, rate):
    """A step by each retraction, the prior and the entropy in closed form as the stored numbers have them."""

    def loss(centred, mean):
        moments = family.to_dual(centred)
        mean_square = jnp.trace(posterior.covariance_of(family, centred)) + moments[0] @ (moments[0] + 2 * mean)

        def energy(x):
            return -log_likelihood(mean + x)

        likelihood = free_energy(family, centred, energy, estimator=estimator, exact_entropy=True)
        return likelihood + PRIOR * mean_square / 2

    slope = posterior.by_means(family, theta, loss)[1]
    change = jax.tree.map(lambda g: -rate * g, slope)
    return {name: move(family, theta, change) for name, move in RETRACTIONS.items()}


@pytest.mark.parametrize("baseline", ["raw", "loo_baseline"])
def test_a_step_of_all_covariances_is_the_stored_one(baseline):
    stored, eps = GOLDEN["full"][baseline], np.array(GOLDEN["eps"])
    theta, precision = start(Gaussian(), MEAN, np.linalg.inv(SIGMA))
    # x = μ + Cε with Σ = CCᵀ; the family's noise has another root of Σ
    noise = eps @ np.linalg.cholesky(SIGMA).T @ np.linalg.cholesky(precision)
    found = stepped(Gaussian(), theta, Noise(noise, np.full(8, 1 / 8), baseline != "raw"), GOLDEN["beta"])
    new = np.asarray(-2 * found["additive"][1])
    np.testing.assert_allclose(new, stored["new_precision"], rtol=1e-10)
    np.testing.assert_allclose(np.linalg.solve(new, found["additive"][0]), stored["new_mu"], rtol=1e-10)
    np.testing.assert_allclose(-2 * found["second_order"][1], stored["new_precision_retraction2"], rtol=1e-10)


def test_a_step_of_variances_is_the_stored_one():
    stored = GOLDEN["diag"]
    theta, _ = start(DiagonalGaussian(), MEAN, np.diag(stored["precision"]))
    found = stepped(DiagonalGaussian(), theta, Noise(np.array(GOLDEN["eps"]), np.full(8, 1 / 8), True), GOLDEN["beta"])
    new = np.asarray(-2 * found["additive"][1])
    np.testing.assert_allclose(new, stored["new_precision"], rtol=1e-10)
    np.testing.assert_allclose(found["additive"][0] / new, stored["new_mu"], rtol=1e-10)
    np.testing.assert_allclose(-2 * found["multiplicative"][1], stored["new_precision_exp_retraction"], rtol=1e-10)


def test_scores_are_what_bonnet_and_price_say():
    """The stored means of gradients and Hessians by another quadrature, without the prior: F = −E[log p] − S."""
    theta, _ = start(Gaussian(), MEAN, np.linalg.inv(SIGMA))
    new = stepped(Gaussian(), theta, quadrature(), 1.0)["additive"]
    stored = GOLDEN["quadrature"]
    np.testing.assert_allclose(-2 * new[1] - PRIOR * np.eye(3), stored["G_Lambda"], atol=1e-6)
    gradient = np.asarray(new[0]) + 2 * np.asarray(new[1]) @ MEAN + PRIOR * MEAN
    np.testing.assert_allclose(gradient, stored["G_mu"], atol=1e-6)


@pytest.mark.parametrize(
    "family",
    [*FAMILIES[:2], *(pytest.param(family, marks=pytest.mark.slow) for family in FAMILIES[2:])],
    ids=lambda family: type(family).__name__,
)
def test_values_and_derivatives_give_the_same_step(family):
    """By quadrature, of every structure; and both are mirror descent on the mean parameters, where there is no sum."""
    theta, _ = start(family, MEAN, np.linalg.inv(SIGMA))
    exact = quadrature()

    def energy(x):
        return x @ x / 10 - log_likelihood(x)

    @jax.jit
    def steps(theta):
        each = [method(energy, family, 0.3, estimator=exact) for method in (qbvi, cvi)]
        moved = [process.step(theta, key=jax.random.key(0)) for process in each]
        mirror = mirror_descent(0.3, Dual(family), accept=None)
        eta = family.to_dual(theta)
        slope = jax.grad(lambda eta: free_energy(family, family.to_primal(eta), energy, estimator=exact))(eta)
        change, _ = mirror.update(slope, mirror.init(eta), eta)
        return moved, family.to_primal(jax.tree.map(jnp.add, eta, change))

    ((by_values, first), (by_derivatives, second)), mirrored = steps(theta)
    for other, tolerance in ((by_derivatives, 1e-6), (mirrored, 1e-10)):
        for a, b in zip(jax.tree.leaves(by_values), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(first.value, second.value, rtol=1e-10)


def test_a_far_start_where_the_energy_is_not_convex_leads_to_the_mode():
    """Weight and log noise of a regression on 5000 rows, correlated by 0.8: the first curvature is indefinite."""

    def energy(x):
        log_noise, weight = x
        return 5000 * (jnp.exp(-2 * log_noise) * (1 - 1.6 * weight + weight**2) / 2 + log_noise)

    process = cvi(energy, Gaussian(), 0.2)
    theta = np.zeros(2), -50 * np.eye(2)

    @jax.jit
    def end(theta):
        step = lambda theta, key: (process.step(theta, key=key)[0], None)  # noqa: E731
        theta, _ = jax.lax.scan(step, theta, jax.random.split(jax.random.key(0), 60))
        return posterior.mean_of(Gaussian(), theta), posterior.covariance_of(Gaussian(), theta)

    mean, covariance = map(np.asarray, end(theta))
    np.testing.assert_allclose(mean, [np.log(0.6), 0.8], atol=0.01)
    np.testing.assert_allclose(np.diag(covariance), [1 / 10_000, 0.36 / 5000], rtol=0.1)


@pytest.mark.parametrize("method", [qbvi, cvi])
def test_one_whole_step_lands_on_a_conjugate_posterior(method):
    precision, shift = X.T @ X / 0.3 + np.eye(3) / 5, X.T @ Y / 0.3

    def energy(x):
        return jnp.sum((Y - X @ x) ** 2) / 0.6 + x @ x / 10

    theta, _ = start(Gaussian(), MEAN, np.linalg.inv(SIGMA))
    process = method(energy, Gaussian(), 1.0, estimator=quadrature(4), retraction="additive")
    new, _ = jax.jit(lambda theta: process.step(theta, key=jax.random.key(0)))(theta)
    np.testing.assert_allclose(-2 * new[1], precision, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(new[0], shift, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "family",
    [
        *(pytest.param(family, marks=pytest.mark.slow) for family in FAMILIES[:-1]),
        FAMILIES[-1],  # blocks, of one column and of two, are of full and of diagonal ones
    ],
    ids=lambda family: type(family).__name__,
)
@pytest.mark.parametrize("retraction", list(RETRACTIONS))
def test_no_step_leaves_the_cone(family, retraction):
    """Eight draws of an energy of hundreds, half of the way: every step is noise."""
    theta, _ = start(family, MEAN, np.linalg.inv(SIGMA))
    process = qbvi(
        lambda x: x @ x / 2 - 40 * log_likelihood(3 * x),
        family,
        0.5,
        estimator=Score(8, antithetic=True),
        retraction=retraction,
    )

    @jax.jit
    def least(theta):
        def step(theta, key):
            theta, _ = process.step(theta, key=key)
            return theta, jnp.isfinite(family.potential(theta))

        return jax.lax.scan(step, theta, jax.random.split(jax.random.key(1), 200))[1]

    assert np.asarray(least(theta)).all()


@pytest.mark.parametrize(
    "family",
    [FAMILIES[0], *(pytest.param(family, marks=pytest.mark.slow) for family in FAMILIES[1:])],
    ids=lambda family: type(family).__name__,
)
@pytest.mark.parametrize("method", [qbvi, cvi])
def test_processes_keep_their_promises(family, method):
    theta, _ = start(family, MEAN, np.linalg.inv(SIGMA))
    check_process(method(lambda x: x @ x - log_likelihood(x), family), theta, key=jax.random.key(3))


@pytest.mark.parametrize(
    ("made", "family"),
    [
        (laplace, FAMILIES[0]),
        (lambda e: advi(e, FAMILIES[0]), FAMILIES[0]),
        pytest.param(lambda e: advi(e, FAMILIES[1]), FAMILIES[1], marks=pytest.mark.slow),
    ],
    ids=["laplace", "advi", "advi, diagonal"],
)
def test_optimisers_find_the_best_gaussian(made, family):
    """Of a normal posterior, or of its structure: precisions of independent entries are the diagonal of its own."""
    precision, mean = np.array([[3.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, 1.0]]), np.array([1.0, -2.0, 0.5])
    process = made(lambda x: (x - mean) @ jnp.asarray(precision) @ (x - mean) / 2)
    theta, _ = start(family, MEAN, np.linalg.inv(SIGMA))
    check_process(process, theta, key=jax.random.key(4))

    @jax.jit
    def run(theta):
        state = process.init(theta, key=jax.random.key(0))
        step = lambda state, key: (process.step(state, key=key)[0], None)  # noqa: E731
        end = process.params(jax.lax.scan(step, state, jax.random.split(jax.random.key(5), 2000))[0])
        return posterior.mean_of(family, end), posterior.covariance_of(family, end)

    found, covariance = map(np.asarray, run(theta))
    exact = np.linalg.inv(precision) if isinstance(family, Gaussian) else np.diag(1 / np.diag(precision))
    tolerance = 1e-8 if made is laplace else 0.12
    np.testing.assert_allclose(found, mean, atol=tolerance)
    np.testing.assert_allclose(covariance, exact, atol=tolerance)


def test_rates_and_retractions_are_checked():
    with pytest.raises(ValueError, match=r"in \(0, 1\]; got 1.5"):
        qbvi(jnp.sum, Gaussian(), 1.5)
    with pytest.raises(ValueError, match="second_order, multiplicative, additive; got 'round'"):
        cvi(jnp.sum, Gaussian(), retraction="round")
