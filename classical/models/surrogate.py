"""Densities with the geometry of another family: their surrogate, of which they are a function.

The parameters of a target are a function of the natural parameters θ of a *surrogate*, an exponential family whose two
charts are known, and of *auxiliary* parameters λ, which have no metric. The natural gradient of the surrogate stands
for that of the target: fit them with `classical.methods.sngd`. For negative binomials the surrogate is a gamma family,
for skew-normal and skew-t densities and for t copulas a Gaussian.

Reference: J. So, R. E. Turner, Optimising Distributions with Natural Gradient Surrogates, AISTATS 2024,
arXiv:2310.11837.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree

from qnat.geometry.joint import Joint, MixtureFamily
from qnat.geometry.mirror import AbstractMirrorMap


class Parameters(NamedTuple):
    """surrogate: natural parameters θ of the surrogate. auxiliary: λ, without a metric; () where there are none."""

    surrogate: PyTree[Array]
    auxiliary: PyTree[Array] = ()


class AbstractSurrogateDensity(eqx.Module):
    """A density whose parameters are a function of those of a surrogate, and of auxiliary ones."""

    surrogate: eqx.AbstractVar[AbstractMirrorMap]

    @abc.abstractmethod
    def log_prob(self, params: Parameters, x: Float[Array, "N ..."]) -> Float[Array, " N"]:
        """log p(x) of every item, in nats; NaN where the surrogate is outside the domain."""

    @abc.abstractmethod
    def start(self, x: ArrayLike, *, key: PRNGKeyArray) -> Parameters:
        """Where a fit of these data starts, from their moments; not traced.

        Raises:
            ValueError: the data are none of this density.
        """

    @abc.abstractmethod
    def inside(self, theta: PyTree[Array]) -> Bool[Array, ""]:
        """Whether θ of the surrogate is that of a target."""

    @abc.abstractmethod
    def to_free(self, params: Parameters) -> PyTree[Array]:
        """The same density in coordinates that may have any real values, for optimisers without a geometry."""

    @abc.abstractmethod
    def from_free(self, free: PyTree[Array]) -> Parameters:
        """The inverse of `to_free`."""

    def loss(self, params: Parameters, x: Float[Array, "N ..."]) -> Float[Array, ""]:
        """−log p(x), the mean over items in nats; final."""
        return -jnp.mean(self.log_prob(params, x))


def finite(theta: PyTree[Array]) -> Bool[Array, ""]:
    """Whether all numbers of a tree are finite: means of no distribution have natural parameters that are NaN."""
    return jax.tree.reduce(jnp.logical_and, jax.tree.map(lambda leaf: jnp.isfinite(leaf).all(), theta))


def log_weights(family: MixtureFamily, theta: Joint) -> Float[Array, " K"]:
    """log π of the components."""
    return jax.nn.log_softmax(theta[0] + jax.lax.map(family.component.potential, theta[1]))


def joint(family: MixtureFamily, log_weights: Float[Array, " K"], parts: PyTree[Array]) -> Joint:
    """The normalised point of the weights, up to a factor, and natural parameters of the components."""
    return jax.nn.log_softmax(log_weights) - jax.lax.map(family.component.potential, parts), parts


def points(x: ArrayLike, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The data as (N, d) numbers.

    Raises:
        ValueError: they have another shape, are not finite, too few, or one column is a function of the others.
    """
    found = np.asarray(x, float)
    if found.ndim != 2:
        raise ValueError(f"A {name} density takes data of shape (N, d); these have shape {found.shape}.")
    if not np.isfinite(found).all():
        raise ValueError(f"A {name} density takes finite numbers; {np.sum(~np.isfinite(found))} of these are not.")
    rows, columns = found.shape
    if rows <= columns:
        raise ValueError(f"A {name} density of {columns} columns takes more rows than columns; there are {rows}.")
    if (constant := np.flatnonzero(np.ptp(found, axis=0) == 0)).size:
        raise ValueError(f"Column {constant[0]} is constant, so that its density has no width; leave it out.")
    if np.linalg.matrix_rank(found - found.mean(axis=0)) < columns:
        raise ValueError("A column is a linear function of the others, so that the density has no width; leave it out.")
    return found


def clusters(x: np.ndarray[Any, Any], count: int, key: PRNGKeyArray) -> np.ndarray[Any, Any]:
    """(N,) labels of as many groups of rows of x, by k-means from a start that the key draws.

    Raises:
        ValueError: there are fewer different rows than groups, or no group is asked for.
    """
    if count < 1:
        raise ValueError(f"A mixture has at least 1 component; got {count}.")
    if (different := len(np.unique(x, axis=0))) < count:
        raise ValueError(f"A mixture of {count} components takes as many different items; there are {different}.")
    from sklearn.cluster import KMeans

    seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
    return KMeans(count, n_init=1, random_state=seed).fit_predict(x)
