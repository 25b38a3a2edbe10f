"""result.nc, written."""

import json
from typing import Any

import numpy as np

from ..measures import Artifact
from .files import RESULT, jsonable
from .netcdf import write_arrays
from .result import CURVE, DRAWS, PARAMS, Result, numbered


def save_result(run: Result) -> str:
    """Writes result.nc: curves over (seed, step), `params.<name>`, `draws.<name>`, artifacts, the spec as JSON.

    Curves have the units of their measures, artifacts their labels. Returns the checksum of the file.
    """
    assert run.path is not None
    first = run.spec.get("seed", 0)
    axes = {"seed": range(first, first + run.seeds), "step": range(run.steps + 1)}
    arrays = {name: Artifact(curve, CURVE, axes, run.units.get(name, "")) for name, curve in run.curves.items()}
    for name, array in {**(parameters := _flat(PARAMS, run.params)), **run.artifacts}.items():
        label = run.labels.get(name, Artifact(None, long_name=_called(name) if name in parameters else ""))
        if taken := [each for each in (name, *label.dims) if each in run.curves or each in CURVE]:
            raise ValueError(
                f"'{taken[0]}' is both a curve and a final array (or its axis) of '{run.spec['task']}'; rename one."
            )
        stacked = np.asarray(array)[None] if run.seeds == 1 else np.asarray(array)
        dims = label.dims or numbered(name, stacked.ndim - 1)
        arrays[name] = label._replace(value=stacked, dims=("seed", *dims))
    for name, array in {} if run.draws is None else _flat(DRAWS, run.draws).items():
        stacked = array[None] if run.seeds == 1 else array
        arrays[name] = Artifact(stacked, ("seed", "draw", *numbered(name, stacked.ndim - 2)), long_name=_called(name))
    if taken := [name for name in arrays if any(name in one.dims for one in arrays.values())]:
        raise ValueError(f"'{taken[0]}' names both an array and an axis of '{run.spec['task']}'; rename one.")
    about = {"spec": json.dumps(jsonable(run.spec)), "task": run.spec["task"]}
    return write_arrays(run.path / RESULT, arrays, about, _COORDINATES)


_COORDINATES = {
    "seed": {"long_name": "seed of the run", "units": "1"},
    "step": {"long_name": "updates made", "units": "1"},
}
"""What the axes of curves are; a pure number has the unit 1."""


def _called(name: str) -> str:
    """Parameters and draws in words; their units are the business of the task, which labels its artifacts."""
    stem, _, path = name.partition(".")
    what = {PARAMS: "final parameters", DRAWS: "parameters kept on the way"}[stem]
    return f"{what}: {path}" if path else what


def _flat(stem: str, tree: Any) -> dict[str, np.ndarray]:
    """{"a": {"b": x}} to {"stem.a.b": x}; one bare array to {"stem": x}; dots and slashes of names are escaped."""
    import jax

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    names = (".".join([stem, *map(_escaped, path)]) for path, _ in leaves)
    return {name: np.asarray(leaf) for name, (_, leaf) in zip(names, leaves, strict=True)}


def _escaped(key: Any) -> str:
    return name_of(key).replace("%", "%25").replace(".", "%2E").replace("/", "%2F")


def name_of(key: Any) -> str:
    """A key or an index of a pytree as text, by which parameters that were stored are found."""
    import jax

    return jax.tree_util.keystr((key,), simple=True)
