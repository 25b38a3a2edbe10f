"""The distributions that mixtures and hidden Markov models are of: where they start, what they say, which are lost."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qnat.experiment.measures import Artifact
from qnat.geometry.joint import Joint

from ..data.missing import Rows
from ..models.chains import HiddenMarkov
from ..models.emissions import AbstractEmission, DiagonalGaussians, FullGaussians, Gaussians, Symbols, probabilities
from .densities import Centred, generator_of, moments
from .view import View


def spread(
    emission: AbstractEmission, rows: Rows, count: int, key: PRNGKeyArray, axis: Float[ArrayLike, " d"] | None = None
) -> Any:
    """Statistics of components of equal weight around rows that are far apart, as wide as the data.

    Far is in units of the standard deviations of the columns.

    Along an axis, if there is one, the components are in order. Those of symbols are random.
    """
    generator = generator_of(key)
    weights = np.full(count, 1 / count)
    if isinstance(emission, Symbols):
        sums = [generator.dirichlet(np.full(size, size), count) / count for size in emission.sizes]
        return weights, np.concatenate(sums, axis=1)
    from sklearn.cluster import kmeans_plusplus

    x, covariance = moments(rows)
    unit, (_, _, shares) = np.sqrt(np.diag(covariance)), jax.tree.map(np.asarray, rows).entries
    drawn = kmeans_plusplus(x / unit, count, sample_weight=shares, random_state=int(generator.integers(2**31)))
    centres = drawn[0] * unit
    if axis is not None:
        centres = centres[np.argsort(centres @ np.asarray(axis))]
    second = centres[:, :, None] * centres[:, None] + covariance
    second = np.einsum("kii->ki", second) if isinstance(emission, DiagonalGaussians) else second
    return weights, (centres / count, second / count)


@eqx.filter_jit
def maximised(model: AbstractEmission | HiddenMarkov, eta: Any) -> Any:
    """The parameters of maximum likelihood for statistics, jitted."""
    return model.maximise(eta)


def described_components(
    emission: AbstractEmission,
    theta: Joint,
    names: tuple[str, ...],
    centre: Array,
    view: View | None,
    what: str = "component",
) -> dict[str, Artifact]:
    """Means and covariances, or the probabilities of symbols, of every component, or what else it is called."""
    along = {what: range(1, len(theta[0]) + 1)}
    if isinstance(emission, Symbols):
        symbols = [f"{name}={s}" for name, size in zip(names, emission.sizes, strict=True) for s in range(size)]
        return {"emission": Artifact(probabilities(theta[1]), (what, "symbol"), along | {"symbol": symbols})}
    columns = along | {"column": names}
    means, covariances = means_and_covariances(theta[1])
    spread = jnp.sqrt(jnp.diagonal(covariances, axis1=1, axis2=2))
    found = {
        "means": Artifact(means + centre, (what, "column"), columns),
        "standard_deviations": Artifact(spread, (what, "column"), columns),
    }
    if isinstance(emission, FullGaussians):
        known = columns | {"other_column": names}
        found["covariances"] = Artifact(covariances, (what, "column", "other_column"), known)
    return found | ({} if view is None else view.described(means, covariances, what))


def means_and_covariances(
    parts: tuple[Float[Array, "K d"], Float[Array, "K d *d"]],
) -> tuple[Float[Array, "K d"], Float[Array, "K d d"]]:
    """Of normal distributions by their natural parameters, with full or diagonal precisions."""
    shifts, halves = parts
    if halves.ndim == 2:
        return -shifts / (2 * halves), jax.vmap(jnp.diag)(-1 / (2 * halves))
    covariances = jax.lax.map(lambda half: jnp.linalg.inv(-(half + half.T)), halves)
    return jnp.einsum("kij,kj->ki", covariances, shifts), covariances


def emission_freedom(emission: AbstractEmission, count: int, dim: int) -> int:
    """How many numbers are fitted, in so many components of so many columns."""
    if isinstance(emission, Symbols):
        return count * sum(size - 1 for size in emission.sizes)
    if isinstance(emission, DiagonalGaussians):
        return count * dim + count * (1 if emission.spherical else dim)
    tied = isinstance(emission, FullGaussians) and emission.tied
    return count * dim + (1 if tied else count) * dim * (dim + 1) // 2


def lost(emission: AbstractEmission, theta: Joint, what: str) -> str:
    """Which components have no distribution any more."""
    count, plural = len(theta[0]), f"{what}s"
    gone = [jnp.isnan(leaf).reshape(count, -1).any(axis=1) for leaf in jax.tree.leaves(theta)]
    bad = np.flatnonzero(np.any(gone, axis=0))
    prior = "a larger prior" if emission.prior > 0 else "a prior, such as prior 1"
    remedy = f"give {prior}, fewer {plural}, or another seed"
    if not 0 < bad.size < count:
        return f"The {plural} have collapsed onto too few rows; {remedy}."
    which = f"{what.capitalize()} {bad[0] + 1} of {count}"
    return f"{which} has collapsed onto rows that have no width in some direction; {remedy}."


def gaussians(data: Centred, covariance: str, prior: float) -> Gaussians:
    """Normal distributions whose covariances are full, tied, diagonal or spherical, with a prior of so many rows."""
    share, variances = jnp.asarray(prior / data.weight), jnp.asarray(data.variances)
    if covariance in ("full", "tied"):
        return FullGaussians(tied=covariance == "tied", prior=share, variances=variances)
    return DiagonalGaussians(spherical=covariance == "spherical", prior=share, variances=variances)
