"""Densities that are fitted by the geometry of a surrogate, with their data."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.experiment.errors import RefusedError
from qnat.experiment.measures import Artifact
from qnat.geometry.charts import AbstractChart

from ..methods.free import FreeChart
from ..models import gaussian
from ..models.copula import TCopula
from ..models.counts import NegativeBinomial, NegativeBinomialMixture
from ..models.skew import SkewNormal, SkewNormalMixture, SkewT, at_saddle
from ..models.surrogate import AbstractSurrogateDensity, Parameters, log_weights
from ..models.trained_densities import Kind, TrainedSurrogate
from ..models.unit import Unit
from .densities import AbstractDensity, Centred


class SurrogateDensity(AbstractDensity):
    """A density with a surrogate, and rows without missing entries, or counts.

    Attributes:
        target: the density. data: (N, d) in `unit`, or (N,) counts. fitted: how many numbers. unit: of the columns.
        kind: of the data.
    """

    target: AbstractSurrogateDensity
    data: Float[Array, "N ..."]
    names: tuple[str, ...] = eqx.field(static=True)
    items: float = eqx.field(static=True)
    fitted: int = eqx.field(static=True)
    unit: Unit
    kind: Kind = eqx.field(static=True)

    def start(self, key: PRNGKeyArray) -> Parameters:
        return self.target.start(np.asarray(self.data), key=key)

    def loss(self, params: Parameters, data: Float[Array, "N ..."]) -> Float[Array, ""]:
        return self.target.loss(params, data) + self.unit.volume

    def described(self, params: Parameters) -> Mapping[str, Artifact]:
        """Locations and scales, skewnesses, degrees of freedom, correlations: what the density has."""
        return _DESCRIBED[type(self.target)](self.target, params, self.names, self.unit)

    def trained(self, params: Parameters) -> TrainedSurrogate:
        return TrainedSurrogate(self.target, params, self.unit, self.kind)

    def failed(self, params: Parameters) -> str:
        return "The parameters have left the domain of the density; choose a smaller rate, or another seed."

    def chart(self, name: str) -> AbstractChart:
        """Free coordinates, the only ones."""
        return FreeChart(self.target)

    def watched(self, params: Parameters) -> dict[str, Float[Array, ""]]:
        """Whether a skew-normal fit rests on the saddle at η = 0, 1 or 0."""
        if not isinstance(self.target, SkewNormal):
            return {}
        return {"at_saddle": at_saddle(self.target, params, self.data).astype(float)}

    @property
    def freedom(self) -> int:
        return self.fitted


Described = Callable[[Any, Parameters, tuple[str, ...], Unit], Mapping[str, Artifact]]


def _counts(
    target: NegativeBinomial | NegativeBinomialMixture, params: Parameters, _names: tuple[str, ...], _unit: Unit
) -> dict[str, Artifact]:
    free = target.to_free(params)
    each = free[1] if isinstance(target, NegativeBinomialMixture) else free[None]
    along = {"component": range(1, len(each) + 1)}
    size, success = jnp.exp(each[:, 0]), jax.nn.sigmoid(each[:, 1])
    found = {"size": size, "success": success, "mean": size * (1 - success) / success}
    if isinstance(target, NegativeBinomialMixture):
        found = {"weights": jnp.exp(log_weights(target.surrogate, params.surrogate))} | found
    return {name: Artifact(value, ("component",), along) for name, value in found.items()}


def _place(params: Parameters, names: tuple[str, ...], eta: Float[Array, " d"], unit: Unit) -> dict[str, Artifact]:
    location, root = gaussian.mean_and_root(params.surrogate)
    inverse = gaussian.inverse(root) * unit.scale
    columns = {"column": names}
    square = {"column": names, "other_column": names}
    return {
        "location": Artifact(unit.back(location), ("column",), columns),
        "scale_matrix": Artifact(inverse.T @ inverse, ("column", "other_column"), square),
        "skewness": Artifact(eta / unit.scale, ("column",), columns, long_name="η"),
    }


def _skew(_target: SkewNormal, params: Parameters, names: tuple[str, ...], unit: Unit) -> dict[str, Artifact]:
    return _place(params, names, params.auxiliary, unit)


def _skew_t(target: SkewT, params: Parameters, names: tuple[str, ...], unit: Unit) -> dict[str, Artifact]:
    return _place(params, names, params.auxiliary[0], unit) | {"degrees_of_freedom": Artifact(target.nu(params))}


def _copula(target: TCopula, params: Parameters, names: tuple[str, ...], _unit: Unit) -> dict[str, Artifact]:
    square = {"column": names, "other_column": names}
    found = Artifact(target.correlations(params), ("column", "other_column"), square)
    return {"correlations": found, "degrees_of_freedom": Artifact(target.nu(params))}


def _skew_mixture(
    target: SkewNormalMixture, params: Parameters, names: tuple[str, ...], unit: Unit
) -> dict[str, Artifact]:
    along = {"component": range(1, target.components + 1)}
    columns = along | {"column": names}
    location = jax.lax.map(lambda part: gaussian.mean_and_root(part)[0], params.surrogate[1])
    return {
        "weights": Artifact(jnp.exp(log_weights(target.surrogate, params.surrogate)), ("component",), along),
        "means": Artifact(unit.back(location), ("component", "column"), columns, long_name="location"),
        "eta": Artifact(params.auxiliary / unit.scale, ("component", "column"), columns, long_name="η"),
    }


_DESCRIBED: dict[type[AbstractSurrogateDensity], Described] = {
    NegativeBinomial: _counts,
    NegativeBinomialMixture: _counts,
    SkewNormal: _skew,
    SkewNormalMixture: _skew_mixture,
    SkewT: _skew_t,
    TCopula: _copula,
}


def surrogate_density(data: Centred, target: AbstractSurrogateDensity, *, kind: Kind = "rows") -> SurrogateDensity:
    """A density with a surrogate and its data.

    Args:
        data: rows. target: the density. kind: what it is a density of.

    Raises:
        RefusedError: entries are missing, rows have weights, or the data are none of this density.
    """
    table = data.table
    if np.isnan(table.values).any():
        raise RefusedError(
            "Entries of the data are missing, and this density takes whole rows; choose density gmm or fa."
        )
    if table.weights is not None:
        raise RefusedError("Rows have weights, and this density has none; leave weight out.")
    centre, scale = data.centre, np.sqrt(data.variances)
    values = table.values / scale
    if kind != "rows":
        centre, scale, values = np.zeros(len(centre)), np.ones(len(centre)), table.values + data.centre
    if kind == "counts":
        if values.shape[1] != 1:
            raise RefusedError(f"Counts are one column, and the data have {values.shape[1]}; choose one with columns.")
        values = np.round(values[:, 0], 9)
    if kind == "ranks":
        from scipy.stats import rankdata

        values = rankdata(values, axis=0) / (len(values) + 1)
    try:
        start = target.start(values, key=jax.random.key(0))
    except ValueError as error:
        raise RefusedError(str(error)) from None
    fitted = _freedom(target, start, len(table.names))
    return SurrogateDensity(
        target=target,
        data=jnp.asarray(values),
        names=table.names,
        items=float(len(values)),
        fitted=fitted,
        unit=Unit(jnp.asarray(centre), jnp.asarray(scale)),
        kind=kind,
    )


def _freedom(target: AbstractSurrogateDensity, params: Parameters, columns: int) -> int:
    """How many numbers are fitted: a Gaussian has d(d + 3)/2, a copula d(d − 1)/2 and ν."""
    auxiliary = sum(leaf.size for leaf in jax.tree.leaves(params.auxiliary))
    if isinstance(target, TCopula):
        return columns * (columns - 1) // 2 + auxiliary
    each = 2 if isinstance(target, NegativeBinomial | NegativeBinomialMixture) else columns * (columns + 3) // 2
    components = getattr(target, "components", 1)
    return components * each + components - 1 + auxiliary
