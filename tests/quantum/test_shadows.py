"""Classical shadows: no bias, the variance 3^w − ⟨P⟩², and medians of means with the covariance of medians."""

import itertools

import jax
import numpy as np
import pytest

from qnat.quantum.measure.counts import exact_moments, outcome_probabilities
from qnat.quantum.measure.shadows import Shadows, estimate_shadows, snapshot_values, take_shadows

STRINGS = ("XI", "IX", "XX", "ZZ", "YZ", "IY")


@pytest.fixture(scope="module")
def sigma():
    a = np.random.default_rng(3).normal(size=(2, 4, 4))
    rho = (a[0] + 1j * a[1]) @ (a[0] + 1j * a[1]).conj().T
    return rho / np.trace(rho).real


@pytest.fixture(scope="module")
def every(sigma):
    """All snapshots that can come, and their probabilities."""
    rows = [
        (*axes, *bits) for axes in itertools.product(range(3), repeat=2) for bits in itertools.product((0, 1), repeat=2)
    ]
    p = [
        outcome_probabilities(sigma, "".join("XYZ"[a] for a in axes)) / 9
        for axes in itertools.product(range(3), repeat=2)
    ]
    table = np.array(rows)
    return Shadows(table[:, :2], table[:, 2:]), np.concatenate(p)


def test_mean_and_variance_over_all_snapshots_are_exact(sigma, every):
    shadows, p = every
    values = snapshot_values(shadows, STRINGS)
    exact = exact_moments(sigma, STRINGS).values
    np.testing.assert_allclose(p @ values, exact, atol=1e-14)
    weights = np.array([2 - string.count("I") for string in STRINGS])
    np.testing.assert_allclose(p @ (values - exact) ** 2, 3.0**weights - exact**2, atol=1e-13)


def test_snapshots_come_as_often_as_they_should(sigma, every):
    table, p = every
    copies = 20000
    drawn = take_shadows(sigma, copies, key=jax.random.key(0))
    assert drawn.axes.shape == drawn.bits.shape == (copies, 2)

    def code(shadows):
        return np.hstack([shadows.axes, shadows.bits]) @ [27, 9, 3, 1]

    often = np.array([(code(drawn) == c).sum() for c in code(table)])
    assert often.sum() == copies
    np.testing.assert_array_less(np.abs(often - copies * p), 4 * np.sqrt(copies * p))


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "copies"), [(1, 1000), (25, 10000)])
def test_estimates_have_the_covariance_that_they_claim(sigma, groups, copies):
    exact = exact_moments(sigma, STRINGS).values
    runs = [
        estimate_shadows(take_shadows(sigma, copies, key=key), STRINGS, groups=groups)
        for key in jax.random.split(jax.random.key(1), 400)
    ]
    values, claimed = np.array([r.values for r in runs]), np.mean([r.covariance for r in runs], axis=0)
    spread = np.sqrt(np.diagonal(claimed))
    measured = np.cov(values, rowvar=False) / np.outer(spread, spread)
    # 25 groups: the variance of a median is within 4 % of its limit
    np.testing.assert_allclose(
        measured, claimed / np.outer(spread, spread), atol=4 * (2 / 400) ** 0.5 + 0.04 * (groups > 1)
    )
    if groups == 1:  # a median of skew means has a bias of its own
        np.testing.assert_array_less(np.abs(values.mean(0) - exact), 4 * spread / 400**0.5)
    plain = 3.0 ** np.array([2 - string.count("I") for string in STRINGS]) - exact**2
    np.testing.assert_allclose(copies * spread**2, plain * (1 if groups == 1 else np.pi / 2), rtol=0.05)


def test_medians_forgive_what_means_do_not(every):
    shadows, _ = every
    good = Shadows(np.repeat(shadows.axes[:1], 99, axis=0), np.repeat(shadows.bits[:1], 99, axis=0))
    bad = Shadows(np.vstack([good.axes, good.axes[:11]]), np.vstack([good.bits, 1 - good.bits[:11]]))
    assert estimate_shadows(bad, ("XI",), groups=10).values[0] == 3
    assert estimate_shadows(bad, ("XI",)).values[0] == pytest.approx(3 * 88 / 110)


def test_bad_input_is_refused(sigma):
    with pytest.raises(ValueError, match="copies is 0"):
        take_shadows(sigma, 0, key=jax.random.key(0))
    with pytest.raises(ValueError, match="groups is 3; 4 snapshots make between 1 and 2"):
        estimate_shadows(take_shadows(sigma, 4, key=jax.random.key(0)), STRINGS, groups=3)
