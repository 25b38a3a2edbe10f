"""Exponential families, a row each: mirror maps, normalised, with the Fisher metric as the Hessian of A; and steps."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.special
import scipy.stats

from qnat.geometry import Dual, families, laws
from qnat.optim.laws import check_mirror_steps

_L = np.array([[1.3, 0.2], [-0.4, 0.8]])
_COVARIANCE = np.linalg.inv(_L @ _L.T)


class Row(NamedTuple):
    """A family, two of its points, an x, and what is known otherwise.

    `twins` are SciPy's distributions of the independent parts of x along its first axis, or one of all of x;
    `covariance` is that of the statistics, in the order of θ; `steps` are those of inference from the other point.
    """

    family: families.AbstractExponentialFamily
    theta: Any
    other: Any
    x: Any
    twins: Callable[[Any], list[Any]]
    covariance: Callable[[list[Any]], np.ndarray]
    steps: int = 1


def expected(twin, fn):
    """E[fn(x)] of a distribution on numbers, term by term or by quadrature."""
    if hasattr(twin, "logpmf"):
        k = np.arange(60)
        k = k[twin.pmf(k) > 0]
        return np.sum(twin.pmf(k) * fn(k))
    ends = [*twin.ppf([1e-300, 1e-3, 0.5]), twin.support()[1]]  # a shape below 1 has an infinite density at 0
    if twin.dist.name == "vonmises":  # on the circle
        ends = [twin.kwds["loc"] + each for each in (-np.pi, 0, np.pi)]
    parts = [
        scipy.integrate.quad(lambda x: twin.pdf(x) * fn(x), *pair, limit=200)[0] for pair in itertools.pairwise(ends)
    ]
    return sum(parts)


def of_entries(*statistics, stacked=False):
    """The covariance of statistics of independent numbers, those of one number together or, `stacked`, each of all."""

    def covariance(twins):
        means = [[expected(twin, t) for t in statistics] for twin in twins]
        second = [[[product(twin, t, u) for u in statistics] for t in statistics] for twin in twins]
        blocks = [matrix - np.outer(mean, mean) for matrix, mean in zip(second, means, strict=True)]
        order = np.arange(len(twins) * len(statistics)).reshape(len(twins), -1)
        order = order.T.ravel() if stacked else order.ravel()
        return scipy.linalg.block_diag(*blocks)[np.ix_(order, order)]

    def product(twin, t, u):
        return expected(twin, lambda x: t(x) * u(x))

    return covariance


def of_normals(seen):
    """The covariance of normal variables and of what is seen of xxᵀ, by the formula of Isserlis."""

    def covariance(twins):
        mean, sigma = twins[0].mean, twins[0].cov
        d = len(mean)
        mixed = np.einsum("ik,l->ikl", sigma, mean) + np.einsum("il,k->ikl", sigma, mean)
        pairs = np.einsum("ik,jl->ijkl", sigma, sigma) + np.einsum("il,jk->ijkl", sigma, sigma)
        for spec in ("i,k,jl", "i,l,jk", "j,k,il", "j,l,ik"):
            pairs += np.einsum(f"{spec}->ijkl", mean, mean, sigma)
        mixed = mixed.reshape(d, d * d)
        full = np.block([[sigma, mixed], [mixed.T, pairs.reshape(d * d, d * d)]])
        columns = scipy.linalg.block_diag(np.eye(d), seen.reshape(-1, d * d))
        return columns @ full @ columns.T

    return covariance


def of_shares(twins):
    blocks = [
        np.diag(scipy.special.polygamma(1, twin.alpha)) - scipy.special.polygamma(1, twin.alpha.sum()) for twin in twins
    ]
    return scipy.linalg.block_diag(*blocks)


def of_matrices(twins):
    """ψ₁ of the degrees of freedom, 2V, and ν(V_ik V_jl + V_il V_jk) of a Wishart distribution."""
    degrees, scale = twins[0].df, twins[0].scale
    d = len(scale)
    log_det = np.sum(scipy.special.polygamma(1, (degrees - np.arange(d)) / 2))
    pairs = degrees * (np.einsum("ik,jl->ijkl", scale, scale) + np.einsum("il,jk->ijkl", scale, scale))
    mixed = 2 * scale.reshape(1, -1)
    return np.block([[np.atleast_2d(log_det), mixed], [mixed.T, pairs.reshape(d * d, d * d)]])


def normals(theta):
    precision = -2 * np.atleast_2d(scipy.linalg.block_diag(*theta[1]) if isinstance(theta[1], tuple) else theta[1])
    covariance = np.linalg.inv(precision if len(precision) > 1 else precision * np.eye(len(theta[0])))
    return [scipy.stats.multivariate_normal(covariance @ theta[0], covariance)]


FAMILIES = {
    "bernoulli": Row(
        families.Bernoulli(),
        np.array([0.3, -1.2, 2.0]),
        np.array([-0.4, 0.1, 1.1]),
        np.array([1.0, 0.0, 1.0]),
        lambda theta: [scipy.stats.bernoulli(scipy.special.expit(t)) for t in theta],
        of_entries(lambda x: x),
    ),
    "categorical": Row(
        families.Categorical(),
        np.array([[0.5, -0.7, 0.2], [1.0, -0.4, -0.6]]),
        np.array([[0.1, 0.2, -0.3], [0.0, 0.8, -0.8]]),
        np.eye(3)[[2, 0]],
        lambda theta: [scipy.stats.multinomial(1, scipy.special.softmax(t)) for t in theta],
        lambda twins: scipy.linalg.block_diag(*(np.diag(twin.p) - np.outer(twin.p, twin.p) for twin in twins)),
    ),
    "normal": Row(
        families.Normal(),
        np.array([0.3, -1.2]),
        np.array([1.0, 0.4]),
        np.array([2.0, 1.0]),
        lambda theta: [scipy.stats.norm(t) for t in theta],
        of_entries(lambda x: x),
    ),
    "diagonal gaussian": Row(
        families.DiagonalGaussian(),
        (np.array([0.3, -1.2]), np.array([-0.7, -0.3])),
        (np.array([0.4, -1.1]), np.array([-0.8, -0.28])),
        np.array([2.0, 1.0]),
        lambda theta: [scipy.stats.norm(s / p, p**-0.5) for s, p in zip(theta[0], -2 * theta[1], strict=True)],
        of_entries(lambda x: x, lambda x: x**2, stacked=True),
        steps=4,
    ),
    "isotropic gaussian": Row(
        families.IsotropicGaussian(),
        (np.array([0.3, -1.2]), np.array(-0.7)),
        (np.array([0.4, -1.1]), np.array(-0.8)),
        np.array([0.4, 1.1]),
        normals,
        of_normals(np.eye(2)),
        steps=4,
    ),
    "block gaussian": Row(
        families.BlockGaussian((2, 1)),
        (np.array([0.3, -1.2, 0.6]), (-_L @ _L.T / 2, np.array([[-0.4]]))),
        (np.array([0.4, -1.1, 0.5]), (-_L @ _L.T / 2.2, np.array([[-0.42]]))),
        np.array([0.4, 1.1, -0.7]),
        normals,
        of_normals(np.eye(9)[[0, 1, 3, 4, 8]]),
        steps=4,
    ),
    "gaussian": Row(
        families.Gaussian(),
        (np.array([0.3, -1.2]), -_L @ _L.T / 2),
        (np.array([0.5, 0.1]), np.array([[-0.7, 0.2], [0.2, -0.4]])),
        np.array([0.4, 1.1]),
        normals,
        of_normals(np.eye(4)),
        steps=8,
    ),
    "poisson": Row(
        families.Poisson(),
        np.array([0.3, -1.2]),
        np.array([-0.2, -0.5]),
        np.array([2.0, 1.0]),
        lambda theta: [scipy.stats.poisson(np.exp(t)) for t in theta],
        of_entries(lambda x: x),
    ),
    "exponential": Row(
        families.Exponential(),
        np.array([-0.5, -2.0]),
        np.array([-1.0, -0.7]),
        np.array([2.0, 1.0]),
        lambda theta: [scipy.stats.expon(scale=-1 / t) for t in theta],
        of_entries(lambda x: x),
    ),
    "gamma": Row(
        families.Gamma(),
        np.array([[1.3, -0.7], [-0.6, -2.1]]),
        np.array([[0.8, -1.2], [-0.3, -1.5]]),
        np.array([2.0, 1.0]),
        lambda theta: [scipy.stats.gamma(a + 1, scale=-1 / b) for a, b in theta],
        of_entries(np.log, lambda x: x),
    ),
    "inverse gamma": Row(
        families.InverseGamma(),
        np.array([[-3.3, -0.7], [-2.4, -2.1]]),
        np.array([[-2.8, -1.2], [-2.7, -1.5]]),
        np.array([2.0, 1.0]),
        lambda theta: [scipy.stats.invgamma(-a - 1, scale=-b) for a, b in theta],
        of_entries(np.log, lambda x: 1 / x),
    ),
    "beta": Row(
        families.Beta(),
        np.array([[1.3, 0.7], [-0.4, 2.1]]),
        np.array([[0.8, 1.2], [-0.3, 1.5]]),
        np.array([0.2, 0.7]),
        lambda theta: [scipy.stats.beta(a + 1, b + 1) for a, b in theta],
        of_entries(np.log, lambda x: np.log1p(-x)),
    ),
    "dirichlet": Row(
        families.Dirichlet(),
        np.array([[1.3, -0.4, 0.4], [0.6, 2.1, 0.0]]),
        np.array([[0.8, 0.2, 0.1], [-0.3, 1.5, 0.7]]),
        np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2]]),
        lambda theta: [scipy.stats.dirichlet(t + 1) for t in theta],
        of_shares,
    ),
    "wishart": Row(
        families.Wishart(),
        (np.array(0.7), -_L @ _L.T / 2),
        (np.array(0.8), -_L @ _L.T / 2.1),
        np.array([[1.3, 0.2], [0.2, 0.7]]),
        lambda theta: [scipy.stats.wishart(2 * theta[0] + 3, np.linalg.inv(-2 * theta[1]))],
        of_matrices,
        steps=4,
    ),
    "von mises": Row(
        families.VonMises(),
        np.array([[1.3, -0.7], [0.2, 0.1]]),
        np.array([[0.8, -0.2], [0.3, 0.5]]),
        np.array([2.0, -1.0]),
        lambda theta: [scipy.stats.vonmises(np.hypot(*t), loc=np.arctan2(t[1], t[0])) for t in theta],
        of_entries(np.cos, np.sin),
    ),
}
every_family = pytest.mark.parametrize("name", FAMILIES)
SHARED = {"inverse gamma", "beta", "block gaussian"}
"""Families with the charts of another, whose laws wait for the night."""
OTHERS = SHARED | {"normal", "isotropic gaussian", "exponential", "dirichlet", "wishart", "von mises"}
"""Families whose charts are tried every day, and their draws and most steps at night."""


def all_but(names):
    """Every family, those of the names at night."""
    each = [pytest.param(name, marks=[pytest.mark.slow] if name in names else []) for name in FAMILIES]
    return pytest.mark.parametrize("name", each)


@all_but(SHARED)
def test_families_are_mirror_maps_and_so_are_their_duals(name):
    family, theta, *_ = FAMILIES[name]
    laws.check_mirror_map(family, theta, key=jax.random.key(0))
    laws.check_mirror_map(Dual(family), eqx.filter_jit(family.to_dual)(theta), key=jax.random.key(0))


@all_but(OTHERS)
def test_families_are_families(name):
    family, theta, *_ = FAMILIES[name]
    laws.check_family(family, theta, key=jax.random.key(1))


@all_but(OTHERS - {"dirichlet", "von mises"})  # theirs are seen to have derivatives
def test_mirror_steps_learn_and_infer(name):
    row = FAMILIES[name]
    check_mirror_steps(row.family, row.theta, row.other, key=jax.random.key(2), steps=row.steps)


@eqx.filter_jit
def judged(family, theta, other, x):
    """log p(x), KL, the Fisher metric and, where there is one, the entropy."""
    known = {} if isinstance(family, families.Poisson) else {"entropy": family.entropy(theta)}
    found = {"log p": family.log_prob(theta, x), "kl": family.kl(theta, other)}
    return known | found | {"metric": family.hessian(theta).as_matrix()}


def log_density(twin, x):
    return twin.logpmf(x) if hasattr(twin, "logpmf") else twin.logpdf(x)


def quadrature(p, q):
    """KL of two distributions on numbers."""
    return expected(p, lambda x: log_density(p, x) - log_density(q, x))


@every_family
def test_densities_entropies_divergences_and_metrics_are_those_of_scipy(name):
    row = FAMILIES[name]
    twins, others = row.twins(row.theta), row.twins(row.other)
    found = jax.tree.map(np.asarray, judged(*row[:4]))
    wanted = sum(log_density(twin, v) for twin, v in zip(twins, row.x if len(twins) > 1 else [row.x], strict=True))
    assert found["log p"] == pytest.approx(wanted, rel=1e-13)
    if name != "poisson":
        assert found["entropy"] == pytest.approx(sum(twin.entropy() for twin in twins), rel=1e-12)
    assert found["kl"] == pytest.approx(sum(map(divergences.get(name, quadrature), twins, others)), rel=1e-7)
    np.testing.assert_allclose(found["metric"], row.covariance(twins), rtol=1e-7, atol=1e-10)


def gaussian_divergence(p, q):
    gap, precision = p.mean - q.mean, np.linalg.inv(q.cov)
    ratio = precision @ p.cov
    return (np.trace(ratio) - len(gap) - np.log(np.linalg.det(ratio)) + gap @ precision @ gap) / 2


def dirichlet_divergence(p, q):
    logs = scipy.special.digamma(p.alpha) - scipy.special.digamma(p.alpha.sum())
    norms = [scipy.special.gammaln(t.alpha.sum()) - scipy.special.gammaln(t.alpha).sum() for t in (p, q)]
    return norms[0] - norms[1] + (p.alpha - q.alpha) @ logs


def wishart_divergence(p, q):
    d = len(p.scale)
    ratio = np.linalg.inv(q.scale) @ p.scale
    digammas = scipy.special.digamma((p.df - np.arange(d)) / 2).sum()
    gammas = [scipy.special.multigammaln(t.df / 2, d) for t in (p, q)]
    trace = p.df / 2 * (np.trace(ratio) - d)
    return gammas[1] - gammas[0] + (p.df - q.df) / 2 * digammas + trace - q.df / 2 * np.log(np.linalg.det(ratio))


divergences = {
    "categorical": lambda p, q: np.sum(scipy.special.rel_entr(p.p, q.p)),
    "dirichlet": dirichlet_divergence,
    "wishart": wishart_divergence,
} | dict.fromkeys(("gaussian", "isotropic gaussian", "block gaussian"), gaussian_divergence)


def test_an_entropy_without_a_closed_form_is_refused():
    with pytest.raises(ValueError, match="Poisson has no entropy in closed form"):
        families.Poisson().entropy(np.zeros(2))


def test_a_gaussian_never_leaves_its_cone_and_steps_along_its_geodesic():
    family, theta, *_ = FAMILIES["gaussian"]
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


@eqx.filter_jit
def described(family, theta):
    """The means and the way back, in both precisions."""

    def charts(dtype):
        eta = family.to_dual(jax.tree.map(lambda leaf: leaf.astype(dtype), theta))
        return eta, family.to_primal(eta)

    return {"single": charts(jnp.float32), "double": charts(jnp.float64)}


def test_gaussian_charts_invert_each_other():
    family, theta, *_ = FAMILIES["gaussian"]
    (mean, second), found = jax.tree.map(np.asarray, described(family, theta)["double"])
    np.testing.assert_allclose(mean, _COVARIANCE @ theta[0], rtol=1e-13)
    np.testing.assert_allclose(second, _COVARIANCE + np.outer(mean, mean), rtol=1e-13)
    for back, there in zip(found, theta, strict=True):
        np.testing.assert_allclose(back, there, rtol=1e-12)


def test_gamma_chart_roundtrip():
    shapes = np.array([0.02, 0.3, 1.0, 7.0, 400.0])
    theta = np.stack([shapes - 1, -np.array([0.1, 30.0, 1.0, 2.5, 8.0])], axis=-1)
    back = np.asarray(described(families.Gamma(), theta)["double"][1])
    np.testing.assert_allclose(back[:, 0] + 1, shapes, rtol=1e-11)
    np.testing.assert_allclose(back[:, 1], theta[:, 1], rtol=1e-11)


@pytest.mark.slow
@every_family
def test_the_laws_hold_in_single_precision(name):
    family = FAMILIES[name].family
    theta = jax.tree.map(lambda leaf: leaf.astype(np.float32), FAMILIES[name].theta)
    laws.check_mirror_map(family, theta, key=jax.random.key(0))
    laws.check_mirror_map(Dual(family), eqx.filter_jit(family.to_dual)(theta), key=jax.random.key(0))
    laws.check_family(family, theta, key=jax.random.key(1))


@pytest.mark.slow
@every_family
def test_families_in_single_precision(name):
    found = described(*FAMILIES[name][:2])
    (eta, theta), (wanted_eta, wanted_theta) = found["single"], found["double"]
    for one, other in zip(jax.tree.leaves(eta), jax.tree.leaves(wanted_eta), strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    for one, other in zip(jax.tree.leaves(theta), jax.tree.leaves(wanted_theta), strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-4)
    single = jax.tree.map(lambda leaf: leaf.astype(np.float32), FAMILIES[name][1:4])
    assert {value.dtype for value in judged(FAMILIES[name].family, *single).values()} == {np.dtype(np.float32)}


@pytest.mark.slow
def test_discrete_probabilities_sum_to_one():
    every_log_prob = eqx.filter_jit(lambda family, theta, xs: jax.vmap(lambda x: family.log_prob(theta, x))(xs))
    bits = np.array(list(np.ndindex(2, 2, 2)))
    classes = np.eye(3)[list(np.ndindex(3, 3))]
    for name, everything in (("bernoulli", bits), ("categorical", classes)):
        assert np.exp(every_log_prob(*FAMILIES[name][:2], everything)).sum() == pytest.approx(1, abs=1e-14)


class Shifted(families.Normal):
    """Its draws have another mean."""

    def sample(self, theta, *, key):
        return super().sample(theta, key=key) + 0.2


class Stretched(families.Normal):
    """Its draws have another variance."""

    def sample(self, theta, *, key):
        return theta + 2 * jax.random.normal(key, theta.shape, theta.dtype)


class Skewed(families.Normal):
    """Its draws have the first two moments of a normal variable, and not the third."""

    def sample(self, theta, *, key):
        return theta + jax.random.exponential(key, theta.shape, theta.dtype) - 1


class Frozen(families.Normal):
    def sample(self, theta, *, key):
        return jax.lax.stop_gradient(super().sample(theta, key=key))


class Uncertain(families.Normal):
    def mean_log_base(self, theta):
        return jnp.zeros(())


class Lost(families.Bernoulli):
    def to_primal(self, eta):
        return super().to_primal(eta) + 0.1


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Shifted, "mean parameters"),
        (Stretched, "covariance"),
        (Skewed, "average to 1"),
        (Frozen, "derivatives of draws"),
        (Uncertain, "entropy"),
        (Lost, "moments of data"),
    ],
)
def test_the_law_catches_families_that_are_not(broken, words):
    with pytest.raises(AssertionError, match=words):
        laws.check_family(broken(), np.array([0.3, -1.2]), key=jax.random.key(4), draws=40_000)
    if broken is Lost:
        with pytest.raises(AssertionError, match="must arrive"):
            check_mirror_steps(broken(), np.array([0.3, -1.2]), np.zeros(2), key=jax.random.key(3))
