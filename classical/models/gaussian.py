"""Gaussians by their natural parameters θ = (Λμ, −Λ/2): mean and root of the precision, moments, free coordinates."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

LOG_2PI = float(np.log(2 * np.pi))
Pair = tuple[Float[Array, " d"], Float[Array, "d d"]]


def mean_and_root(theta: Pair) -> Pair:
    """(μ, L) with Λ = LLᵀ, lower triangular; of −Λ/2 only the symmetric part matters."""
    shift, half = theta
    root = jnp.linalg.cholesky(-(half + half.T))
    return jax.scipy.linalg.cho_solve((root, True), shift), root


def from_covariance(mean: np.ndarray[Any, Any], covariance: np.ndarray[Any, Any]) -> Pair:
    """θ of mean and covariance, by NumPy."""
    precision = np.linalg.inv(covariance)
    precision = (precision + precision.T) / 2
    return jnp.asarray(precision @ mean), jnp.asarray(-precision / 2)


def inverse(root: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """L⁻¹ of a lower triangular L."""
    return jax.scipy.linalg.solve_triangular(root, jnp.eye(len(root), dtype=root.dtype), lower=True)


def to_free(theta: Pair) -> Pair:
    """(μ, the root of the covariance with the logarithm of its diagonal)."""
    mean, root = mean_and_root(theta)
    inverted = inverse(root)
    root = jnp.linalg.cholesky(inverted.T @ inverted)
    return mean, jnp.tril(root, -1) + jnp.diag(jnp.log(jnp.diagonal(root)))


def from_free(free: Pair) -> Pair:
    """The inverse of `to_free`; what stands above the diagonal does not matter."""
    mean, root = free
    inverted = inverse(jnp.tril(root, -1) + jnp.diag(jnp.exp(jnp.diagonal(root))))
    precision = inverted.T @ inverted
    return precision @ mean, -precision / 2


def squares(root: Float[Array, "d d"], centred: Float[Array, "N d"]) -> Float[Array, " N"]:
    """zᵀΛz of every row."""
    return jnp.sum((centred @ root) ** 2, axis=1)


def half_log_det(root: Float[Array, "d d"]) -> Float[Array, ""]:
    """½ log det Λ."""
    return jnp.sum(jnp.log(jnp.diagonal(root)))
