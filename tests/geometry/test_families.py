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

from qnat.geometry import Dual, MixtureFamily, families, laws
from qnat.optim.laws import check_mirror_steps

_L = np.array([[1.3, 0.2], [-0.4, 0.8]])
_COVARIANCE = np.linalg.inv(_L @ _L.T)


class Row(NamedTuple):
    """A family, two of its points, some x, SciPy's distributions of its independent parts, and steps of inference."""

    family: families.AbstractExponentialFamily
    theta: Any
    other: Any
    x: np.ndarray
    twins: Callable[[Any], list[Any]]
    steps: int = 1


def normals(theta):
    covariance = np.linalg.inv(-2 * theta[1])
    return [scipy.stats.multivariate_normal(covariance @ theta[0], covariance)]


FAMILIES = {
    "bernoulli": Row(
        families.Bernoulli(),
        np.array([0.3, -1.2, 2.0]),
        np.array([-0.4, 0.1, 1.1]),
        np.array([1.0, 0.0, 1.0]),
        lambda theta: [scipy.stats.bernoulli(scipy.special.expit(t)) for t in theta],
    ),
    "categorical": Row(
        families.Categorical(),
        np.array([[0.5, -0.7, 0.2], [1.0, -0.4, -0.6]]),
        np.array([[0.1, 0.2, -0.3], [0.0, 0.8, -0.8]]),
        np.eye(3)[[2, 0]],
        lambda theta: [scipy.stats.multinomial(1, scipy.special.softmax(t)) for t in theta],
    ),
    "normal": Row(
        families.Normal(),
        np.array([0.3, -1.2]),
        np.array([1.0, 0.4]),
        np.array([2.0, 1.0]),
        lambda theta: [scipy.stats.norm(t) for t in theta],
    ),
    "gaussian": Row(
        families.Gaussian(),
        (np.array([0.3, -1.2]), -_L @ _L.T / 2),
        (np.array([0.5, 0.1]), np.array([[-0.7, 0.2], [0.2, -0.4]])),
        np.array([[0.4, 1.1]]),
        normals,
        steps=8,
    ),
    "poisson": Row(
        families.Poisson(),
        np.array([0.3, -1.2]),
        np.array([-0.2, -0.5]),
        np.array([2.0, 1.0]),
        lambda theta: [scipy.stats.poisson(np.exp(t)) for t in theta],
    ),
    "gamma": Row(
        families.Gamma(),
        np.array([[1.3, -0.7], [-0.6, -2.1]]),
        np.array([[0.8, -1.2], [-0.3, -1.5]]),
        np.array([2.0, 1.0]),
        lambda theta: [scipy.stats.gamma(a + 1, scale=-1 / b) for a, b in theta],
    ),
}
every_family = pytest.mark.parametrize("name", FAMILIES)


@every_family
def test_families_are_mirror_maps_and_so_are_their_duals(name):
    family, theta, *_ = FAMILIES[name]
    laws.check_mirror_map(family, theta, key=jax.random.key(0))
    laws.check_mirror_map(Dual(family), eqx.filter_jit(family.to_dual)(theta), key=jax.random.key(0))


@every_family
def test_families_are_families(name):
    family, theta, *_ = FAMILIES[name]
    laws.check_family(family, theta, key=jax.random.key(1))


@every_family
def test_mirror_steps_learn_and_infer(name):
    row = FAMILIES[name]
    check_mirror_steps(row.family, row.theta, row.other, key=jax.random.key(2), steps=row.steps)


@eqx.filter_jit
def judged(family, theta, other, x):
    """log p(x), KL and, where there is one, the entropy."""
    known = {} if isinstance(family, families.Poisson) else {"entropy": family.entropy(theta)}
    return known | {"log p": family.log_prob(theta, x), "kl": family.kl(theta, other)}


def log_density(twin, x):
    return twin.logpmf(x) if hasattr(twin, "logpmf") else twin.logpdf(x)


