"""Families at and beyond the border of their means: points at infinity, and means of no distribution."""

import equinox as eqx
import jax
import numpy as np
import pytest
import scipy.special

from qnat.geometry import MixtureFamily, families


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
        (families.Gaussian(), (np.array([1e8, 0.0]), np.diag([1e16 + 1, 1.0])), "Gaussian.*up to rounding"),
        (families.DiagonalGaussian(), (np.ones(2), np.array([2.0, 0.9])), "DiagonalGaussian.*above 0"),
        (families.DiagonalGaussian(), (np.array([1e8]), np.array([1e16 + 1])), "DiagonalGaussian.*up to rounding"),
        (families.DiagonalGaussian(), (np.zeros(1), np.array([np.inf])), "DiagonalGaussian"),
        (families.IsotropicGaussian(), (np.ones(3), np.array(3.0)), "IsotropicGaussian.*above 0"),
        (families.BlockGaussian((2, 1)), (np.ones(3), (np.eye(2), np.eye(1))), "Gaussian.*singular"),
        (families.Exponential(), np.array([2.0, 0.0]), "Exponential.*above 0"),
        (families.Exponential(), np.array([np.inf]), "Exponential.*finite"),
        (families.InverseGamma(), np.array([-1.0, 2.0]), "InverseGamma.*E.log x. < log E.1/x."),
        (families.InverseGamma(), np.array([0.0, -1.0]), "InverseGamma"),
        (families.Dirichlet(), np.array([[-1.0, -1.0, -0.9], [-2.0, -2.0, -2.0]]), "Dirichlet.*< 1"),
        (families.Dirichlet(), np.array([[-1.0, -2.0, -3.0], [-1.0, -np.inf, -2.0]]), "Dirichlet.*finite"),
        (families.VonMises(), np.array([[0.1, 0.2], [0.6, 0.8]]), "VonMises.*inside the unit disc"),
        (families.VonMises(), np.array([0.1, np.nan]), "VonMises"),
        (families.Wishart(), (np.array(np.log(2.0)), np.diag([1.0, 2.0])), "Wishart.*log det"),
        (families.Wishart(), (np.array(-3.0), np.ones((2, 2))), "Wishart.*positive definite"),
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


def test_vectors_that_do_not_fit_the_blocks_are_refused():
    with pytest.raises(ValueError, match=r"blocks \(2, 1\) need vectors of length 3; got shape \(4,\)"):
        families.BlockGaussian((2, 1)).statistic(np.ones(4))
