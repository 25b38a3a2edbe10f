"""The final arrays of a task: numbers from JAX, and labels, which no trace touches."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ..measures import Artifact
from ..task import Task

Labels = dict[str, Artifact]

_AXES = ("seed", "step", "draw", "params", "draws")
"""Names that a result has for itself."""


def final_artifacts(task: Task, params: PyTree[Array]) -> tuple[dict[str, Array], Labels]:
    """`task.artifacts` of every seed: arrays with a leading axis over seeds, and their labels.

    Raises:
        ValueError: labels that do not fit their array, or each other.
    """
    if task.traceable:
        return jax.block_until_ready(_compiled(task, params))
    seeds = len(jax.tree.leaves(params)[0])
    each = [labelled(task.artifacts(jax.tree.map(lambda leaf, k=k: leaf[k], params))) for k in range(seeds)]
    return {name: jnp.stack([arrays[name] for arrays, _ in each]) for name in each[0][0]}, each[0][1]


@eqx.filter_jit
def _compiled(task: Task, params: PyTree[Array]) -> tuple[dict[str, Array], Labels]:
    labels: Labels = {}

    def arrays(params: PyTree[Array]) -> dict[str, Array]:
        found, known = labelled(task.artifacts(params))
        labels.update(known)
        return found

    return jax.lax.map(arrays, params), labels


def labelled(artifacts: Mapping[str, Array | Artifact]) -> tuple[dict[str, Array], Labels]:
    """The arrays; and of those that have labels an `Artifact` without value, its coordinates tuples.

    Raises:
        ValueError: labels that do not fit their array, or each other.
    """
    for name in artifacts:
        if name.partition(".")[0] in ("params", "draws") or "/" in name:
            raise ValueError(f"An artifact is called '{name}'; rename it: params and draws are taken, slashes are not.")
    arrays = {name: jnp.asarray(one.value if isinstance(one, Artifact) else one) for name, one in artifacts.items()}
    known = {name: one for name, one in artifacts.items() if isinstance(one, Artifact)}
    lengths: dict[str, int] = {}
    along: dict[str, tuple[Any, ...]] = {}
    for name, one in known.items():
        _check_axes(name, arrays[name].ndim, one, artifacts.keys())
        for dim, length in zip(one.dims, arrays[name].shape, strict=False):
            if lengths.setdefault(dim, length) != length:
                raise ValueError(
                    f"Two artifacts have {lengths[dim]} and {length} entries along '{dim}'; rename one axis."
                )
        for dim, given in one.coords.items():
            values = _static(name, dim, given)
            if len(values) != lengths[dim]:
                raise ValueError(
                    f"'{dim}' of the artifact '{name}' has {lengths[dim]} entries and {len(values)} coordinates."
                )
            if along.setdefault(dim, values) != values:
                raise ValueError(f"Two artifacts have different coordinates along '{dim}'; rename one axis.")
    coords = {name: {dim: along[dim] for dim in one.dims if dim in along} for name, one in known.items()}
    return arrays, {n: one._replace(value=None, dims=tuple(one.dims), coords=coords[n]) for n, one in known.items()}


def _check_axes(name: str, axes: int, label: Artifact, artifacts: Collection[str]) -> None:
    """Refuses names of axes that xarray would not take, or that say nothing."""
    if label.dims and (len(label.dims) != axes or len(set(label.dims)) < axes):
        raise ValueError(
            f"The artifact '{name}' has {axes} axes and the dims {label.dims}; give each a name of its own."
        )
    if taken := [dim for dim in label.dims if dim in _AXES or dim in artifacts]:
        raise ValueError(f"'{taken[0]}', an axis of the artifact '{name}', is the name of something else; rename it.")
    if strange := [dim for dim in label.coords if dim not in label.dims]:
        raise ValueError(
            f"The artifact '{name}' has coordinates along '{strange[0]}', which is not in its dims {label.dims}."
        )


def _static(name: str, dim: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Coordinates as numbers or strings of Python."""
    try:
        return tuple(np.asarray(values).tolist())
    except jax.errors.TracerArrayConversionError:
        raise ValueError(
            f"Coordinates along '{dim}' of the artifact '{name}' are traced; give numbers or strings."
        ) from None