def quadrature(p, q):
    """KL of two distributions on numbers, term by term or by quadrature."""
    if hasattr(p, "logpmf"):
        k = np.arange(60)
        return sum(scipy.special.rel_entr(p.pmf(k), q.pmf(k)) - p.pmf(k) + q.pmf(k))
    integrand = lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x))  # noqa: E731
    ends = p.ppf([1e-300, 1e-3, 0.5])  # the density of a shape below 1 is infinite at 0
    parts = [scipy.integrate.quad(integrand, *pair, limit=200)[0] for pair in itertools.pairwise(ends)]
    return sum(parts) + scipy.integrate.quad(integrand, ends[-1], np.inf)[0]


@every_family
def test_densities_entropies_and_divergences_are_those_of_scipy(name):
    row = FAMILIES[name]
    twins, others = row.twins(row.theta), row.twins(row.other)
    x = row.x[0] if name == "gaussian" else row.x
    found = {key: float(value) for key, value in judged(*row[:3], x).items()}
    wanted = sum(log_density(twin, v) for twin, v in zip(twins, row.x, strict=True))
    assert found["log p"] == pytest.approx(wanted, rel=1e-13)
    if name != "poisson":
        assert found["entropy"] == pytest.approx(sum(twin.entropy() for twin in twins), rel=1e-12)
    assert found["kl"] == pytest.approx(sum(map(divergences.get(name, quadrature), twins, others)), rel=1e-7)


def gaussian_divergence(p, q):
    gap, precision = p.mean - q.mean, np.linalg.inv(q.cov)
    ratio = precision @ p.cov
    return (np.trace(ratio) - len(gap) - np.log(np.linalg.det(ratio)) + gap @ precision @ gap) / 2


divergences = {
    "categorical": lambda p, q: np.sum(scipy.special.rel_entr(p.p, q.p)),
    "gaussian": gaussian_divergence,
}


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
def test_families_in_single_precision(name):
    found = described(*FAMILIES[name][:2])
    (eta, theta), (wanted_eta, wanted_theta) = found["single"], found["double"]
    for one, other in zip(jax.tree.leaves(eta), jax.tree.leaves(wanted_eta), strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    for one, other in zip(jax.tree.leaves(theta), jax.tree.leaves(wanted_theta), strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-4)


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


def finite_at_the_border(family, eta, agreeing, other_x, between):
    """(means of θ, log p of data that agree and of others, KL from itself, KL to and from a point inside)."""

    @eqx.filter_jit
    def facts(eta, agreeing, other_x, between):
        theta = family.to_primal(eta)
        logs = family.log_prob(theta, agreeing), family.log_prob(theta, other_x)
        gaps = family.kl(theta, theta), family.kl(theta, between), family.kl(between, theta)
        return family.to_dual(theta), *logs, *gaps

    return jax.tree.map(np.asarray, facts(eta, agreeing, other_x, between))


BORDERS = {
    "bits, always 0 and always 1": (
        families.Bernoulli(),
        np.array([0.0, 1.0, 0.25]),
        np.array([0.0, 1.0, 1.0]),
        np.array([0.0, 0.0, 1.0]),
        np.array([0.4, -0.3, 0.1]),
        np.log(0.25),
    ),
    "classes that never occur": (
        families.Categorical(),
        np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]),
        np.eye(3)[[1, 0]],
        np.eye(3)[[2, 0]],
        np.array([[0.1, 0.2, -0.3], [0.0, 0.8, -0.8]]),
        np.log(0.5),
    ),
    "counts that are always 0": (
        families.Poisson(),
        np.array([0.0, 2.0]),
        np.array([0.0, 1.0]),
        np.array([1.0, 1.0]),
        np.array([0.3, -1.2]),
        np.log(2) - 2,
    ),
}


@pytest.mark.parametrize("name", BORDERS)
def test_a_point_at_infinity_is_a_distribution(name):
    """At the border of the means θ is infinite and nothing is NaN: data that agree have a finite probability."""
    family, eta, agreeing, other_x, between, log_p = BORDERS[name]
    back, agree, disagree, itself, there, back_again = finite_at_the_border(family, eta, agreeing, other_x, between)
    np.testing.assert_allclose(back, eta, atol=1e-16)
    assert float(agree) == pytest.approx(log_p, rel=1e-14)
    assert disagree == -np.inf
    assert itself == 0
    assert 0 < there < np.inf
    assert back_again == np.inf


