"""Charts of the means of a mixture: the same K points in other coordinates, some of them regular where two means meet.

Where m₁ = m₂ a mixture does not depend on the difference u = m₂ − m₁ to first order about the weighted mean, and its
Fisher metric is singular: F_uu = O(u²). Linear charts rotate this direction into a coordinate and log charts make it
worse; u², in d dimensions (e·u) u, is what the density depends on, and its metric is regular. Every chart takes means
(K, d) to coordinates (K, d). Weights and covariances are no part of it.

Reference: P. Esser, F. Nielsen, arXiv:2206.08598; the equations here are constructions in its spirit.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qnat.geometry.charts import AbstractChart

Means = Float[Array, "K d"]
Coordinates = Float[Array, "K d"]
LEAST = 1e-12
"""To which `project` of a squared chart lifts the square of a gap."""


class StandardMeans(AbstractChart):
    """The means themselves."""

    def to_point(self, coordinates: Coordinates) -> Means:
        return coordinates

    def from_point(self, point: Means) -> Coordinates:
        return point


class RelativeMeans(AbstractChart):
    """The mean of a component of reference, the first, and the differences of the others from it."""

    def to_point(self, coordinates: Coordinates) -> Means:
        return coordinates.at[1:].add(coordinates[0])

    def from_point(self, point: Means) -> Coordinates:
        return point.at[1:].add(-point[0])


class CentredMeans(AbstractChart):
    """The weighted mean Σ wₖ mₖ, and the gaps mₖ₊₁ − mₖ.

    Attributes:
        weights: w (K,), of sum one.
    """

    weights: Float[Array, " K"]

    def to_point(self, coordinates: Coordinates) -> Means:
        centre, gaps = coordinates[:1], coordinates[1:]
        from_first = jnp.concatenate([jnp.zeros_like(centre), jnp.cumsum(gaps, axis=0)])
        return centre + from_first - self.weights @ from_first

    def from_point(self, point: Means) -> Coordinates:
        return jnp.concatenate([(self.weights @ point)[None], jnp.diff(point, axis=0)])


class OrderedMeans(AbstractChart):
    """The weighted mean and the gaps, log(e·u) in the place of their component along a direction e.

    It knows one order of the components only, that along e. A gap u stands as Q u with its first entry e·u as a
    logarithm, Q the reflection that exchanges e with the first axis.

    Attributes:
        weights: w (K,), of sum one. direction: e (d,), of length one; in one dimension 1 or −1.
    """

    weights: Float[Array, " K"]
    direction: Float[Array, " d"]

    def to_point(self, coordinates: Coordinates) -> Means:
        turned = coordinates.at[1:, 0].set(jnp.exp(coordinates[1:, 0]))
        return CentredMeans(self.weights).to_point(turned.at[1:].set(_reflected(turned[1:], self.direction)))

    def from_point(self, point: Means) -> Coordinates:
        centred = CentredMeans(self.weights).from_point(point)
        turned = _reflected(centred[1:], self.direction)
        return centred.at[1:].set(turned.at[:, 0].set(jnp.log(turned[:, 0])))


def _reflected(vectors: Float[Array, "n d"], direction: Float[Array, " d"]) -> Float[Array, "n d"]:
    """By the symmetric orthogonal matrix that exchanges a direction e with the first axis e₀.

    Householder's 1 − 2nnᵀ/nᵀn with n = e + s e₀ takes e to −s e₀; with the sign s of the first entry n cannot vanish.
    """
    sign = jnp.where(direction[0] < 0, -1, 1).astype(direction.dtype)
    normal = jnp.asarray(direction).at[0].add(sign)
    return -sign * (vectors - 2 * (vectors @ normal)[:, None] * normal / (normal @ normal))


class SquaredMeans(AbstractChart):
    """Of each pair of components that may meet, their centre and the square z = (e·u) u of their gap u; e·u > 0.

    Row i of the coordinates is the weighted mean of a pair (i, j), row j is z; other rows are means. In one dimension
    z = u². About the centre log p depends on u through u uᵀ, of which z is one column: the metric has a regular limit
    as a pair meets along any direction that is not orthogonal to e. Gaps orthogonal to e are where the chart ends, so
    take e along the gap that is expected.

    Three components that meet in one point have no chart of squares, so pairs have no component in common. Gaps of
    three in a row would not do either: moving one of them moves the centre of two against the third, to first order.

    Attributes:
        weights: w (K,), of sum one. direction: e (d,), of length one; in one dimension 1 or −1.
        pairs: indices (i, j); None for neighbours, (0, 1), (2, 3), …; a component left over is by itself.
    """

    weights: Float[Array, " K"]
    direction: Float[Array, " d"]
    pairs: tuple[tuple[int, int], ...] = eqx.field(static=True)

    def __init__(
        self,
        weights: Float[Array, " K"],
        direction: Float[Array, " d"],
        pairs: tuple[tuple[int, int], ...] | None = None,
    ) -> None:
        count = len(weights)
        self.weights, self.direction = weights, direction
        self.pairs = tuple((k, k + 1) for k in range(0, count - 1, 2)) if pairs is None else pairs
        indices = [index for pair in self.pairs for index in pair]
        if len(set(indices)) < len(indices) or not set(indices) <= set(range(count)):
            raise ValueError(
                f"SquaredMeans squares the gaps of pairs of {count} components that have none in common; got "
                f"{self.pairs}. Where three meet no square is regular: choose which two may."
            )

    def to_point(self, coordinates: Coordinates) -> Means:
        first, second = np.array(self.pairs).T
        centres, squares = coordinates[first], coordinates[second]
        gaps = squares / jnp.sqrt(squares @ self.direction)[:, None]
        share = self._share()
        return coordinates.at[first].set(centres - share * gaps).at[second].set(centres + (1 - share) * gaps)

    def from_point(self, point: Means) -> Coordinates:
        first, second = np.array(self.pairs).T
        gaps, share = point[second] - point[first], self._share()
        along = (gaps @ self.direction)[:, None]
        squares = jnp.where(along > 0, along, jnp.nan) * gaps
        centres = (1 - share) * point[first] + share * point[second]
        return point.at[first].set(centres).at[second].set(squares)

    def project(self, coordinates: Coordinates) -> Coordinates:
        """With e·z at least 10⁻¹² (`LEAST`)."""
        second = np.array(self.pairs).T[1]
        along = coordinates[second] @ self.direction
        lift = jnp.maximum(LEAST - along, 0).astype(coordinates.dtype)
        return coordinates.at[second].add(lift[:, None] * self.direction)

    def _share(self) -> Float[Array, "pairs 1"]:
        """Of the second component in the weight of its pair."""
        first, second = np.array(self.pairs).T
        return (self.weights[second] / (self.weights[first] + self.weights[second]))[:, None]
