"""Densities that have surrogates: against SciPy's, in both precisions, and their integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from jax.flatten_util import ravel_pytree

from classical.models import student
from classical.models.copula import TCopula
from classical.models.counts import NegativeBinomial, NegativeBinomialMixture
from classical.models.skew import SkewNormal, SkewNormalMixture, SkewT
from classical.models.surrogate import Parameters

T = scipy.stats.t


def natural(mean, covariance):
    """θ of a Gaussian, in NumPy."""
    precision = np.linalg.inv(covariance)
    return precision @ mean, -precision / 2


RNG = np.random.default_rng(3)
XI, OMEGA, ETA = (
    np.array([0.3, -0.2, 1.0]),
    np.array([[1.5, 0.2, 0.1], [0.2, 0.8, -0.3], [0.1, -0.3, 1.1]]),
    np.array([2, -1, 0.5]),
)
ROWS = np.concatenate([RNG.normal(size=(20, 3)) + XI, [[9.0, -4.0, 3.0], [-30.0, 10.0, 0.0]]])
NUMBERS = np.array([0, 1, 3, 8, 40, 500.0])
UNIFORM = RNG.uniform(size=(20, 3))
RS = np.array([[4.5, 0.35], [20.0, 0.6]])
WEIGHTS = np.array([0.3, 0.7])
PARTS = [(XI, OMEGA, ETA), (-XI, OMEGA[::-1, ::-1], ETA[::-1])]


def gamma(r, s):
    return np.stack([r * (1 - s) - 1, -s], axis=-1)


def skew_normal(x, xi, omega, eta):
    return np.log(2) + scipy.stats.multivariate_normal(xi, omega).logpdf(x) + scipy.stats.norm.logcdf((x - xi) @ eta)


def skew_t(x, xi, omega, eta, nu):
    square = np.einsum("ni,ij,nj->n", x - xi, np.linalg.inv(omega), x - xi)
    argument = (x - xi) @ eta * np.sqrt((nu + len(xi)) / (nu + square))
    return np.log(2) + scipy.stats.multivariate_t(xi, omega, nu).logpdf(x) + T.logcdf(argument, nu + len(xi))


def t_copula(u, covariance, nu):
    widths = np.sqrt(np.diagonal(covariance))
    z = T.ppf(u, nu)
    joint = scipy.stats.multivariate_t(np.zeros(len(widths)), covariance / np.outer(widths, widths), nu)
    return joint.logpdf(z) - T.logpdf(z, nu).sum(axis=1)


def mixed(log_p):
    return scipy.special.logsumexp(np.stack(log_p, axis=1) + np.log(WEIGHTS), axis=1)


def joint_point(potentials, parts):
    """θ of a mixture with its label, with a constant added that does not matter."""
    return np.log(WEIGHTS) - potentials + 0.7, parts


def gaussian_potential(xi, omega):
    return xi @ np.linalg.inv(omega) @ xi / 2 + np.linalg.slogdet(omega)[1] / 2


GAMMA_POTENTIALS = scipy.special.gammaln(gamma(*RS.T)[:, 0] + 1) - (gamma(*RS.T)[:, 0] + 1) * np.log(RS[:, 1])
STACKED = tuple(np.stack(leaf) for leaf in zip(*[natural(xi, omega) for xi, omega, _ in PARTS], strict=True))
DENSITIES = {
    "negative binomial": (
        NegativeBinomial(),
        Parameters(gamma(*RS[0])),
        NUMBERS,
        scipy.stats.nbinom.logpmf(NUMBERS, *RS[0]),
    ),
    "negative binomials": (
        NegativeBinomialMixture(2),
        Parameters(joint_point(GAMMA_POTENTIALS, gamma(*RS.T))),
        NUMBERS,
        mixed([scipy.stats.nbinom.logpmf(NUMBERS, *rs) for rs in RS]),
    ),
    "skew-normal": (SkewNormal(), Parameters(natural(XI, OMEGA), ETA), ROWS, skew_normal(ROWS, XI, OMEGA, ETA)),
    "skew-normal, one column": (
        SkewNormal(),
        Parameters(natural(XI[:1], np.array([[2.25]])), np.array([2.0])),
        ROWS[:, :1],
        scipy.stats.skewnorm(3.0, XI[0], 1.5).logpdf(ROWS[:, 0]),
    ),
    "skew-normals": (
        SkewNormalMixture(2),
        Parameters(joint_point([gaussian_potential(*part[:2]) for part in PARTS], STACKED), np.stack([ETA, ETA[::-1]])),
        ROWS,
        mixed([skew_normal(ROWS, *part) for part in PARTS]),
    ),
    "skew-t": (
        SkewT(),
        Parameters(natural(XI, OMEGA), (ETA, np.log(3.5 - 2))),
        ROWS,
        skew_t(ROWS, XI, OMEGA, ETA, 3.5),
    ),
    "t copula": (
        TCopula(1.0),
        Parameters(natural(np.zeros(3), OMEGA), np.log(3.5 - 1)),
        UNIFORM,
        t_copula(UNIFORM, OMEGA, 3.5),
    ),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_are_those_of_scipy(name):
    density, params, x, wanted = DENSITIES[name]

    @jax.jit
    def described(params, x):
        free = density.to_free(params)
        again = density.to_free(density.from_free(free))
        same = jnp.max(jnp.abs(ravel_pytree(free)[0] - ravel_pytree(again)[0]))
        return (
            density.log_prob(params, x),
            density.log_prob(density.from_free(free), x),
            same,
            density.inside(params.surrogate),
        )

    found, freely, same, inside = described(params, x)
    np.testing.assert_allclose(found, wanted, rtol=1e-11)
    np.testing.assert_allclose(freely, wanted, rtol=1e-11)
    assert same < 1e-12
    assert inside


@pytest.mark.parametrize(
    "name", [name if name == "skew-t" else pytest.param(name, marks=pytest.mark.slow) for name in DENSITIES]
)
def test_densities_keep_single_precision(name):
    density, params, x, wanted = DENSITIES[name]
    single = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), (params, x))
    found, slope = jax.jit(lambda p, x: (density.log_prob(p, x), jax.grad(density.loss)(p, x)))(*single)
    assert {leaf.dtype for leaf in jax.tree.leaves((found, slope))} == {np.dtype(np.float32)}
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slope))


def test_densities_integrate_to_one():
    grid = np.linspace(-60, 60, 24001)[:, None]
    u, weights = np.polynomial.legendre.leggauss(200)
    # the density of a copula is infinite in the corners: u = sin²(πv/2) makes them flat
    v = (u + 1) / 2
    u, weights = np.sin(np.pi * v / 2) ** 2, weights / 2 * np.pi * np.sin(np.pi * v) / 2
    square = np.stack(np.meshgrid(u, u), axis=-1).reshape(-1, 2)
    theta = natural(XI[:1], np.array([[2.25]]))
    cases = [
        (NegativeBinomial(), Parameters(gamma(*RS[0])), np.arange(2000.0), 1.0, 1e-11),
        (SkewNormal(), Parameters(theta, np.array([2.0])), grid, 0.005, 1e-11),
        (SkewT(6.0), Parameters(theta, (np.array([-2.0]), np.log(3.0))), grid, 0.005, 1e-9),
        (
            TCopula(),
            Parameters(natural(np.zeros(2), OMEGA[1:, 1:]), np.log(4.0)),
            square,
            np.outer(weights, weights).ravel(),
            1e-6,
        ),
    ]
    for density, params, x, weight, error in cases:
        total = np.sum(weight * np.exp(jax.jit(density.log_prob)(params, x)))
        np.testing.assert_allclose(total, 1, atol=error, err_msg=type(density).__name__)


@pytest.mark.parametrize("nu", [1.0, *(pytest.param(nu, marks=pytest.mark.slow) for nu in (2.5, 60.0)), 7.0, 1e4])
def test_students_distribution_and_its_derivatives(nu):
    t = np.concatenate([-np.geomspace(1e4, 1e-3, 30), [0], np.geomspace(1e-3, 1e2, 30)])
    t, step = t[T.logcdf(t, nu) > -300], 1e-4 * nu
    u = np.concatenate([np.geomspace(1e-9, 0.5, 20), 1 - np.geomspace(1e-6, 0.49, 20)])

    @jax.jit
    def described(t, u, nu):
        by_both = jax.vmap(jax.value_and_grad(student.log_cdf, argnums=(0, 1)), (0, None))
        quantiles = jax.vmap(jax.value_and_grad(student.quantile, argnums=(0, 1)), (0, None))
        return by_both(t, nu), quantiles(u, nu), student.log_pdf(t, nu)

    (log_cdf, (by_t, by_nu)), (quantile, (by_u, q_by_nu)), log_pdf = described(t, u, np.array(nu))
    wanted = T.logcdf(t, nu)
    np.testing.assert_allclose(log_pdf, T.logpdf(t, nu), rtol=1e-10)
    np.testing.assert_allclose(log_cdf, wanted, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(by_t, np.exp(T.logpdf(t, nu) - wanted), rtol=1e-9)
    slope = (T.logcdf(t, nu + step) - T.logcdf(t, nu - step)) / (2 * step)
    np.testing.assert_allclose(by_nu, slope, atol=1e-7 * np.abs(slope).max() + 1e-10)
    np.testing.assert_allclose(quantile, T.ppf(u, nu), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(by_u, np.exp(-T.logpdf(T.ppf(u, nu), nu)), rtol=1e-8)
    slope = (T.ppf(u, nu + step) - T.ppf(u, nu - step)) / (2 * step)
    np.testing.assert_allclose(q_by_nu, slope, rtol=1e-4, atol=1e-9)