def test_a_point_at_infinity_has_an_entropy_and_the_divergence_of_its_limit():
    bits, classes = families.Bernoulli(), families.Categorical()

    @jax.jit
    def facts(theta, other, eta):
        logits = classes.to_primal(eta)
        return bits.entropy(theta), bits.kl(theta, other), logits, classes.entropy(logits)

    eta = np.array([0.5, 0.5, 0.0])
    certain, gap, logits, entropy = facts(np.array([np.inf, -np.inf]), np.array([0.4, -0.3]), eta)
    assert certain == 0
    assert gap == pytest.approx(-np.log(scipy.special.expit([0.4, 0.3])).sum())  # KL(1‖p) = −log p
    np.testing.assert_allclose(logits, [0, 0, -np.inf], atol=1e-15)
    assert entropy == pytest.approx(np.log(2), rel=1e-15)


def test_the_density_at_zero_of_gamma_variables():
    """An exponential variable has a density at 0; one of another shape has none or an infinite one."""
    found = [families.Gamma().log_prob(np.array([a - 1, -2.0]), np.array(0.0)) for a in (1.0, 2.0, 0.5)]
    assert found == [pytest.approx(np.log(2.0)), -np.inf, np.inf]


@pytest.mark.parametrize(
    ("family", "eta", "words"),
    [
        (families.Bernoulli(), np.array([0.5, 1.2]), r"Bernoulli.*\[0, 1\]"),
        (families.Categorical(), np.array([0.7, 0.5, -0.2]), "Categorical.*not negative"),
        (families.Categorical(), np.zeros(3), "Categorical.*not all 0"),
        (families.Categorical(), np.array([np.inf, 0.5]), "Categorical.*finite"),
        (families.Normal(), np.array([0.1, -np.inf]), "Normal.*finite"),
        (families.Poisson(), np.array([-0.1]), "Poisson.*at least 0"),
        (families.Poisson(), np.array([np.inf]), "Poisson.*finite"),
        (families.Gaussian(), (np.zeros(2), np.diag([1.0, np.inf])), "second holds infinity"),
        (families.Gaussian(), (np.ones(2), np.ones((2, 2))), "Gaussian.*singular"),
        (families.Gaussian(), (np.zeros(2), np.diag([1.0, -1.0])), "Gaussian.*positive definite"),
        (families.Gamma(), np.array([np.log(2.0), 2.0]), "Gamma.*E.log x. < log E.x."),
        (families.Gamma(), np.array([0.0, -1.0]), "Gamma"),
        (families.Gamma(), np.array([0.0, np.inf]), "Gamma.*finite"),
        (families.Gamma(), np.array([-np.inf, 1.0]), "Gamma.*finite"),
        (MixtureFamily(families.Normal()), (np.array([0.5, np.inf]), np.zeros((2, 1))), "MixtureFamily.*weights"),
        (MixtureFamily(families.Poisson()), (np.full(2, 0.5), np.array([[1.0], [-1.0]])), "MixtureFamily.*no Poisson"),
        (MixtureFamily(families.Normal()), (np.array([1.0, 0.0]), np.zeros((2, 1))), "MixtureFamily.*positive weights"),
    ],
)
def test_means_of_no_distribution_are_refused_or_not_a_number(family, eta, words):
    with pytest.raises(ValueError, match=words):
        family.to_primal(eta)
    assert any(np.isnan(leaf).any() for leaf in jax.tree.leaves(eqx.filter_jit(family.to_primal)(eta)))


def test_second_moments_that_are_not_symmetric_are_refused():
    with pytest.raises(ValueError, match=r"second must be Hermitian; it differs from its adjoint by 0\.4"):
        families.Gaussian().to_primal((np.zeros(2), np.array([[1.0, 0.3], [-0.1, 1.0]])))
