"""Skew-normal variational inference: its draws and moments, and a posterior that a Gaussian fits worse."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from classical.methods.skewed import about_mode, skewed
from classical.methods.variational import cvi
from classical.models.approximations import GaussianApproximation, SkewApproximation
from classical.models.posterior import Posterior
from classical.models.surrogate import Parameters
from qnat.geometry.families import Gaussian
from qnat.inference.laws import check_process

SCALE, ETA, LOCATION = np.array([[0.5, 0.1], [0.1, 0.3]]), np.array([2.0, -1.0]), np.array([0.4, -1.0])
PRECISION = np.linalg.inv(SCALE)
PARAMS = Parameters((PRECISION @ LOCATION, -PRECISION / 2), ETA)


def target(params, data):
    """Counts of a Poisson distribution whose mean is e^x: skewed where they are few."""
    return jnp.sum(data * params - jnp.exp(params)) - params @ params / 8


POSTERIOR = (target, np.zeros(2), np.array([1.0, 2.0]))


def test_draws_have_the_moments_that_it_says():
    """And the density that SciPy's Gaussian and distribution function make."""

    @jax.jit
    def found(params):
        kind = SkewApproximation(params)
        x = kind.draws(params, jax.random.key(0), 20_000)
        return x, kind.log_prob(params, x), *kind.moments(params)

    x, log_prob, mean, covariance = map(np.asarray, found(PARAMS))
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=4 * np.sqrt(np.diag(covariance).max() / 20_000))
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.02)
    gauss = scipy.stats.multivariate_normal(LOCATION, SCALE).logpdf(x)
    np.testing.assert_allclose(log_prob, np.log(2) + gauss + scipy.stats.norm.logcdf((x - LOCATION) @ ETA), rtol=1e-9)


def test_it_beats_a_gaussian_where_the_posterior_is_skewed():
    posterior = Posterior(*POSTERIOR)
    skew, gauss = SkewApproximation(about_mode(posterior)), GaussianApproximation(Gaussian())
    methods = ((skew, skewed(posterior.energy, samples=200)), (gauss, cvi(posterior.energy, Gaussian())))

    @jax.jit
    def bounds():
        found = []
        for kind, process in methods:
            state = process.init(kind.start(posterior), key=jax.random.key(0))
            step = lambda state, key, process=process: (process.step(state, key=key)[0], None)  # noqa: E731
            end = process.params(jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 800))[0])
            found.append(kind.log_weights(posterior, end, jax.random.key(2), 20_000))
        return found

    of_skew, of_gauss = map(np.asarray, bounds())
    error = np.hypot(of_skew.std(), of_gauss.std()) / 20_000**0.5
    assert of_skew.mean() - of_gauss.mean() > 3 * error
    grid = np.linspace(-8, 5, 4001)  # the two entries are independent
    logs = [count * grid - np.exp(grid) - grid**2 / 8 for count in POSTERIOR[2]]
    evidence = sum(np.log(np.sum(np.exp(each)) * (grid[1] - grid[0])) for each in logs)
    assert of_skew.mean() < evidence + 4 * error


def test_it_keeps_the_promises_of_a_process():
    posterior = Posterior(*POSTERIOR)
    check_process(skewed(posterior.energy), PARAMS, key=jax.random.key(3))
