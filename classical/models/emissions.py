"""K distributions of one kind of row, of which entries may be missing: what mixtures and hidden Markov models are of.

Parameters are (a, θ) as those of `qnat.geometry.MixtureFamily`, a (K,) and the natural parameters of the components
along a first axis of K; log p(k, x) = aₖ + ⟨θₖ, t(x)⟩ + log h(x) where aₖ = log πₖ − A(θₖ). An entry that is missing
is integrated over, exactly, once for all rows that miss the same entries.

A prior is conjugate: ρ rows that every component counts beside its own, of the statistics t₀,

    log prior = ρ Σₖ (aₖ + ⟨θₖ, t₀⟩) + const, for a row of the data.

It is linear in (a, θ), so that its derivative stands beside the expected statistics and a step of expectation
maximisation stays one; and no weight and no covariance comes to nothing.
"""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from qnat.geometry.families import DiagonalGaussian, Gaussian
from qnat.geometry.joint import Joint, MixtureFamily

from ..data.missing import Rows
from .gaussian import LOG_2PI


class AbstractEmission(eqx.Module):
    """K distributions, linear in features of a row once its missing entries are integrated over.

    Attributes:
        prior: ρ, rows of the prior a row of the data.
    """

    prior: eqx.AbstractVar[Float[Array, ""] | float]

    @abc.abstractmethod
    def features(self, x: Float[Array, "*b d"]) -> Float[Array, "*b F"]:
        """Of rows, in which missing entries are 0."""

    @abc.abstractmethod
    def coefficients(self, theta: Joint, missing: Bool[Array, "P d"]) -> Float[Array, "P K F"]:
        """Those of the features in log p(k, x), x without the entries that a pattern misses."""

    @abc.abstractmethod
    def maximise(self, eta: Joint) -> Joint:
        """(log πₖ − A(θₖ), θₖ) of maximum likelihood for expected statistics; NaN where a component has none."""

    @abc.abstractmethod
    def filled(self, theta: Joint, data: Rows, shares: Float[Array, "N K"]) -> Float[Array, "N d"]:
        """The rows, with the conditional means of their missing entries, if components have these shares in a row."""

    @abc.abstractmethod
    def penalty(self, theta: Joint) -> Float[Array, ""]:
        """The log prior above, up to a constant."""

    def scored(
        self, coefficients: Float[Array, "P K F"], x: Float[Array, "C B d"], pattern: Int[Array, " C"]
    ) -> Float[Array, "C B K"]:
        """log p(k, x) of the rows of a chunk; final."""
        features = self.features(x)
        if len(coefficients) == 1:
            return features @ coefficients[0].T
        return jnp.einsum("cbf,ckf->cbk", features, coefficients[pattern])

    def scores(self, theta: Joint, data: Rows) -> Float[Array, "N K"]:
        """log p(k, x) of all rows, in their order; final."""
        coefficients = self.coefficients(theta, jnp.asarray(data.missing))
        # a chunk's features are made again for its gradient, and held for no other
        chunk = jax.checkpoint(lambda x, pattern: self.scored(coefficients, x, pattern))
        found = jax.lax.map(lambda pair: chunk(*pair), (data.x, data.pattern))
        return found.reshape(-1, found.shape[-1])[data.place]


