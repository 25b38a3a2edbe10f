"""What a run leaves behind: an object in Python, run.json and result.nc on disk."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import RefusedError
from .files import RESULT, jsonable, read_run, replace_file

_PARAMS, _DRAWS = "params", "draws"
_DAMAGED = "{} is missing or damaged; --force runs it again."
SECONDS = {"compile": "compile_seconds", "train": "seconds", "write": "write_seconds", "draw": "draw_seconds"}
"""Under what names run.json keeps `Run.spent`."""


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
        steps: updates made.
        spent: the seconds that compiling, training, writing and drawing took, over all processes that worked at it.
        ladder: the option along which runs of its task are ordered; None if there is none, or it is not known.
        draws: the parameters kept on the way, with an axis over draws before their own; None if none were asked for.
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
    spent: dict[str, float]
    ladder: str | None = None
    draws: Any = None

    @property
    def seconds(self) -> float:
        """Of the steps alone: compiling, writing and drawing come apart."""
        return self.spent["train"]

    @property
    def compile_seconds(self) -> float:
        """Of making the programs that the steps run."""
        return self.spent["compile"]

    @property
    def seeds(self) -> int:
        """How many seeds were run."""
        return self.curves["loss"].shape[0]

    @property
    def known(self) -> dict[str, float]:
        """The reference values by name, with `exact_` before the name of what was measured as well."""
        return _known(self.final, self.reference)

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


def _known(final: Mapping[str, Any], reference: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """`Run.known` from the two fields that it is made of."""
    return {f"exact_{name}" if name in final else name: value["value"] for name, value in reference.items()}


def outcome(path: pathlib.Path) -> dict[str, Any]:
    """What run.json says of a finished run: how it ended, how long it took, what was measured and what is known."""
    document = read_run(path)
    if not (path / RESULT).exists():
        raise RefusedError(_DAMAGED.format(path / RESULT))
    final = _numbers(document["final"])
    times = {name: document[name] for name in ("seconds", "compile_seconds")}
    return {
        "status": document["status"],
        "steps": document["steps"],
        **times,
        **final,
        **_known(final, document["reference"]),
    }


def final_values(curves: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The last row of the curves that have one, a float or a list over seeds."""
    last = {name: [float(v) for v in curve[:, -1]] for name, curve in curves.items()}
    return {name: values[0] if len(values) == 1 else values for name, values in last.items()}


def save_result(run: Run) -> None:
    """Writes result.nc: curves over (seed, step), `params.<name>`, `draws.<name>`, artifacts, the spec as JSON."""
    import xarray as xr

    assert run.path is not None
    first = run.spec.get("seed", 0)
    data: dict[str, tuple[tuple[str, ...], np.ndarray]] = {n: (("seed", "step"), c) for n, c in run.curves.items()}
    for name, array in {**_flat(_PARAMS, run.params), **run.artifacts}.items():
        if name in data or name in ("seed", "step"):
            raise ValueError(
                f"'{name}' is both a curve and a final array of the task '{run.spec['task']}'; rename one."
            )
        stacked = np.asarray(array)[None] if run.seeds == 1 else np.asarray(array)
        data[name] = (("seed", *(f"{name}_{i}" for i in range(stacked.ndim - 1))), stacked)
    for name, array in {} if run.draws is None else _flat(_DRAWS, run.draws).items():
        stacked = array[None] if run.seeds == 1 else array
        data[name] = (("seed", "draw", *(f"{name}_{i}" for i in range(stacked.ndim - 2))), stacked)
    coordinates = {"seed": np.arange(first, first + run.seeds), "step": np.arange(run.steps + 1)}
    dataset = xr.Dataset(data, coordinates, {"spec": json.dumps(jsonable(run.spec)), "task": run.spec["task"]})
    replace_file(run.path / RESULT, lambda file: file.write(dataset.to_netcdf(engine="h5netcdf")))


def _flat(stem: str, tree: Any) -> dict[str, np.ndarray]:
    """{"a": {"b": x}} to {"stem.a.b": x}; one bare array to {"stem": x}."""
    import jax

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    names = (jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves)
    return {f"{stem}.{name}".rstrip("."): np.asarray(leaf) for name, (_, leaf) in zip(names, leaves, strict=True)}


def _nested(stem: str, arrays: dict[str, np.ndarray]) -> Any:
    """Undoes `_flat`, taking what begins with the stem; None if nothing does."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *path, leaf = name.split(".")
        if name == stem:
            return array
        if (path or [""])[0] != stem:
            continue
        branch = tree
        for key in path[1:]:
            branch = branch.setdefault(key, {})
        branch[leaf] = array
    return tree or None


def _from_dataset(path: pathlib.Path, document: dict[str, Any]) -> Run:
    try:
        arrays = _arrays(path / RESULT)
    except (OSError, ValueError, KeyError, RuntimeError):
        raise RefusedError(_DAMAGED.format(path / RESULT)) from None
    curves = {name: array for name, (dims, array) in arrays.items() if dims == ("seed", "step")}
    single = curves["loss"].shape[0] == 1
    rest = {name: array[0] if single else array for name, (_, array) in arrays.items() if name not in curves}
    own = {name: array for name, array in rest.items() if name.split(".")[0] not in (_PARAMS, _DRAWS)}
    return Run(
        path=path,
        spec=document["spec"],
        curves=curves,
        params=_nested(_PARAMS, rest),
        draws=_nested(_DRAWS, rest),
        artifacts=own,
        final=_numbers(document["final"]),
        reference=document["reference"],
        status=document["status"],
        steps=document["steps"],
        ladder=document.get("ladder"),
        spent={part: document.get(key, 0.0) for part, key in SECONDS.items()},
    )


def _arrays(path: pathlib.Path) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """The variables of a netCDF file with their dimensions; read by h5py, which takes a tenth of xarray's time."""
    import h5py

    found = {}
    with h5py.File(path) as file:
        for name, variable in file.items():
            if isinstance(variable, h5py.Dataset) and not variable.is_scale:  # a complex type has a name of its own
                # netCDF has no booleans; xarray writes bytes, and says so
                array = variable[()].astype(bool) if variable.attrs.get("dtype") == "bool" else variable[()]
                found[name] = tuple(axis[0].name.rpartition("/")[2] for axis in variable.dims), array
    return found


def _numbers(final: dict[str, Any]) -> dict[str, Any]:
    """Undoes `jsonable`."""
    return {n: [float(x) for x in v] if isinstance(v, list) else float(v) for n, v in final.items()}
