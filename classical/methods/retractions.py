"""From a step of the natural parameters of a Gaussian to a Gaussian: Λ₊ of Λ and S, then μ₊ = μ + Λ₊⁻¹(s − Sμ)."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from qnat.geometry.families.gaussian import AbstractGaussian

from ..models.gaussian_posterior import Theta, at, mean_of

_HALVINGS = 60
_LEAST = 1 / 16
"""What an additive step leaves of a precision in every direction, at least."""
_MOST = 1.0
"""By how much the logarithm of a precision moves in a multiplicative step, at most."""


def second_order(family: AbstractGaussian, theta: Theta, step: Theta) -> Theta:
    """Λ₊ = Λ + S + S Λ⁻¹ S/2, positive definite for every S: `family.retract`."""
    return family.retract(theta, step)


def additive(family: AbstractGaussian, theta: Theta, step: Theta) -> Theta:
    """Λ₊ = Λ + S; S is halved, and s with it, until that is at least Λ/16, not only positive definite."""

    def moved(length: Float[Array, ""]) -> Theta:
        return jax.tree.map(lambda t, s: t + length * s, theta, step)

    def outside(count: Float[Array, ""]) -> Bool[Array, ""]:
        beyond = moved(0.5**count / (1 - _LEAST))
        return ~jnp.isfinite(family.potential(beyond)) & (count < _HALVINGS)

    return moved(0.5 ** jax.lax.while_loop(outside, lambda count: count + 1, jnp.zeros(())))


def multiplicative(family: AbstractGaussian, theta: Theta, step: Theta) -> Theta:
    """Λ₊ = L exp(L⁻¹ S L⁻ᵀ) Lᵀ with Λ = LLᵀ, of every block; of numbers Λ₊ = Λ exp(S/Λ). Exponents end at ±1."""
    half = jax.tree.map(_moved, theta[1], step[1])
    still = at(family, mean_of(family, theta), jax.tree.map(jnp.subtract, half, step[1]))
    return still[0] + step[0], half  # Λ₊μ − Sμ + s


def _moved(half: Float[Array, "*s"], step: Float[Array, "*s"]) -> Float[Array, "*s"]:
    if half.ndim < 2:
        return half * jnp.exp(jnp.clip(step / half, -_MOST, _MOST))
    factor = jnp.linalg.cholesky(-(half + half.T))
    left = jax.scipy.linalg.solve_triangular(factor, -(step + step.T), lower=True)
    whitened = jax.scipy.linalg.solve_triangular(factor, left.T, lower=True)
    values, vectors = jnp.linalg.eigh((whitened + whitened.T) / 2)
    root = factor @ (vectors * jnp.exp(jnp.clip(values, -_MOST, _MOST) / 2))
    return -(root @ root.T) / 2


RETRACTIONS: Mapping[str, Callable[[AbstractGaussian, Theta, Theta], Theta]] = {
    "second_order": second_order,
    "multiplicative": multiplicative,
    "additive": additive,
}
"""By name."""