def finite_log(p: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log p, a large negative number where p is 0: sums over paths of which none is possible have no derivative."""
    return jnp.log(jnp.maximum(p, jnp.finfo(p.dtype).tiny))


def probabilities(logs: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """exp of what `finite_log` gave, 0 where that stands for log 0."""
    p = jnp.exp(logs)
    return jnp.where(p > 2 * jnp.finfo(p.dtype).tiny, p, 0)


def _symmetric(a: Float[Array, "*b d d"]) -> Float[Array, "*b d d"]:
    return (a + jnp.swapaxes(a, -1, -2)) / 2


Potentials = tuple[Float[Array, "*b"], Float[Array, "*b d"], Float[Array, "*b d d"]]
"""(c, h, J) of c + h·x + xᵀJx, J symmetric."""
_Saved = tuple[Array, Array, Array, Array]


def _eliminated(missing: Float[Array, " d"], half: Float[Array, "d d"]) -> tuple[Array, Array]:
    """The covariance of the missing entries given the others, zero elsewhere, and ½ log det of its inverse."""
    there = jnp.diag(1 - missing)
    factor = jnp.linalg.cholesky(-2 * missing[:, None] * half * missing + there)
    root = jax.scipy.linalg.solve_triangular(factor, jnp.diag(missing), lower=True)
    return root.T @ root, jnp.sum(jnp.log(jnp.diagonal(factor)))


def _marginals_forward(
    c: Float[Array, " K"], h: Float[Array, "K d"], half: Float[Array, "K d d"], missing: Float[Array, "P d"]
) -> tuple[Potentials, _Saved]:
    # one by one: batched factorisations of one program may wait for each other for ever (jaxlib 0.10)
    spread, logs = jax.lax.map(lambda m: jax.lax.map(lambda j: _eliminated(m, j), half), missing)

    def one(
        spread: Float[Array, "d d"], log: Float[Array, ""], gone: Float[Array, " d"], c: Array, h: Array, half: Array
    ) -> tuple[Potentials, tuple[Array, Array]]:
        there = 1 - gone
        mean, slope = spread @ h, spread @ (2 * half) * there
        constant = c + h @ mean / 2 - log + jnp.sum(gone) * LOG_2PI / 2
        left = (constant, there * (h + 2 * half @ mean), there[:, None] * (half + half @ slope) * there)
        return left, (mean, jnp.diag(there) + slope)

    over = jax.vmap(jax.vmap(one, (0, 0, None, 0, 0, 0)), (0, 0, 0, None, None, None))
    found, (means, slopes) = over(spread, logs, missing, c, h, half)
    return found, (means, slopes, spread, missing)


def _marginals_backward(saved: _Saved, slope: Potentials) -> tuple[Array, Array, Array, None]:
    """Moments of whole rows from those of what is left of them: a row's mean is an affine map of what is left."""
    means, slopes, spreads, missing = saved

    def one(
        mean: Array, slope: Array, spread: Array, there: Array, count: Array, first: Array, second: Array
    ) -> tuple[Array, Array, Array]:
        first, second = slope @ (there * first), slope @ (there[:, None] * second * there) @ slope.T
        cross = jnp.outer(first, mean)
        return (
            count,
            first + count * mean,
            second + cross + cross.T + count * (jnp.outer(mean, mean) + spread),
        )

    over = jax.vmap(jax.vmap(one, (0, 0, 0, None, 0, 0, 0)))
    count, first, second = over(means, slopes, spreads, 1 - missing, *slope)
    return count.sum(0), first.sum(0), second.sum(0), None


marginals = jax.custom_vjp(lambda *arguments: _marginals_forward(*arguments)[0])
"""(c, h, J) of K components and (P, d) which entries are missing ↦ (P, K, …): the rest, the missing integrated over.

Its derivative is written out, as conditional moments of the missing entries: that of a factorisation would take longer,
and lose digits.
"""
marginals.defvjp(_marginals_forward, _marginals_backward)


class FullGaussians(AbstractEmission):
    """Normal distributions; θ = (Λμ, −Λ/2) as of `qnat.geometry.families.Gaussian`, of which −Λ/2 is made symmetric.

    Attributes:
        tied: whether all have the same covariance.
        prior: ρ. variances: (d,) of the rows of the prior, whose mean is 0.
    """

    family: ClassVar = Gaussian()
    tied: bool = eqx.field(static=True, default=False)
    prior: Float[Array, ""] | float = 0.0
    variances: Float[Array, " d"] | float = 1.0

    def features(self, x: Float[Array, "*b d"]) -> Float[Array, "*b F"]:
        """1, x and all products xᵢxⱼ, i ≤ j."""
        i, j = np.triu_indices(x.shape[-1])
        return jnp.concatenate([jnp.ones((*x.shape[:-1], 1), x.dtype), x, x[..., i] * x[..., j]], axis=-1)

    def coefficients(self, theta: Joint, missing: Bool[Array, "P d"]) -> Float[Array, "P K F"]:
        logits, (shift, half) = theta
        dim = shift.shape[-1]
        c = logits - dim * LOG_2PI / 2
        c, shift, half = marginals(c, shift, _symmetric(half), missing.astype(shift.dtype))
        i, j = np.triu_indices(dim)
        return jnp.concatenate([c[..., None], shift, half[..., i, j] * np.where(i == j, 1, 2)], axis=-1)

    def maximise(self, eta: Joint) -> Joint:
        counts, (first, second) = eta
        second = _symmetric(second)
        if self.tied:
            squares = first[:, :, None] * first[:, None] / counts[:, None, None]
            within = jnp.sum(second - squares, axis=0) / jnp.sum(counts)
            second = squares + counts[:, None, None] * within
        return MixtureFamily(self.family).to_primal((counts, (first, second)))

    def filled(self, theta: Joint, data: Rows, shares: Float[Array, "N K"]) -> Float[Array, "N d"]:
        logits, (shift, half) = theta
        missing = jnp.asarray(data.missing, shift.dtype)
        _, (means, slopes, *_) = _marginals_forward(logits, shift, _symmetric(half), missing)

        def chunk(
            x: Float[Array, "C B d"], pattern: Int[Array, " C"], shares: Float[Array, "C B K"]
        ) -> Float[Array, "C B d"]:
            each = means[pattern][:, None] + jnp.einsum("ckij,cbj->cbki", slopes[pattern], x)
            return jnp.einsum("cbk,cbki->cbi", shares, each)

        placed = jnp.zeros((data.weights.size, len(logits)), shares.dtype).at[data.place].set(shares)
        arranged = placed.reshape(*data.weights.shape, len(logits))
        found = jax.lax.map(lambda each: chunk(*each), (data.x, data.pattern, arranged))
        return found.reshape(-1, data.x.shape[-1])[data.place]

    def penalty(self, theta: Joint) -> Float[Array, ""]:
        logits, (_, half) = theta
        return self.prior * (jnp.sum(logits) + jnp.sum(self.variances * jnp.diagonal(half, axis1=1, axis2=2)))


class DiagonalGaussians(AbstractEmission):
    """Normal distributions of independent entries; θ = (μ/σ², −1/(2σ²)), (K, d) each.

    Attributes:
        spherical: whether the entries of a component have the same variance.
        prior, variances: as in `FullGaussians`.
    """

    family: ClassVar = DiagonalGaussian()
    spherical: bool = eqx.field(static=True, default=False)
    prior: Float[Array, ""] | float = 0.0
    variances: Float[Array, " d"] | float = 1.0

    def features(self, x: Float[Array, "*b d"]) -> Float[Array, "*b F"]:
        """1, x and x²."""
        return jnp.concatenate([jnp.ones((*x.shape[:-1], 1), x.dtype), x, x**2], axis=-1)

    def coefficients(self, theta: Joint, missing: Bool[Array, "P d"]) -> Float[Array, "P K F"]:
        logits, (shift, half) = theta
        alone = -(shift**2) / (4 * half) - jnp.log(-2 * half) / 2  # A of an entry: what its integral leaves
        gone = missing.astype(shift.dtype)
        c = logits + gone @ alone.T - (jnp.sum(1 - gone, axis=1) * LOG_2PI / 2)[:, None]
        rest = jnp.concatenate([shift, half], axis=-1)
        return jnp.concatenate([c[..., None], jnp.broadcast_to(rest, (*c.shape, rest.shape[-1]))], axis=-1)

    def maximise(self, eta: Joint) -> Joint:
        counts, (first, second) = eta
        if self.spherical:
            squares = first**2 / counts[:, None]
            within = jnp.mean(second - squares, axis=1, keepdims=True)
            second = squares + within
        return MixtureFamily(self.family).to_primal((counts, (first, second)))

    def filled(self, theta: Joint, data: Rows, shares: Float[Array, "N K"]) -> Float[Array, "N d"]:
        _, (shift, half) = theta
        x, missing, _ = data.entries
        return jnp.where(missing, shares @ (-shift / (2 * half)), x)

    def penalty(self, theta: Joint) -> Float[Array, ""]:
        logits, (_, half) = theta
        return self.prior * (jnp.sum(logits) + jnp.sum(self.variances * half))


Gaussians = FullGaussians | DiagonalGaussians


class Symbols(AbstractEmission):
    """Independent columns of symbols 0, 1, … in each component; θ (K, F) are the log-probabilities, column by column.

    Attributes:
        sizes: how many symbols a column has; F is their sum.
        prior: ρ; all symbols of a column are alike in its rows.
    """

    sizes: tuple[int, ...] = eqx.field(static=True, kw_only=True)
    prior: Float[Array, ""] | float = 0.0

    def features(self, x: Float[Array, "*b d"]) -> Float[Array, "*b F"]:
        """1, and which symbol a column has: those of a missing entry are those of symbol 0."""
        hot = [jax.nn.one_hot(x[..., i].astype(int), size, dtype=x.dtype) for i, size in enumerate(self.sizes)]
        return jnp.concatenate([jnp.ones((*x.shape[:-1], 1), x.dtype), *hot], axis=-1)

    def coefficients(self, theta: Joint, missing: Bool[Array, "P d"]) -> Float[Array, "P K F"]:
        logits, logs = theta
        there = jnp.repeat(~missing, np.array(self.sizes), axis=1, total_repeat_length=sum(self.sizes))
        c = jnp.broadcast_to(logits[:, None], (len(missing), len(logits), 1))
        return jnp.concatenate([c, jnp.where(there[:, None], logs, 0)], axis=-1)

    def maximise(self, eta: Joint) -> Joint:
        counts, sums = eta
        ends = np.cumsum(self.sizes)[:-1]
        columns = [finite_log(part / jnp.sum(part, axis=1, keepdims=True)) for part in jnp.split(sums, ends, axis=1)]
        return jnp.log(counts), jnp.concatenate(columns, axis=1)

    def filled(self, theta: Joint, data: Rows, shares: Float[Array, "N K"]) -> Float[Array, "N d"]:
        """With the most probable symbols, as these have no mean."""
        x, missing, _ = data.entries
        columns = jnp.split(shares @ probabilities(theta[1]), np.cumsum(self.sizes)[:-1], axis=1)
        best = jnp.stack([jnp.argmax(column, axis=1) for column in columns], axis=1)
        return jnp.where(missing, best.astype(x.dtype), x)

    def penalty(self, theta: Joint) -> Float[Array, ""]:
        logits, logs = theta
        sizes = np.array(self.sizes)
        return self.prior * (jnp.sum(logits) + jnp.sum(logs / np.repeat(sizes, sizes)))
