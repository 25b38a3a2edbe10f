"""What a run leaves behind: an object in Python, run.json and result.nc on disk."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from .errors import RefusedError
from .store import RESULT, jsonable, read_run, replace_file

_PARAMS = "params"


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
    """A finished run.

    Attributes:
        path: its folder; None if it was kept in memory.
        spec: the resolved spec, as stored.
        curves: what was recorded, (seeds, steps + 1) each, NaN where it was not.
        params: the final parameters; leaves have a leading axis over seeds if there are several.
        artifacts: the task's final arrays, with the same axis.
        final: the last value of every evaluated curve, a list if there are several seeds.
        reference: {name: {"value", "source", "tolerance"}}.
        steps: updates made. seconds: of the loop, writing included. compile_seconds: before it.
    """

    path: pathlib.Path | None
    spec: dict[str, Any]
    curves: dict[str, Float[np.ndarray, "seeds rows"]]
    params: Any
    artifacts: dict[str, np.ndarray]
    final: dict[str, Any]
    reference: dict[str, dict[str, Any]]
    status: str
    steps: int
    seconds: float
    compile_seconds: float

    @property
    def seeds(self) -> int:
        """How many seeds were run."""
        return self.curves["loss"].shape[0]

    @property
    def known(self) -> dict[str, float]:
        """The reference values by name, with `exact_` before the name of what was measured as well."""
        return {f"exact_{n}" if n in self.final else n: value["value"] for n, value in self.reference.items()}

    def __repr__(self) -> str:
        where = "in memory" if self.path is None else f"at {self.path}"
        return f"<Run of {self.spec['task']} {where}: {self.steps} steps, loss {self.final['loss']}>"

    @staticmethod
    def load(path: str | pathlib.Path) -> "Run":
        """Reads a finished run from its folder; parameters come back as nested dictionaries of arrays.

        Raises:
            RefusedError: the folder holds no run, or one that has not finished.
        """
        path = pathlib.Path(path)
        document = read_run(path)
        if document["status"] != "finished":
            raise RefusedError(f"The run in {path} is {document['status']}, not finished; --resume continues it.")
        return _from_dataset(path, document)


def final_values(curves: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The last row of the curves that have one, a float or a list over seeds."""
    last = {name: [float(v) for v in curve[:, -1]] for name, curve in curves.items()}
    return {name: values[0] if len(values) == 1 else values for name, values in last.items()}


def save_result(run: Run) -> None:
    """Writes result.nc: curves over (seed, step), parameters as `params.<name>`, artifacts, the spec as JSON."""
    import xarray as xr

    assert run.path is not None
    first = run.spec.get("seed", 0)
    data: dict[str, tuple[tuple[str, ...], np.ndarray]] = {n: (("seed", "step"), c) for n, c in run.curves.items()}
    for name, array in {**_flat_params(run.params), **run.artifacts}.items():
        if name in data or name in ("seed", "step"):
            raise ValueError(
                f"'{name}' is both a curve and a final array of the task '{run.spec['task']}'; rename one."
            )
        stacked = np.asarray(array)[None] if run.seeds == 1 else np.asarray(array)
        data[name] = (("seed", *(f"{name}_{i}" for i in range(stacked.ndim - 1))), stacked)
    coordinates = {"seed": np.arange(first, first + run.seeds), "step": np.arange(run.steps + 1)}
    dataset = xr.Dataset(data, coordinates, {"spec": json.dumps(jsonable(run.spec)), "task": run.spec["task"]})
    replace_file(run.path / RESULT, lambda file: file.write(dataset.to_netcdf(engine="h5netcdf")))


def _flat_params(params: Any) -> dict[str, np.ndarray]:
    import jax

    leaves = jax.tree_util.tree_leaves_with_path(params)
    names = (jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves)
    return {f"{_PARAMS}.{name}".rstrip("."): np.asarray(leaf) for name, (_, leaf) in zip(names, leaves, strict=True)}


def _nested(flat: dict[str, np.ndarray]) -> Any:
    """{"params.a.b": x} to {"a": {"b": x}}; one bare array to itself."""
    if set(flat) == {_PARAMS}:
        return flat[_PARAMS]
    tree: dict[str, Any] = {}
    for name, array in flat.items():
        *path, leaf = name.split(".")[1:]
        branch = tree
        for key in path:
            branch = branch.setdefault(key, {})
        branch[leaf] = array
    return tree


def _from_dataset(path: pathlib.Path, document: dict[str, Any]) -> Run:
    import xarray as xr

    try:
        with xr.open_dataset(path / RESULT, engine="h5netcdf") as dataset:
            arrays = {str(name): (variable.dims, variable.to_numpy()) for name, variable in dataset.data_vars.items()}
    except (OSError, ValueError):
        raise RefusedError(f"{path / RESULT} is missing or damaged; --force runs it again.") from None
    curves = {name: array for name, (dims, array) in arrays.items() if dims == ("seed", "step")}
    single = curves["loss"].shape[0] == 1
    rest = {name: array[0] if single else array for name, (_, array) in arrays.items() if name not in curves}
    params = {name: array for name, array in rest.items() if name.split(".")[0] == _PARAMS}
    return Run(
        path=path,
        spec=document["spec"],
        curves=curves,
        params=_nested(params),
        artifacts={name: array for name, array in rest.items() if name not in params},
        final=_numbers(document["final"]),
        reference=document["reference"],
        status=document["status"],
        steps=document["steps"],
        seconds=document["seconds"],
        compile_seconds=document["compile_seconds"],
    )


def _numbers(final: dict[str, Any]) -> dict[str, Any]:
    """Undoes `jsonable`."""
    return {n: [float(x) for x in v] if isinstance(v, list) else float(v) for n, v in final.items()}
