"""Exponential families: mirror maps, normalised, with the Fisher metric as the Hessian of A."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from qnat.geometry import families, laws

pytestmark = pytest.mark.slow

_L = jnp.array([[1.3, 0.2], [-0.4, 0.8]])
FAMILIES = {
    "bernoulli": (families.Bernoulli(), jnp.array([0.3, -1.2, 2.0])),
    "categorical": (families.Categorical(), jnp.array([[0.5, -0.7, 0.2], [1.0, -0.4, -0.6]])),
    "normal": (families.Normal(), jnp.array([0.3, -1.2])),
    "gaussian": (families.Gaussian(), (jnp.array([0.3, -1.2]), -_L @ _L.T / 2)),
    "poisson": (families.Poisson(), jnp.array([0.3, -1.2])),
    "gamma": (families.Gamma(), jnp.array([[1.3, -0.7], [-0.6, -2.1]])),
}


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "gaussian"])
def test_families_are_mirror_maps(name):
    family, theta = FAMILIES[name]
    laws.check_mirror_map(family, theta, key=jax.random.key(0))


def test_gaussian_charts_invert_each_other():
    family, theta = FAMILIES["gaussian"]  # a symmetric matrix is not a free pytree of parameters, as the law supposes
    covariance = jnp.linalg.inv(_L @ _L.T)
    mean, second = family.to_dual(theta)
    np.testing.assert_allclose(mean, covariance @ theta[0], rtol=1e-13)
    np.testing.assert_allclose(second, covariance + jnp.outer(mean, mean), rtol=1e-13)
    for back, there in zip(family.to_primal((mean, second)), theta, strict=True):
        np.testing.assert_allclose(back, there, rtol=1e-12)


def test_gamma_chart_roundtrip():
    family = families.Gamma()
    shapes = jnp.array([0.02, 0.3, 1.0, 7.0, 400.0])
    theta = jnp.stack([shapes - 1, -jnp.array([0.1, 30.0, 1.0, 2.5, 8.0])], axis=-1)
    back = family.to_primal(family.to_dual(theta))
    np.testing.assert_allclose(back[:, 0] + 1, shapes, rtol=1e-11)
    np.testing.assert_allclose(back[:, 1], theta[:, 1], rtol=1e-11)


@pytest.mark.parametrize("name", FAMILIES)
def test_families_in_single_precision(name):
    family, theta = FAMILIES[name]
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), theta)
    eta = family.to_dual(single)
    for found, wanted in zip(jax.tree.leaves(eta), jax.tree.leaves(family.to_dual(theta)), strict=True):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    for found, wanted in zip(
        *(jax.tree.leaves(family.to_primal(e)) for e in (eta, family.to_dual(theta))), strict=True
    ):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-4)


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
    assert float(family.log_prob(theta, x)) == pytest.approx(wanted, rel=1e-13)


def test_the_gaussian_density_is_that_of_scipy():
    family, theta = FAMILIES["gaussian"]
    covariance = np.linalg.inv(_L @ _L.T)
    wanted = scipy.stats.multivariate_normal(covariance @ theta[0], covariance).logpdf([0.4, 1.1])
    assert float(family.log_prob(theta, [0.4, 1.1])) == pytest.approx(wanted, rel=1e-13)


def test_discrete_probabilities_sum_to_one():
    bits = jnp.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    family, theta = FAMILIES["bernoulli"]
    assert float(jnp.exp(jax.vmap(lambda x: family.log_prob(theta, x))(bits)).sum()) == pytest.approx(1, abs=1e-14)
    family, theta = FAMILIES["categorical"]
    classes = [jnp.eye(3)[jnp.array(pair)] for pair in np.ndindex(3, 3)]
    assert sum(float(jnp.exp(family.log_prob(theta, x))) for x in classes) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("name", FAMILIES)
def test_samples_have_the_mean_parameters(name):
    family, theta = FAMILIES[name]
    draws = jax.vmap(lambda key: family.statistic(family.sample(theta, key=key)))(
        jax.random.split(jax.random.key(1), 4000)
    )
    for found, wanted in zip(jax.tree.leaves(draws), jax.tree.leaves(family.to_dual(theta)), strict=True):
        error = found.std(axis=0) / np.sqrt(4000) + 1e-12
        assert np.all(np.abs(found.mean(axis=0) - wanted) < 4 * error)


@pytest.mark.parametrize("name", ["bernoulli", "normal", "poisson", "gamma"])
def test_the_hessian_of_the_potential_is_the_covariance_of_the_statistics(name):
    family, theta = FAMILIES[name]
    draws = jax.vmap(lambda key: family.statistic(family.sample(theta, key=key)))(
        jax.random.split(jax.random.key(2), 4000)
    )
    flat = np.asarray(draws).reshape(4000, -1)
    fisher = np.asarray(jax.hessian(family.potential)(theta)).reshape(flat.shape[1], -1)
    products = (flat - flat.mean(0))[:, :, None] * (flat - flat.mean(0))[:, None, :]
    assert np.all(np.abs(products.mean(0) - fisher) < 5 * products.std(0) / np.sqrt(4000) + 1e-12)
