"""Angles."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import i0e
from jaxtyping import Array, Float, PRNGKeyArray

from .base import AbstractUnweightedFamily, within
from .special import horner, with_slope


class VonMises(AbstractUnweightedFamily):
    """Angles x in radians around a direction μ with the concentration κ; θ = κ(cos μ, sin μ) along a last axis of two.

    t = (cos x, sin x), and the means lie in the open unit disc. All is smooth at θ = 0, the uniform distribution. Where
    κ is large, it is known to 2κε from the means, ε the rounding of one number, and `log_prob`, `kl`, `entropy` and,
    relatively, the Fisher metric along θ are known to κε.

    Reference: K. Mardia, P. Jupp, Directional Statistics (2000), ch. 3.
    """

    def potential(self, theta: Float[Array, "*s 2"]) -> Float[Array, ""]:
        return jnp.sum(_log_bessel(jnp.sum(theta**2, axis=-1))) + theta[..., 0].size * math.log(2 * math.pi)

    def to_primal(self, eta: Float[Array, "*s 2"]) -> Float[Array, "*s 2"]:
        squares = jnp.sum(eta**2, axis=-1, keepdims=True)
        return within(squares < 1, eta * _stretch(squares), "The means of a VonMises family lie inside the unit disc.")

    def statistic(self, x: Float[Array, "*s"]) -> Float[Array, "*s 2"]:
        return jnp.stack([jnp.cos(x), jnp.sin(x)], axis=-1)

    def sample(self, theta: Float[Array, "*s 2"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        """An angle between −π and π.

        Reference: D. Best, N. Fisher, J. R. Stat. Soc. C 28, 152 (1979).
        """
        kappa = jnp.hypot(theta[..., 0], theta[..., 1])
        root = jnp.sqrt(1 + 4 * kappa**2)
        # proposals are wrapped Cauchy, x = 2 arctan(narrow · tan); written so that nothing cancels at any κ
        narrow = jnp.sqrt((1 + 1 / (root + 2 * kappa)) / (1 + root + 2 * kappa))
        least = (1 + 1 / (root + 2 * kappa)) / 2

        def propose(loop: tuple[Array, Array, PRNGKeyArray]) -> tuple[Array, Array, PRNGKeyArray]:
            old, accepted, key = loop
            key, key_angle, key_accept = jax.random.split(key, 3)
            uniform = jax.random.uniform(key_angle, kappa.shape, kappa.dtype, -0.5, 0.5)
            tangent = narrow * jnp.tan(jnp.pi * uniform)
            slope = least + 2 * kappa * tangent**2 / (1 + tangent**2)
            fits = jnp.log(slope) + 1 - slope >= jnp.log(1 - jax.random.uniform(key_accept, kappa.shape, kappa.dtype))
            return jnp.where(accepted, old, 2 * jnp.arctan(tangent)), accepted | fits, key

        loop = (jnp.zeros_like(kappa), jnp.zeros(kappa.shape, bool), key)
        angle, *_ = jax.lax.while_loop(lambda loop: ~jnp.all(loop[1]), propose, loop)
        around = jnp.arctan2(theta[..., 1], theta[..., 0]) + angle
        return jnp.remainder(around + jnp.pi, 2 * jnp.pi) - jnp.pi


_FAR = 25.0
_TERMS = 28


def _series(count: int) -> list[float]:
    """Coefficients a of A(κ) = I₁/I₀ ~ Σ aₙ κ⁻ⁿ, by its differential equation A′ = 1 − A/κ − A²."""
    a = [1.0]
    for n in range(1, count):
        a.append(((n - 2) * a[n - 1] - sum(a[j] * a[n - j] for j in range(1, n))) / 2)
    return a


_ASYMPTOTIC = _series(20)


def _ratio(squared: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """A(κ)/κ of κ², smooth at 0: a continued fraction of positive terms, and beyond κ = 25 the asymptotic series.

    Reference: D. Amos, Math. Comp. 28, 239 (1974), for the tail of the fraction.
    """
    is_near = squared < _FAR**2
    near, far = jnp.where(is_near, squared, 0), jnp.sqrt(jnp.where(is_near, _FAR**2, squared))
    tail = 1 / (_TERMS + 0.5 + jnp.sqrt(near + (_TERMS + 1.5) ** 2))
    fraction = jax.lax.fori_loop(0, _TERMS, lambda n, rest: 1 / (2 * (_TERMS - n) + near * rest), tail)
    series = horner(_ASYMPTOTIC[::-1], 1 / far) / far
    return jnp.where(is_near, fraction, series)


@jax.custom_jvp
def _log_bessel(squared: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log I₀(κ) of κ², smooth at 0."""
    # in a scan that is differentiated twice JAX forgets the rule below, and the root has no derivative at 0
    kappa = jnp.sqrt(jnp.where(squared > 0, squared, 1))
    return jnp.where(squared > 0, kappa + jnp.log(i0e(kappa)), squared / 4)


@_log_bessel.defjvp
def _log_bessel_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _log_bessel(primals[0]), _ratio(primals[0]) / 2 * tangents[0]


_STEPS = 6
"""Newton steps; after four nothing moves."""


@jax.custom_jvp
@jax.jit
def _stretch(squared: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """κ/r where A(κ) = r, of r², smooth at 0."""
    root = jnp.sqrt(jnp.where(squared > 0, squared, 1))  # as above

    def newton(_: Array, kappa: Float[Array, "*s"]) -> Float[Array, "*s"]:
        length, slope = with_slope(lambda k: k * _ratio(k**2), kappa)
        return kappa - (length - root) / slope

    # S. Sra, Comput. Stat. 27, 177 (2012), after A. Banerjee et al. (2005)
    start = root * (2 - squared) / (1 - squared)
    kappa = jax.lax.fori_loop(0, _STEPS, newton, start)
    return jnp.where(squared > 0, 1 / _ratio(kappa**2), 2 + squared)


@_stretch.defjvp
def _stretch_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # of r² = κ² ratio², and κ/r = 1/ratio
    stretch = _stretch(primals[0])
    squared = stretch**2 * primals[0]
    ratio, bend = with_slope(_ratio, squared)
    return stretch, -bend / (ratio**3 * (ratio + 2 * squared * bend)) * tangents[0]
