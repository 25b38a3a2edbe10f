"""Rows of numbers in the plane in which they are widest, and distributions as ellipses over them."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qnat.experiment.measures import Artifact

from .densities import Centred, moments

_MOST = 1000
"""Rows that are shown."""


class View(eqx.Module):
    """Two columns, or the first two principal axes of the columns in units of their standard deviations.

    Attributes:
        rows: (n, 2) those of no missing entry, at most a thousand. axes: (d, 2) of the plane. origin: (2,) where the
            mean of the data is. names: of the axes.
    """

    rows: Float[Array, "n 2"]
    axes: Float[Array, "d 2"]
    origin: Float[Array, " 2"]
    names: tuple[str, ...] = eqx.field(static=True)

    @classmethod
    def of(cls, data: Centred) -> Self | None:
        """That of the data; None of a single column."""
        values, names = data.table.values, data.table.names
        if len(names) < 2:
            return None
        if len(names) == 2:
            axes, origin = np.eye(2), data.centre
        else:
            scale = np.sqrt(data.variances)
            found = np.linalg.eigh(moments(data.rows)[1] / np.outer(scale, scale))[1][:, :-3:-1]
            axes = found * np.sign(found[np.argmax(np.abs(found), axis=0), [0, 1]]) / scale[:, None]
            origin, names = np.zeros(2), ("first principal axis", "second principal axis")
        whole = values[~np.isnan(values).any(axis=1)]
        few = np.random.default_rng(0).permutation(len(whole))[:_MOST]
        return cls(jnp.asarray(whole[np.sort(few)] @ axes + origin), jnp.asarray(axes), jnp.asarray(origin), names)

    def described(
        self, means: Float[Array, "K d"], covariances: Float[Array, "K d d"], what: str
    ) -> dict[str, Artifact]:
        """The rows, and an ellipse [centre, root of the covariance] (K, 2, 3) for every component, or state."""
        roots = jax.lax.map(lambda each: jnp.linalg.cholesky(self.axes.T @ each @ self.axes), covariances)
        centres = means @ self.axes + self.origin
        along = {"axis": self.names}
        return {
            "rows": Artifact(self.rows, ("row", "axis"), along),
            "ellipses": Artifact(
                jnp.concatenate([centres[..., None], roots], axis=-1),
                (what, "axis", "corner"),
                along | {what: range(1, len(means) + 1)},
            ),
        }
