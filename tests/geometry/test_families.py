"""Exponential families: mirror maps, normalised, with the Fisher metric as the Hessian of A."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from qnat.geometry import Dual, families, laws

pytestmark = pytest.mark.slow

_L = np.array([[1.3, 0.2], [-0.4, 0.8]])
FAMILIES = {
    "bernoulli": (families.Bernoulli(), np.array([0.3, -1.2, 2.0])),
    "categorical": (families.Categorical(), np.array([[0.5, -0.7, 0.2], [1.0, -0.4, -0.6]])),
    "normal": (families.Normal(), np.array([0.3, -1.2])),
    "gaussian": (families.Gaussian(), (np.array([0.3, -1.2]), -_L @ _L.T / 2)),
    "poisson": (families.Poisson(), np.array([0.3, -1.2])),
    "gamma": (families.Gamma(), np.array([[1.3, -0.7], [-0.6, -2.1]])),
}


@eqx.filter_jit
def described(family, theta):
    """The means and the way back, in both precisions."""

    def charts(dtype):
        eta = family.to_dual(jax.tree.map(lambda leaf: leaf.astype(dtype), theta))
        return eta, family.to_primal(eta)

    return {"single": charts(jnp.float32), "double": charts(jnp.float64)}


@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_mirror_maps(name):
    family, theta = FAMILIES[name]
    laws.check_mirror_map(family, theta, key=jax.random.key(0))
    laws.check_mirror_map(Dual(family), eqx.filter_jit(family.to_dual)(theta), key=jax.random.key(0))


def test_gaussian_charts_invert_each_other():
    family, theta = FAMILIES["gaussian"]
    covariance = np.linalg.inv(_L @ _L.T)
    (mean, second), found = jax.tree.map(np.asarray, described(family, theta)["double"])
    np.testing.assert_allclose(mean, covariance @ theta[0], rtol=1e-13)
    np.testing.assert_allclose(second, covariance + np.outer(mean, mean), rtol=1e-13)
    for back, there in zip(found, theta, strict=True):
        np.testing.assert_allclose(back, there, rtol=1e-12)


def test_a_gaussian_never_leaves_its_cone_and_steps_along_its_geodesic():
    family, theta = FAMILIES["gaussian"]
    precision = _L @ _L.T
    change = np.array([[-3.0, 0.5], [0.5, -2.0]])  # Λ + S has two negative eigenvalues
    step = np.array([0.4, -0.1]), -change / 2

    @eqx.filter_jit
    def moved(theta, step):
        scaled = lambda t: jax.tree.map(lambda leaf: t * leaf, step)  # noqa: E731
        return family.retract(theta, step), family.retract(theta, scaled(1e-4))

    far, near = jax.tree.map(np.asarray, moved(theta, step))
    wanted = precision + change + change @ np.linalg.inv(precision) @ change / 2
    np.testing.assert_allclose(-2 * far[1], wanted, rtol=1e-13)
    assert np.all(np.linalg.eigvalsh(-2 * far[1]) > 0)
    mean, inverse = np.linalg.solve(precision, theta[0]), np.linalg.inv(precision)
    np.testing.assert_allclose(np.linalg.solve(wanted, far[0]), mean + np.linalg.solve(wanted, step[0] - change @ mean))
    geodesic = precision @ scipy.linalg.expm(1e-4 * inverse @ change)
    np.testing.assert_allclose(-2 * near[1], geodesic, atol=1e-11)


def test_gamma_chart_roundtrip():
    shapes = np.array([0.02, 0.3, 1.0, 7.0, 400.0])
    theta = np.stack([shapes - 1, -np.array([0.1, 30.0, 1.0, 2.5, 8.0])], axis=-1)
    back = np.asarray(described(families.Gamma(), theta)["double"][1])
    np.testing.assert_allclose(back[:, 0] + 1, shapes, rtol=1e-11)
    np.testing.assert_allclose(back[:, 1], theta[:, 1], rtol=1e-11)


@pytest.mark.parametrize("name", FAMILIES)
def test_families_in_single_precision(name):
    found = described(*FAMILIES[name])
    (eta, theta), (wanted_eta, wanted_theta) = found["single"], found["double"]
    for one, other in zip(jax.tree.leaves(eta), jax.tree.leaves(wanted_eta), strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    for one, other in zip(jax.tree.leaves(theta), jax.tree.leaves(wanted_theta), strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-4)


log_prob = eqx.filter_jit(lambda family, theta, x: family.log_prob(theta, x))


def _scipy(name, theta):
    if name == "normal":
        return [scipy.stats.norm(loc) for loc in theta]
    if name == "poisson":
        return [scipy.stats.poisson(np.exp(t)) for t in theta]
    return [scipy.stats.gamma(a + 1, scale=-1 / b) for a, b in theta]


@pytest.mark.parametrize("name", ["normal", "poisson", "gamma"])
def test_densities_are_those_of_scipy(name):
    family, theta = FAMILIES[name]
    x = np.array([2.0, 1.0])
    wanted = sum((d.logpmf if name == "poisson" else d.logpdf)(v) for d, v in zip(_scipy(name, theta), x, strict=True))
    assert float(log_prob(family, theta, x)) == pytest.approx(wanted, rel=1e-13)


def test_the_gaussian_density_is_that_of_scipy():
    family, theta = FAMILIES["gaussian"]
    covariance = np.linalg.inv(_L @ _L.T)
    wanted = scipy.stats.multivariate_normal(covariance @ theta[0], covariance).logpdf([0.4, 1.1])
    assert float(log_prob(family, theta, [0.4, 1.1])) == pytest.approx(wanted, rel=1e-13)


def test_discrete_probabilities_sum_to_one():
    every_log_prob = eqx.filter_jit(lambda family, theta, xs: jax.vmap(lambda x: family.log_prob(theta, x))(xs))
    bits = np.array(list(np.ndindex(2, 2, 2)))
    classes = np.eye(3)[list(np.ndindex(3, 3))]
    for name, everything in (("bernoulli", bits), ("categorical", classes)):
        assert np.exp(every_log_prob(*FAMILIES[name], everything)).sum() == pytest.approx(1, abs=1e-14)


@eqx.filter_jit
def sampled(family, theta, key):
    """Statistics of 4000 draws, and their exact means."""
    draw = jax.vmap(lambda key: family.statistic(family.sample(theta, key=key)))
    return draw(jax.random.split(key, 4000)), family.to_dual(theta)


@pytest.mark.parametrize("name", FAMILIES)
def test_samples_have_the_mean_parameters(name):
    draws, means = jax.tree.map(np.asarray, sampled(*FAMILIES[name], jax.random.key(1)))
    for found, wanted in zip(jax.tree.leaves(draws), jax.tree.leaves(means), strict=True):
        error = found.std(axis=0) / np.sqrt(4000) + 1e-12
        assert np.all(np.abs(found.mean(axis=0) - wanted) < 4 * error)


@pytest.mark.parametrize("name", ["bernoulli", "normal", "poisson", "gamma"])
def test_the_hessian_of_the_potential_is_the_covariance_of_the_statistics(name):
    family, theta = FAMILIES[name]
    draws, _ = sampled(family, theta, jax.random.key(2))
    flat = np.asarray(draws).reshape(4000, -1)
    fisher = np.asarray(jax.jit(jax.hessian(family.potential))(theta)).reshape(flat.shape[1], -1)
    products = (flat - flat.mean(0))[:, :, None] * (flat - flat.mean(0))[:, None, :]
    assert np.all(np.abs(products.mean(0) - fisher) < 5 * products.std(0) / np.sqrt(4000) + 1e-12)
