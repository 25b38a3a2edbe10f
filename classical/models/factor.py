"""Rows that are linear in a hidden vector, with independent noise: factor analysis and probabilistic PCA.

An entry is xᵢ = wᵢ·z + μᵢ + noise of variance ψᵢ. With u = (z, 1) its log-density is −pᵢxᵢ²/2 + xᵢ bᵢ·u − uᵀAᵢu/2: the
natural parameters (A, b, p) say it without a word about the other entries, so that one that is missing is left out.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qnat.inference.chunks import summed
from qnat.inference.em import AbstractLatentModel

from ..data.missing import Rows
from .gaussian import LOG_2PI


class LinearParams(NamedTuple):
    """Natural parameters of d entries given a hidden vector of m numbers.

    Attributes:
        square: (d, m + 1, m + 1) A, with the normalisation in its last entry. cross: (d, m + 1) b. precision: (d,) p.
    """

    square: Float[Array, "d m+1 m+1"]
    cross: Float[Array, "d m+1"]
    precision: Float[Array, " d"]


class Linear(NamedTuple):
    """loadings: (d, m) w. bias: (d,) μ. noise: (d,) variances ψ."""

    loadings: Float[Array, "d m"]
    bias: Float[Array, " d"]
    noise: Float[Array, " d"]


def from_linear(linear: Linear) -> LinearParams:
    """The natural parameters of loadings, bias and noise."""
    loadings, bias, noise = linear
    slopes = jnp.concatenate([loadings, bias[:, None]], axis=1)
    cross = slopes / noise[:, None]
    square = cross[:, :, None] * slopes[:, None]
    return LinearParams(square.at[:, -1, -1].add(jnp.log(noise) + LOG_2PI), cross, 1 / noise)


def to_linear(params: LinearParams) -> Linear:
    """Loadings, bias and noise."""
    slopes = params.cross / params.precision[:, None]
    return Linear(slopes[:, :-1], slopes[:, -1], 1 / params.precision)


def changed(params: LinearParams, change: Float[Array, "m m"]) -> LinearParams:
    """The same rows of other coordinates z̃ of the hidden vector, z = change z̃."""
    whole = jax.scipy.linalg.block_diag(change, jnp.ones((1, 1), change.dtype))
    return LinearParams(whole.T @ params.square @ whole, params.cross @ whole, params.precision)


def filled(params: LinearParams, hidden: Float[Array, "N m"]) -> Float[Array, "N d"]:
    """The means of the entries of rows, given those of their hidden vectors."""
    loadings, bias, _ = to_linear(params)
    return hidden @ loadings.T + bias


def complete_log_prob(params: LinearParams, x: Float[Array, "N d"]) -> Float[Array, " N"]:
    """log p(x) of rows without missing entries, of normalised parameters, in nats, for the cost of two products."""
    loadings, bias, noise = to_linear(params)
    root = jnp.linalg.cholesky(jnp.eye(loadings.shape[1]) + loadings.T @ (loadings / noise[:, None]))
    gap = x - bias
    hidden = jax.scipy.linalg.solve_triangular(root, (gap @ (loadings / noise[:, None])).T, lower=True)
    squares = gap**2 @ (1 / noise) - jnp.sum(hidden**2, axis=0)
    logs = jnp.sum(jnp.log(noise)) + 2 * jnp.sum(jnp.log(jnp.diagonal(root)))
    return -(squares + logs + len(bias) * LOG_2PI) / 2


def log_prior(params: LinearParams, variances: Float[Array, " d"] | float) -> Float[Array, ""]:
    """The expected log-density of a row of that variance, mean 0 and hidden vector 0: linear, as of every row."""
    return -jnp.sum(params.square[:, -1, -1] + variances * params.precision) / 2


def regression(eta: LinearParams, *, isotropic: bool) -> LinearParams:
    """The parameters of maximum likelihood for expected statistics, the regression of every entry on the hidden vector.

    Args:
        eta: the derivatives of the mean log-density in `LinearParams`. isotropic: whether all entries have the same
            noise.
    """
    square = -(eta.square + jnp.swapaxes(eta.square, 1, 2))

    def one(pair: tuple[Array, Array]) -> Array:
        return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(pair[0]), pair[1])

    # one by one: batched factorisations of one program may wait for each other for ever (jaxlib 0.10)
    slopes = jax.lax.map(one, (square, eta.cross))
    whole = -2 * eta.precision
    left, counts = whole - jnp.sum(slopes * eta.cross, axis=1), square[:, -1, -1]
    if isotropic:
        left, counts = (jnp.broadcast_to(jnp.sum(each), each.shape) for each in (left, counts))
    noise = jnp.where(left > 4 * jnp.finfo(left.dtype).eps * whole, left / counts, jnp.nan)
    return from_linear(Linear(slopes[:, :-1], slopes[:, -1], noise))


@jax.custom_jvp
def _inverses(square: Float[Array, "P m m"]) -> tuple[Float[Array, "P m m"], Float[Array, " P"]]:
    """The inverses of positive definite matrices, and halves of the logarithms of their determinants."""

    def one(square: Float[Array, "m m"]) -> tuple[Float[Array, "m m"], Float[Array, ""]]:
        factor = jnp.linalg.cholesky(square)
        root = jax.scipy.linalg.solve_triangular(factor, jnp.eye(len(factor), dtype=factor.dtype), lower=True)
        return root.T @ root, jnp.sum(jnp.log(jnp.diagonal(factor)))

    return jax.lax.map(one, square)


@_inverses.defjvp
def _inverses_jvp(primals: tuple[Array], tangents: tuple[Array]) -> Any:
    # by the inverses themselves: the derivatives of P factorisations, one by one, would take most of an EM step
    (change,) = tangents
    inverses, logs = _inverses(*primals)
    return (inverses, logs), (-inverses @ change @ inverses, jnp.sum(inverses * change, axis=(1, 2)) / 2)


class _Shared(NamedTuple):
    """What rows of one pattern have in common.

    Attributes:
        theta: of all. covariances: (P, m, m) of the hidden vector given a row. shifts: (P, m) what the bias adds to the
            slope. constants: (P,) what does not depend on the row.
    """

    theta: LinearParams
    covariances: Float[Array, "P m m"]
    shifts: Float[Array, "P m"]
    constants: Float[Array, " P"]


class FactorAnalysis(AbstractLatentModel):
    """x = Wz + μ + noise, z standard normal, of rows of which entries may be missing and which may have weights.

    Attributes:
        isotropic: whether all entries have the same noise: probabilistic principal component analysis.
        prior: ρ, rows of the prior a row of the data: keeps noise from vanishing. variances: (d,) of the rows of the
            prior, whose mean and hidden vector are 0.

    Reference: D. Rubin, D. Thayer, Psychometrika 47, 69 (1982); M. Tipping, C. Bishop, J. R. Stat. Soc. B 61, 611
    (1999).
    """

    isotropic: bool = eqx.field(static=True, default=False)
    prior: Float[Array, ""] | float = 0.0
    variances: Float[Array, " d"] | float = 1.0

    def clamped(self, theta: LinearParams, data: Rows) -> Float[Array, ""]:
        """The weighted mean of log p(x) over rows, of which a batch is an estimate, with the log prior, in nats."""
        return summed(_chunk, self._shared(theta, data), data.chunks) + self.penalty(theta)

    def penalty(self, theta: LinearParams) -> Float[Array, ""]:
        """The log prior, for a row of the data, up to a constant."""
        return self.prior * log_prior(theta, self.variances)

    def log_prob(self, theta: LinearParams, data: Rows) -> Float[Array, " N"]:
        """log p(x) of every row, in their order, in nats."""
        shared = self._shared(theta, data)
        found = jax.lax.map(lambda chunk: _chunk_logs(shared, *chunk), (data.x, data.pattern))
        return found.ravel()[data.place]

    def hidden_means(self, theta: LinearParams, data: Rows) -> Float[Array, "N m"]:
        """E[z | x] of every row, in their order."""
        shared = self._shared(theta, data)

        found = jax.lax.map(lambda each: _hidden(shared, each[0] @ theta.cross, each[1])[0], (data.x, data.pattern))
        return found.reshape(-1, found.shape[-1])[data.place]

    def maximise(self, eta: LinearParams) -> LinearParams:
        return regression(eta, isotropic=self.isotropic)

    def _shared(self, theta: LinearParams, data: Rows) -> _Shared:
        """What rows of one pattern have in common."""
        there = jnp.asarray(~data.missing, theta.cross.dtype)
        square = jnp.einsum("pi,ijk->pjk", there, (theta.square + jnp.swapaxes(theta.square, 1, 2)) / 2)
        inner = jnp.eye(square.shape[1] - 1, dtype=square.dtype) + square[:, :-1, :-1]
        covariances, logs = _inverses(inner)
        return _Shared(theta, covariances, square[:, :-1, -1], -square[:, -1, -1] / 2 - logs)


def _chunk(shared: _Shared, rows: tuple[Array, Array, Array]) -> Float[Array, ""]:
    """The weighted sum of log p(x) over the rows of a chunk."""
    x, weights, pattern = rows
    return jnp.vdot(weights, _chunk_logs(shared, x, pattern))


def _chunk_logs(shared: _Shared, x: Float[Array, "C B d"], pattern: Int[Array, " C"]) -> Float[Array, "C B"]:
    """log p(x) of the rows of a chunk; missing entries are 0 there."""
    _, cross, precision = shared.theta
    slope = x @ cross
    means, reduced = _hidden(shared, slope, pattern)
    squares = jnp.sum(means * reduced, axis=-1) - x**2 @ precision
    return squares / 2 + slope[..., -1] + shared.constants[pattern][:, None]


def _hidden(
    shared: _Shared, slope: Float[Array, "C B m+1"], pattern: Int[Array, " C"]
) -> tuple[Float[Array, "C B m"], Float[Array, "C B m"]]:
    """The means of the hidden vectors, and what the covariances make them of."""
    reduced = slope[..., :-1] - shared.shifts[pattern][:, None]
    return jnp.einsum("cjk,cbk->cbj", shared.covariances[pattern], reduced), reduced
