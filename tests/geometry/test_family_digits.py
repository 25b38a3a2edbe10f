"""Charts of families far out, where plain formulas cancel, against numbers of fifty digits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from qnat.geometry import families


class Case(NamedTuple):
    """A family, its potential and its means in arbitrary precision, and points: of everyday, tiny and large numbers."""

    family: families.AbstractExponentialFamily
    potential: Callable[[list[Any]], Any]
    means: Callable[[list[Any]], list[Any]]
    points: Callable[[float, float], list[list[float]]]


def gamma_potential(theta):
    return mp.loggamma(theta[0] + 1) - (theta[0] + 1) * mp.log(-theta[1])


def gamma_means(theta):
    return [mp.digamma(theta[0] + 1) - mp.log(-theta[1]), -(theta[0] + 1) / theta[1]]


def turned(theta):
    return [-theta[0] - 2, theta[1]]


def share_potential(theta):
    return sum(mp.loggamma(t + 1) for t in theta) - mp.loggamma(sum(theta) + len(theta))


def share_means(theta):
    return [mp.digamma(t + 1) - mp.digamma(sum(theta) + len(theta)) for t in theta]


def angle_potential(theta):
    return mp.log(2 * mp.pi * mp.besseli(0, mp.hypot(*theta)))


def angle_means(theta):
    kappa = mp.hypot(*theta)
    return [t / kappa * mp.besseli(1, kappa) / mp.besseli(0, kappa) for t in theta]


def matrix_potential(theta):
    """Of a Wishart distribution of two by two matrices; θ in the order of its flattened pair."""
    shape = theta[0] + mp.mpf(3) / 2
    gammas = mp.log(mp.pi) / 2 + mp.loggamma(shape) + mp.loggamma(shape - mp.mpf(1) / 2)
    return gammas - shape * mp.log(theta[1] * theta[4] - theta[2] * theta[3])


def matrix_means(theta):
    shape, (a, b, c, d) = theta[0] + mp.mpf(3) / 2, theta[1:]
    det = a * d - b * c
    log_det = mp.digamma(shape) + mp.digamma(shape - mp.mpf(1) / 2) - mp.log(det)
    return [log_det, -shape * d / det, shape * b / det, shape * c / det, -shape * a / det]


def shapes(sign):
    def points(tiny, large):
        pairs = [(tiny, 0.3), (tiny, large), (0.5, 1.0), (3.0, tiny), (9.7, 9.7), (large, large), (large, 2.0)]
        return [[a - 1 if sign > 0 else -1 - a, -b] for a, b in pairs]

    return points


def directions(tiny, large):
    lengths = [tiny**1.3, 0.1, 1.0, 8.0, 24.9, 25.0, 26.0, large**0.7]
    return [[k * np.cos(k), k * np.sin(k)] for k in lengths]


CASES = {
    "gamma": Case(families.Gamma(), gamma_potential, gamma_means, shapes(1)),
    "inverse gamma": Case(
        families.InverseGamma(),
        lambda theta: gamma_potential(turned(theta)),
        lambda theta: [-gamma_means(turned(theta))[0], gamma_means(turned(theta))[1]],
        shapes(-1),
    ),
    "beta": Case(
        families.Beta(),
        share_potential,
        share_means,
        lambda tiny, large: [
            [a - 1, b - 1] for a, b in [(tiny, 2 * tiny), (tiny, 3.0), (1.0, 1.0), (large, large / 9)]
        ],
    ),
    "dirichlet": Case(
        families.Dirichlet(),
        share_potential,
        share_means,
        lambda tiny, large: [[tiny - 1, 0.0, 2.0], [tiny - 1, 2 * tiny - 1, 0.1], [0.3 * large, large, 0.2 * large]],
    ),
    "von mises": Case(families.VonMises(), angle_potential, angle_means, directions),
    "poisson": Case(
        families.Poisson(),
        lambda theta: mp.exp(theta[0]),
        lambda theta: [mp.exp(theta[0])],
        lambda tiny, large: [[np.log(tiny)], [0.3], [np.log(large)]],
    ),
    "exponential": Case(
        families.Exponential(),
        lambda theta: -mp.log(-theta[0]),
        lambda theta: [-1 / theta[0]],
        lambda tiny, large: [[-tiny], [-0.3], [-large]],
    ),
    "wishart": Case(
        families.Wishart(),
        matrix_potential,
        matrix_means,
        lambda tiny, large: [
            [e - 1, -a, b, b, -d]
            for e, a, b, d in [(tiny, 1.0, 0.3, 2.0), (2.0, large, 0.3, 2.0), (large, 1.0, -1.3, 2.0)]
        ],
    ),
    "diagonal gaussian": Case(
        families.DiagonalGaussian(),
        lambda theta: -(theta[0] ** 2) / theta[1] / 4 - mp.log(-2 * theta[1]) / 2,
        lambda theta: [-theta[0] / theta[1] / 2, theta[0] ** 2 / theta[1] ** 2 / 4 - 1 / theta[1] / 2],
        lambda tiny, large: [[0.3, -tiny], [0.3, -large], [large**0.3, -0.5]],
    ),
}


def structured(name, flat):
    if name == "wishart":
        return flat[:, 0], flat[:, 1:].reshape(-1, 2, 2)
    return tuple(flat.T) if name == "diagonal gaussian" else flat


@eqx.filter_jit
def described(family, points):
    """η and the way back, A(θ) − ⟨θ, η⟩ and KL to the next point, of each point."""

    def one(pair):
        theta, other = pair
        eta = family.to_dual(theta)
        return eta, family.to_primal(eta), -family.log_density(theta, eta), family.kl(theta, other)

    others = jax.tree.map(lambda leaf: jnp.roll(leaf, -1, axis=0), points)
    return jax.lax.map(one, (points, others))


def flattened(tree):
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def condition(case, theta, eta):
    """The change of θ, in units of rounding, if θ and every mean are rounded."""
    free = range(len(theta))
    if case.family == families.Wishart():  # of symmetric matrices
        free = (0, 1, 2, 4)

    def moved(j, t):
        changed = [*theta]
        changed[j] = t
        if j == 2 and len(theta) == 5:
            changed[3] = t
        return case.means(changed)

    slopes = mp.matrix([[mp.diff(lambda t, i=i, j=j: moved(j, t)[i], theta[j]) for j in free] for i in free])
    inverse = slopes**-1
    sizes = [sum(abs(inverse[row, column]) * abs(eta[j]) for column, j in enumerate(free)) for row in range(len(free))]
    sizes = dict(zip(free, sizes, strict=True))
    return np.array([float(abs(t) + sizes[j if j in sizes else 2]) for j, t in enumerate(theta)])


_UNITS = 40
"""Roundings of the machine that a result may be off."""


@pytest.mark.parametrize("dtype", [np.float64, pytest.param(np.float32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_charts_keep_the_digits_that_they_are_given(name, dtype):
    case, eps = CASES[name], float(np.finfo(dtype).eps)
    tiny, large = (1e-6, 1e8) if dtype == np.float64 else (1e-4, 1e4)
    points = np.array(case.points(tiny, large), dtype)
    eta, back, entropy, kl = described(case.family, structured(name, points))
    eta, back = flattened(eta), flattened(back)
    with mp.workdps(50):
        exact = [[mp.mpf(float(t)) for t in point] for point in points]
        means = [case.means(point) for point in exact]
        potentials = [case.potential(point) for point in exact]
        for i, (theta, mean) in enumerate(zip(exact, means, strict=True)):
            other = (i + 1) % len(points)
            wanted = np.array([float(m) for m in mean])
            np.testing.assert_allclose(eta[i], wanted, rtol=_UNITS * eps, err_msg=f"means of {points[i]}")
            off = np.abs(back[i] - points[i].astype(float)) / condition(case, theta, mean)
            assert np.all(off <= _UNITS * eps), f"{points[i]} comes back as {back[i]}, {off / eps} roundings off"

            pairing = [t * m for t, m in zip(theta, mean, strict=True)]
            there = [t * m for t, m in zip(exact[other], mean, strict=True)]
            size = 1 + float(sum(map(abs, pairing)) + abs(potentials[i]))
            further = 1 + float(sum(map(abs, there)) + abs(potentials[other]))
            assert float(entropy[i]) == pytest.approx(float(potentials[i] - sum(pairing)), abs=_UNITS * eps * size)
            gap = potentials[other] - potentials[i] - sum(there) + sum(pairing)
            assert float(kl[i]) == pytest.approx(float(gap), abs=_UNITS * eps * (size + further))


BENT = {
    "gamma": np.array([0.4, 2.0]),
    "dirichlet": np.array([-0.6, -1.3, -3.0]),
    "von mises": np.array([0.3, -0.6]),
    "wishart": (np.array(-0.9), np.array([[1.3, 0.2], [0.2, 0.7]])),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "dirichlet" else name for name in BENT]
)
def test_implicit_charts_have_first_and_second_derivatives(name):
    family, eta = CASES[name].family, BENT[name]

    @jax.jit
    def derivatives(eta):
        ones = jax.tree.map(jnp.ones_like, eta)

        def along(at):
            return jax.jvp(family.to_primal, (at,), (ones,))

        moved = jax.tree.map(lambda leaf: jnp.stack([leaf + 1e-5, leaf - 1e-5]), eta)
        (_, first), (_, second) = jax.jvp(along, (eta,), (ones,))
        return (first, second), jax.lax.map(along, moved)

    found, wanted = jax.tree.map(np.asarray, derivatives(eta))
    for leaf, (above, below) in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(leaf, (above - below) / 2e-5, rtol=1e-6, atol=1e-6)


def test_angles_are_smooth_at_the_uniform_distribution():
    family = families.VonMises()

    @jax.jit
    def facts(zero):
        back = family.to_primal(zero)
        metric, inverse = jax.hessian(family.potential)(zero), jax.jacfwd(family.to_primal)(zero)
        squared = jax.hessian(lambda at: jax.lax.map(family.potential, at[None])[0] ** 2)(zero)
        return back, metric, inverse, jax.jacfwd(jax.hessian(family.potential))(zero), squared

    back, metric, inverse, bend, squared = facts(np.zeros(2))
    np.testing.assert_array_equal(back, 0)
    np.testing.assert_allclose(metric, np.eye(2) / 2, atol=1e-15)
    np.testing.assert_allclose(inverse, 2 * np.eye(2), atol=1e-15)
    np.testing.assert_array_equal(bend, 0)
    np.testing.assert_allclose(squared, np.log(2 * np.pi) * np.eye(2), atol=1e-14)
