"""Mixtures with their label: a mirror map, whose unit step is expectation maximisation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from scipy.special import logsumexp

from qnat.geometry import Dual, MixtureFamily, families, laws
from qnat.optim import mirror_descent

WEIGHTS = np.array([0.2, 0.5, 0.3])
MEANS = np.array([[0.0, 1.0], [2.0, -1.0], [-1.5, 0.3]])
_ROOTS = np.array([[[1.0, 0.0], [0.3, 0.8]], [[0.7, 0.0], [-0.2, 1.1]], [[1.3, 0.0], [0.5, 0.6]]])
COVARIANCES = _ROOTS @ _ROOTS.swapaxes(1, 2)
GAUSSIANS = (
    MixtureFamily(families.Gaussian()),
    (WEIGHTS, (WEIGHTS[:, None] * MEANS, WEIGHTS[:, None, None] * (COVARIANCES + MEANS[:, :, None] * MEANS[:, None]))),
)
GAMMAS = MixtureFamily(families.Gamma()), (WEIGHTS, WEIGHTS[:, None] * np.array([[-0.6, 1.0], [0.4, 2.0], [1.0, 3.1]]))


DIAGONAL = (
    MixtureFamily(families.DiagonalGaussian()),
    (
        WEIGHTS,
        (WEIGHTS[:, None] * MEANS, WEIGHTS[:, None] * (MEANS**2 + np.array([[0.3, 1.0], [2.0, 0.5], [1.0, 1.0]]))),
    ),
)
ANGLES = (
    MixtureFamily(families.VonMises()),
    (WEIGHTS, WEIGHTS[:, None] * np.array([[0.3, 0.1], [-0.7, 0.4], [0.0, 0.0]])),
)
SHARES = MixtureFamily(families.Dirichlet()), (WEIGHTS, WEIGHTS[:, None] * np.log([[0.2, 0.7], [0.5, 0.4], [0.1, 0.1]]))
MATRICES = (
    MixtureFamily(families.Wishart()),
    (WEIGHTS, (WEIGHTS * (np.log(np.linalg.det(COVARIANCES)) - [0.3, 1.0, 5.0]), WEIGHTS[:, None, None] * COVARIANCES)),
)
MIXTURES = {
    "gaussians": GAUSSIANS,
    "gammas": GAMMAS,
    "diagonal gaussians": DIAGONAL,
    "angles": ANGLES,
    "shares": SHARES,
    "matrices": MATRICES,
}
AT_NIGHT = {"gaussians", "angles", "shares", "matrices"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in AT_NIGHT else []) for name in MIXTURES]
)
def test_mixtures_are_mirror_maps_and_so_are_their_duals(name):
    mixture, eta = MIXTURES[name]
    theta = eqx.filter_jit(mixture.to_primal)(eta)
    laws.check_mirror_map(mixture, theta, key=jax.random.key(0))
    laws.check_mirror_map(Dual(mixture), eta, key=jax.random.key(0))


@eqx.filter_jit
def log_joint(mixture, theta, x):
    """log p(k, x) of items and labels, (N, K)."""
    logits, parts = theta

    def one(k):
        part = jax.tree.map(lambda leaf: leaf[k], parts)
        family = mixture.component
        return jax.vmap(lambda v: family.log_prob(part, v) + logits[k] + family.potential(part))(x)

    return jax.lax.map(one, jnp.arange(len(logits))).T - mixture.potential(theta)


def test_the_normalised_point_of_the_means_has_the_densities_of_scipy():
    mixture, eta = GAUSSIANS
    x = np.random.default_rng(0).normal(size=(7, 2))

    @eqx.filter_jit
    def described(eta):
        theta = mixture.to_primal(eta)
        return mixture.potential(theta), log_joint(mixture, theta, x)

    zero, found = described(eta)
    normals = [scipy.stats.multivariate_normal(*each) for each in zip(MEANS, COVARIANCES, strict=True)]
    wanted = np.log(WEIGHTS) + np.stack([normal.logpdf(x) for normal in normals], axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert abs(float(zero)) < 1e-14


def test_a_step_of_expectation_maximisation_is_a_mirror_step_of_unit_rate():
    mixture, eta = GAUSSIANS
    x = np.random.default_rng(1).normal(size=(50, 2)) + MEANS[np.arange(50) % 3]

    @eqx.filter_jit
    def both(eta):
        theta = mixture.to_primal(eta)

        def loss(theta):
            return -jnp.mean(jax.nn.logsumexp(log_joint(mixture, theta, x), axis=1))

        transform = mirror_descent(1.0, mixture, accept=None)
        change, _ = transform.update(jax.grad(loss)(theta), transform.init(theta), theta)
        ours = optax.apply_updates(theta, change)
        return log_joint(mixture, theta, x), mixture.to_dual(ours), (loss(theta), loss(ours))

    joint, (weights, (sums, squares)), (before, after) = jax.tree.map(np.asarray, both(eta))
    share = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    np.testing.assert_allclose(weights, share.mean(0), atol=5e-12)
    np.testing.assert_allclose(sums, share.T @ x / len(x), atol=5e-12)
    np.testing.assert_allclose(squares, np.einsum("nk,ni,nj->kij", share, x, x) / len(x), atol=5e-12)
    assert after < before


def test_a_retraction_keeps_every_component_in_its_cone():
    mixture, eta = GAUSSIANS

    @eqx.filter_jit
    def moved(eta):
        theta = mixture.to_primal(eta)
        return mixture.retract(theta, jax.tree.map(lambda leaf: -5 * leaf, theta))[1][1]

    assert np.all(np.linalg.eigvalsh(-np.asarray(moved(eta))) > 0)
