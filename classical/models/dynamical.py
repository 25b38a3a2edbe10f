"""Linear dynamical systems: a hidden vector that moves linearly, with noise, and is seen through linear rows."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qnat.geometry.families import Gaussian
from qnat.inference.chunks import summed
from qnat.inference.em import AbstractLatentModel

from ..data.missing import Sequences
from .factor import LinearParams, changed, log_prior, regression
from .gaussian import LOG_2PI


class DynamicalParams(NamedTuple):
    """Natural parameters, each factor normalised.

    Attributes:
        first: (c, h, J) of c + h·z + zᵀJz, log p of the first hidden vector. move: (c, D) of c + vᵀDv, v = (z, z′),
        log p(z′ | z). emission: of a row given its hidden vector.
    """

    first: tuple[Float[Array, ""], Float[Array, " m"], Float[Array, "m m"]]
    move: tuple[Float[Array, ""], Float[Array, "2m 2m"]]
    emission: LinearParams


Potential = tuple[Float[Array, ""], Float[Array, " m"], Float[Array, "m m"]]
"""(c, h, J) of c + h·z + zᵀJz."""


def first_of(mean: Float[Array, " m"], second: Float[Array, "m m"]) -> Potential:
    """(c, h, J) of the normal distribution with that mean and second moment."""
    family = Gaussian()
    shift, half = family.to_primal((mean, second))
    return -family.potential((shift, half)) - mean.size * LOG_2PI / 2, shift, half


def move_of(matrix: Float[Array, "m m"], noise: Float[Array, "m m"]) -> tuple[Float[Array, ""], Float[Array, "2m 2m"]]:
    """(c, D) of z′ = matrix z + noise, given as a covariance."""
    factor = jnp.linalg.cholesky(noise)
    both = jnp.concatenate([-matrix, jnp.eye(len(noise), dtype=matrix.dtype)], axis=1)
    root = jax.scipy.linalg.solve_triangular(factor, both, lower=True)
    return -jnp.sum(jnp.log(jnp.diagonal(factor))) - len(noise) * LOG_2PI / 2, -root.T @ root / 2


def changed_dynamics(theta: DynamicalParams, change: Float[Array, "m m"]) -> DynamicalParams:
    """The same system in other coordinates z̃ of the hidden vector, z = change z̃."""
    (c, shift, half), (constant, move), emission = theta
    volume = jnp.linalg.slogdet(change)[1]
    both = jax.scipy.linalg.block_diag(change, change)
    first = c + volume, change.T @ shift, change.T @ half @ change
    return DynamicalParams(first, (constant + volume, both.T @ move @ both), changed(emission, change))


class LinearDynamical(AbstractLatentModel):
    """z₁ ~ N(m, P), z′ = Az + N(0, Q), x = Cz + μ + N(0, R), R diagonal, of sequences of rows with missing entries.

    Attributes:
        prior, variances: as of `FactorAnalysis`.

    Reference: R. Shumway, D. Stoffer, J. Time Ser. Anal. 3, 253 (1982); Z. Ghahramani, G. Hinton, Parameter estimation
    for linear dynamical systems (1996).
    """

    prior: Float[Array, ""] | float = 0.0
    variances: Float[Array, " d"] | float = 1.0

    def clamped(self, theta: DynamicalParams, data: Sequences) -> Float[Array, ""]:
        """The mean over rows of log p(x) of the sequences, with the log prior, in nats."""
        x, seen = data.entries
        total = summed(_sequence, theta, (x, seen, jnp.asarray(data.lengths), jnp.asarray(data.weights)))
        return total / data.total + self.penalty(theta)

    def penalty(self, theta: DynamicalParams) -> Float[Array, ""]:
        """The log prior, for a row of the data, up to a constant."""
        return self.prior * log_prior(theta.emission, self.variances)

    def hidden_means(self, theta: DynamicalParams, data: Sequences) -> Float[Array, "S T m"]:
        """E[z | x] of every row given its sequence, the smoother; behind its end 0.

        It is the derivative of the likelihood in a slope that is added to the potential of each hidden vector.
        """
        x, seen = data.entries

        def one(sequence: tuple[Array, Array, Array]) -> Float[Array, "T m"]:
            x, seen, length = sequence
            row = x, seen, length, jnp.ones((), x.dtype)
            none = jnp.zeros((len(x), theta.first[1].size), x.dtype)
            return jax.grad(lambda slopes: _sequence(theta, row, slopes))(none)

        return jax.lax.map(one, (x, seen, jnp.asarray(data.lengths)))

    def maximise(self, eta: DynamicalParams) -> DynamicalParams:
        count, first, second = eta.first
        pairs, moments = eta.move
        moments = (moments + moments.T) / 2
        m = first.size
        old, cross = moments[:m, :m], moments[:m, m:]
        matrix = jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(old), cross).T
        noise = (moments[m:, m:] - matrix @ cross) / pairs
        return DynamicalParams(
            first_of(first / count, (second + second.T) / (2 * count)),
            move_of(matrix, (noise + noise.T) / 2),
            regression(eta.emission, isotropic=False),
        )


_Weighed = tuple[Float[Array, "T d"], Float[Array, "T d"], Int[Array, ""], Float[Array, ""]]


def _sequence(
    theta: DynamicalParams, sequence: _Weighed, slopes: Float[Array, "T m"] | float = 0.0
) -> Float[Array, ""]:
    """log p(x) of one sequence times its weight, by a filter of potentials; a missing entry is not `seen`.

    `slopes` are added to the potentials of the hidden vectors.
    """
    x, seen, length, weight = sequence
    (c, shift, half), (constant, move), (square, cross, precision) = theta
    m, half, move = shift.size, (half + half.T) / 2, (move + move.T) / 2
    square = jnp.einsum("ti,ijk->tjk", seen, (square + jnp.swapaxes(square, 1, 2)) / 2)
    slope = x @ cross
    rows = (
        slope[:, -1] - (x**2 @ precision + square[:, -1, -1]) / 2,
        slope[:, :-1] - square[:, :-1, -1] + slopes,
        -square[:, :-1, :-1] / 2,
    )

    def integrated(c: Array, shift: Array, half: Array) -> tuple[Array, Array]:
        """log ∫ exp(c + h·z + zᵀJz) dz, and the factor of −2J."""
        factor = jnp.linalg.cholesky(-2 * half)
        root = jax.scipy.linalg.solve_triangular(factor, shift, lower=True)
        return c + root @ root / 2 - jnp.sum(jnp.log(jnp.diagonal(factor))) + m * LOG_2PI / 2, factor

    def step(state: Potential, row: tuple[Array, Potential]) -> tuple[Potential, None]:
        time, seen = row
        c, shift, half = state
        c, factor = integrated(c, shift, half + move[:m, :m])
        both = jnp.concatenate([shift[:, None], 2 * move[:m, m:]], axis=1)
        gone = jax.scipy.linalg.cho_solve((factor, True), both)
        new = c + constant, 2 * move[m:, :m] @ gone[:, 0], move[m:, m:] + move[m:, :m] @ gone[:, 1:]
        return jax.tree.map(lambda new, seen, old: jnp.where(time < length, new + seen, old), new, seen, state), None

    first, rest = (jax.tree.map(lambda leaf, part=part: leaf[part], rows) for part in (0, slice(1, None)))
    start = jax.tree.map(jnp.add, (c, shift, half), first)
    last, _ = jax.lax.scan(step, start, (jnp.arange(1, len(x)), rest))
    return weight * integrated(*last)[0]
