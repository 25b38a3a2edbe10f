"""Shares of a whole: beta and Dirichlet variables."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from .base import AbstractUnweightedFamily, within
from .special import digamma, digamma_gap, digamma_rise, with_slope


class AbstractDirichlet(AbstractUnweightedFamily):
    """θ are concentrations − 1 along the last axis, means those of the logarithms of shares."""

    reparametrised: ClassVar[bool] = True

    def potential(self, theta: Float[Array, "*s K"]) -> Float[Array, ""]:
        alpha = theta + 1
        return jnp.sum(gammaln(alpha)) - jnp.sum(gammaln(jnp.sum(alpha, axis=-1)))

    def to_dual(self, theta: Float[Array, "*s K"]) -> Float[Array, "*s K"]:
        return log_means(theta + 1)

    def to_primal(self, eta: Float[Array, "*s K"]) -> Float[Array, "*s K"]:
        rounding = 8 * jnp.finfo(eta.dtype).eps
        inside = jnp.all(eta > -jnp.inf, axis=-1, keepdims=True) & (_short(eta) > rounding)
        sentence = f"The means of a {type(self).__name__} family are finite, with Σ exp(E[log x]) < 1 up to rounding."
        return within(inside, concentrations(eta) - 1, sentence)


class Beta(AbstractDirichlet):
    """Shares x between 0 and 1; θ = (α − 1, β − 1) along a last axis of two, means (E[log x], E[log(1 − x)]).

    The digits are those of `Dirichlet`. A draw with a small β may round to 1, where log(1 − x) is −∞; a `Dirichlet`
    draw of two parts has the digits of both.
    """

    def statistic(self, x: Float[Array, "*s"]) -> Float[Array, "*s 2"]:
        return jnp.stack([jnp.log(x), jnp.log1p(-x)], axis=-1)

    def sample(self, theta: Float[Array, "*s 2"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return jax.random.dirichlet(key, theta + 1, dtype=theta.dtype)[..., 0]


class Dirichlet(AbstractDirichlet):
    """Shares of K ≥ 2 parts along the last axis, which sum to one; θ = α − 1, means E[log x].

    A concentration α is known to ε/α from θ, and from the means to ε/(1 − Σ exp(E[log x])), ε the rounding of one
    number; of large concentrations with the sum α₀ that is 2α₀ε/(K − 1). Of tiny ones all parts of a draw but one may
    be 0, where log x is −∞.
    """

    def statistic(self, x: Float[Array, "*s K"]) -> Float[Array, "*s K"]:
        return jnp.log(x)

    def sample(self, theta: Float[Array, "*s K"], *, key: PRNGKeyArray) -> Float[Array, "*s K"]:
        return jax.random.dirichlet(key, theta + 1, dtype=theta.dtype)


def log_means(alpha: Float[Array, "*s K"]) -> Float[Array, "*s K"]:
    """E[log xᵢ] = ψ(αᵢ) − ψ(α₀), α₀ the sum of the concentrations α."""
    padded = jnp.pad(alpha, [(0, 0)] * (alpha.ndim - 1) + [(1, 1)])
    before, after = jnp.cumsum(padded, axis=-1), jnp.flip(jnp.cumsum(jnp.flip(padded, -1), axis=-1), -1)
    others = before[..., :-2] + after[..., 2:]  # the sum of the others, without subtracting
    return -digamma_rise(alpha, others)


Climb = tuple[Float[Array, "*s 1"], Float[Array, "*s K"], Bool[Array, ""], Int[Array, ""]]
_MOST = 60
"""More steps than are needed: two to fifteen, for concentrations with ratios up to 1e12."""


@jax.custom_jvp
@jax.jit
def concentrations(means: Float[Array, "*s K"]) -> Float[Array, "*s K"]:
    """The inverse of `log_means`.

    αᵢ = ψ⁻¹(ηᵢ + ψ(α₀)) leaves one equation, Σᵢ αᵢ/α₀ = 1. The sum increases in 1/α₀ and bends down, so that Newton's
    steps climb to the root from below: from where its tangent at α₀ = ∞ would have it.
    """
    tolerance = jnp.finfo(means.dtype).eps ** 0.5

    def climb(loop: Climb) -> Climb:
        inverse, *_, count = loop
        alpha = _inverse_digamma(means + digamma(1 / inverse))
        rise = (1 - jnp.sum(alpha, axis=-1, keepdims=True) * inverse) / _slope(alpha, 1 / inverse)
        return inverse + jnp.maximum(rise, 0), alpha, jnp.any(rise > tolerance * inverse), count + 1

    def polish(_: Array, alpha: Float[Array, "*s K"]) -> Float[Array, "*s K"]:
        # the sum is known to rounding of 1, which may be large beside what one part lacks of all; the means are better
        return alpha * jnp.exp(_solve(alpha, means - log_means(alpha)) / alpha)

    short = _short(means)
    loop = (2 * short / (means.shape[-1] - 1 + short), means, jnp.asarray(True), jnp.asarray(0))
    _, alpha, *_ = jax.lax.while_loop(lambda loop: loop[2] & (loop[3] < _MOST), climb, loop)
    return jax.lax.fori_loop(0, 2, polish, alpha)


@concentrations.defjvp
def _concentrations_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    alpha = concentrations(primals[0])
    return alpha, _solve(alpha, tangents[0])


def _solve(alpha: Float[Array, "*s K"], change: Float[Array, "*s K"]) -> Float[Array, "*s K"]:
    """The change of α with that of its means: a diagonal matrix and one of rank one, by Sherman and Morrison."""
    total = jnp.sum(alpha, axis=-1, keepdims=True)
    scaled = change / _trigamma(alpha)
    share = total * _trigamma(total) / _slope(alpha, total) / _trigamma(alpha)
    return scaled + share * jnp.sum(scaled, axis=-1, keepdims=True)


def _slope(alpha: Float[Array, "*s K"], total: Float[Array, "*s 1"]) -> Float[Array, "*s 1"]:
    """Σ (αᵢψ₁(αᵢ) − α₀ψ₁(α₀))/ψ₁(αᵢ); where the concentrations are large the products are almost 1."""

    def beyond(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
        return -x * with_slope(digamma_gap, x)[1]

    return jnp.sum((beyond(alpha) - beyond(total)) / _trigamma(alpha), axis=-1, keepdims=True)


def _short(means: Float[Array, "*s K"]) -> Float[Array, "*s 1"]:
    """1 − Σ exp(means)."""
    return -jnp.expm1(jax.nn.logsumexp(means, axis=-1, keepdims=True))


def _trigamma(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    return with_slope(digamma, x)[1]


def _inverse_digamma(y: Float[Array, "*s"]) -> Float[Array, "*s"]:
    def newton(_: Array, x: Float[Array, "*s"]) -> Float[Array, "*s"]:
        value, slope = with_slope(digamma, x)
        return x - (value - y) / slope

    # T. Minka, Estimating a Dirichlet distribution (2000), appendix C
    start = jnp.where(y >= -2.22, jnp.exp(y) + 0.5, -1 / (y + np.euler_gamma))
    return jax.lax.fori_loop(0, 5, newton, start)
