"""Positive definite matrices."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, PRNGKeyArray

from ..matrices import hermitian
from .base import AbstractUnweightedFamily, within
from .gaussian import moved
from .special import wishart_excess, wishart_gap

Pair = tuple[Float[Array, ""], Float[Array, "d d"]]


class Wishart(AbstractUnweightedFamily):
    """Positive definite matrices X (d, d) of ν > d − 1 degrees of freedom and the scale V, E[X] = νV.

    θ = ((ν − d − 1)/2, −V⁻¹/2), means (E[log det X], E[X]); of −V⁻¹/2 only the symmetric part matters. The excess
    e = (ν − d + 1)/2 is known to ε/e from θ, ε the rounding of one number, and where it is large to 4eε∣E[log det
    X]∣/d(d + 1) from the means. A draw of a tiny excess may be singular up to rounding, and its log det NaN.
    """

    reparametrised: ClassVar[bool] = True

    def potential(self, theta: Pair) -> Float[Array, ""]:
        excess, half = theta[0] + 1, theta[1]
        d = len(half)
        log_det = _log_det(jnp.linalg.cholesky(-(half + half.T) / 2))
        gammas = jnp.sum(gammaln(excess + jnp.arange(d, dtype=excess.dtype) / 2))
        return d * (d - 1) / 4 * jnp.log(jnp.pi) + gammas - (excess + (d - 1) / 2) * log_det

    def to_dual(self, theta: Pair) -> Pair:
        excess, half = theta[0] + 1, theta[1]
        d = len(half)
        factor, shape = jnp.linalg.cholesky(-(half + half.T) / 2), excess + (d - 1) / 2
        root = jax.scipy.linalg.solve_triangular(factor, jnp.eye(d, dtype=half.dtype), lower=True)
        log_det = d * jnp.log(shape) - _log_det(factor)
        return log_det - wishart_gap(excess, d), shape * (root.T @ root)

    def to_primal(self, eta: Pair) -> Pair:
        (mean,) = hermitian(mean=eta[1])
        d = len(mean)
        factor = jnp.linalg.cholesky(mean)
        log_det, rounding = _log_det(factor), d * jnp.finfo(factor.dtype).eps
        gap = log_det - eta[0]
        inside = jnp.all(jnp.diagonal(factor) ** 2 > rounding * jnp.diagonal(mean))  # false for NaN
        inside &= (gap > rounding * (1 + jnp.abs(log_det))) & (gap < jnp.inf)
        excess = wishart_excess(gap, d)
        root = jax.scipy.linalg.solve_triangular(factor, jnp.eye(d, dtype=mean.dtype), lower=True)
        sentence = (
            "A Wishart family has a positive definite mean E[X], with log det E[X] above E[log det X]; these means are "
            "not so, up to rounding."
        )
        return within(inside, (excess - 1, -(excess + (d - 1) / 2) * (root.T @ root)), sentence)

    def retract(self, theta: Pair, step: Pair) -> Pair:
        """That of the precision of a `Gaussian`, for V⁻¹ and, as a matrix of one entry, for the excess."""
        excess, half, change = theta[0] + 1, -(theta[1] + theta[1].T) / 2, -(step[1] + step[1].T) / 2
        factor = jnp.linalg.cholesky(half)
        return theta[0] + step[0] + step[0] ** 2 / (2 * excess), -moved(factor, half, change)

    def statistic(self, x: Float[Array, "d d"]) -> Pair:
        return _log_pivots(x), x

    def sample(self, theta: Pair, *, key: PRNGKeyArray) -> Float[Array, "d d"]:
        """Reference: M. Bartlett, Proc. R. Soc. Edinb. 53, 260 (1933)."""
        excess, half = theta[0] + 1, theta[1]
        d = len(half)
        key_diagonal, key_below = jax.random.split(key)
        gammas = jax.random.gamma(key_diagonal, excess + jnp.arange(d, dtype=half.dtype)[::-1] / 2, dtype=half.dtype)
        normals = jax.random.normal(key_below, (d, d), half.dtype) / jnp.sqrt(2)
        lower = jnp.tril(normals, -1) + jnp.diag(jnp.sqrt(gammas))
        factor = jnp.linalg.cholesky(-(half + half.T) / 2)
        root = jax.scipy.linalg.solve_triangular(factor.T, lower, lower=False)
        return root @ root.T


def _log_det(factor: Float[Array, "d d"]) -> Float[Array, ""]:
    return 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))


def _log_pivots(x: Float[Array, "d d"]) -> Float[Array, ""]:
    """log det of a positive definite matrix, by elimination.

    Data come in batches, and batched factorisations of one program may wait for each other for ever (jaxlib 0.10).
    """

    def eliminate(k: Array, loop: tuple[Array, Array]) -> tuple[Array, Array]:
        left, total = loop
        pivot = left[k, k]
        return left - jnp.outer(left[:, k], left[k]) / pivot, total + jnp.log(pivot)

    return jax.lax.fori_loop(0, len(x), eliminate, (x, jnp.zeros((), x.dtype)))[1]
