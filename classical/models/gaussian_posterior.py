"""Gaussians of any structure about a mean of their own: what a variational posterior needs of all of them alike.

θ = (Λμ, h), h the structure's −Λ/2: a matrix, a vector, a number, or blocks.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from qnat.geometry.families.gaussian import AbstractGaussian
from qnat.geometry.mirror import pairing

Theta = tuple[Float[Array, " d"], PyTree[Array]]


def _times(family: AbstractGaussian, half: PyTree[Array], x: Float[Array, " d"]) -> Float[Array, " d"]:
    """(h + hᵀ) x, the derivative of ⟨h, t₂(x)⟩."""
    return jax.grad(lambda x: pairing(half, family.statistic(x)[1]))(x)


def at(family: AbstractGaussian, mean: Float[Array, " d"], half: PyTree[Array]) -> Theta:
    """θ of a mean and of −Λ/2."""
    return -_times(family, half, mean), half


def mean_of(family: AbstractGaussian, theta: Theta) -> Float[Array, " d"]:
    """μ."""
    return family.to_dual(theta)[0]


def covariance_of(family: AbstractGaussian, theta: Theta) -> Float[Array, "d d"]:
    """Σ, dense: the derivative of μ by Λμ."""
    covariance = jax.jacobian(lambda shift: family.to_dual((shift, theta[1]))[0])(theta[0])
    return (covariance + covariance.T) / 2


def spherical(family: AbstractGaussian, mean: Float[Array, " d"], deviation: float) -> Theta:
    """The member of mean μ and independent entries of one standard deviation."""
    each = jax.vmap(lambda unit: family.statistic(unit)[1])(jnp.eye(mean.size, dtype=mean.dtype))
    second = jax.tree.map(lambda t: deviation**2 * jnp.sum(t, axis=0), each)
    return at(family, mean, family.to_primal((jnp.zeros_like(mean), second))[1])


def by_means(family: AbstractGaussian, theta: Theta, loss: Any) -> tuple[Float[Array, ""], Theta]:
    """The value of a loss of (θ, μ) and its derivative by the mean parameters η = ∇ψ(θ), shaped like θ.

    The loss is asked at the member with the same Λ about zero, and told μ, which it adds to its points: a covariance
    is then never the difference of large second moments.
    """
    mean = jax.lax.stop_gradient(mean_of(family, theta))
    centred = family.to_dual((jnp.zeros_like(mean), theta[1]))
    value, (first, second) = jax.value_and_grad(lambda eta: loss(family.to_primal(eta), mean))(centred)
    return value, (first - _times(family, second, mean), second)
