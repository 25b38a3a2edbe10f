"""What a run leaves behind: numbers in Python, run.json and result.nc on disk."""

import dataclasses
import pathlib
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from jaxtyping import Float

from ..console import note
from ..errors import RefusedError
from ..measures import ERROR, EXACT, Artifact, Measure, Panel
from ..reading import reading
from .files import DRAWS as DRAWS_FILE
from .files import LOG, RESULT, read_run
from .netcdf import read_arrays
from .place import is_whole
from .seal import hash_of, is_sealed

if TYPE_CHECKING:
    from ..task import Task

PARAMS, DRAWS = "params", "draws"
CURVE = ("seed", "step")
_DAMAGED = "{} is missing or damaged; --force runs it again."
UNVERIFIED = "{} is from before there were checksums; it is read as it is, unverified."
SECONDS = {"compile": "compile_seconds", "train": "seconds", "write": "write_seconds", "draw": "draw_seconds"}
"""Under what names run.json keeps `Result.spent`."""


@dataclasses.dataclass(frozen=True, repr=False)
class Result:
    """What a finished run found, as data; `qnat.experiment.Run` adds what can be done with it.

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
        labels: `Artifact` tuples without value, of the artifacts of whose axes and values the task says what they mean.
        draws: the parameters kept on the way, with an axis over draws before their own; None if none were asked for.
        measures, panels, costs: those of the task; measures are None in a folder from before run.json named them.
        units: of curves, by name, those of the measures included.
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
    labels: dict[str, Artifact] = dataclasses.field(default_factory=dict)
    draws: Any = None
    measures: tuple[Measure, ...] | None = None
    panels: tuple[Panel, ...] = ()
    costs: tuple[str, ...] = ()
    units: Mapping[str, str] = dataclasses.field(default_factory=dict)

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

    @property
    def judge(self) -> Measure:
        """What tells how good the run is: the first of its measures that was recorded, or the loss."""
        return next((measure for measure in self.measures or () if measure.name in self.curves), Measure("loss"))

    @property
    def tables(self) -> list[str]:
        """The artifacts that are estimates along a named axis.

        Those of the task's panels of kind "points"; where the run has none, all along one axis with names for entries.
        """
        points = [panel.artifact for panel in self.panels if panel.kind == "points" and panel.artifact in self.labels]
        names = points or [name for name in self.labels if not name.startswith(EXACT) and not name.endswith(ERROR)]
        labels = {name: self.labels[name] for name in names if name in self.labels}
        return [name for name, label in labels.items() if len(label.dims) == 1 and label.coords]

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Self:
        """Reads a finished run from its folder; parameters come back as nested dictionaries of arrays.

        Raises:
            RefusedError: the folder holds no run, or one that has not finished.
        """
        path = pathlib.Path(path)
        document = read_run(path)
        if document["status"] != "finished":
            raise RefusedError(f"The run in {path} is {document['status']}, not finished; --resume continues it.")
        _check_files(path, document)
        with reading(path / RESULT, "the damaged file", "--force runs it again"):
            return cls(**_from_dataset(path, document))


def _check_files(path: pathlib.Path, document: Mapping[str, Any]) -> None:
    """Refuses a result that is not the one of this run; says what else is damaged, and what is unverified."""
    if not is_sealed(document):
        note(UNVERIFIED.format(path))
    if not is_whole(path, document):
        raise RefusedError(_DAMAGED.format(path / RESULT))
    for name, checksum in document.get("files", {}).items():
        if name in (LOG, DRAWS_FILE) and not ((path / name).exists() and hash_of(path / name).hexdigest() == checksum):
            note(f"{path / name} is missing or damaged; {RESULT}, which is read, is whole.")


def _known(final: Mapping[str, Any], reference: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """`Result.known` from the two fields that it is made of."""
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


def declarations(task: "Task") -> dict[str, Any]:
    """What run.json keeps of what a task says of itself."""
    return {
        "measures": [measure._asdict() for measure in task.judges],
        "panels": [panel._asdict() for panel in task.panels],
        "costs": list(task.costs),
        "units": units_of(task),
    }


def units_of(task: "Task | type[Task]") -> dict[str, str]:
    """The units of a task's curves, the measures first."""
    return {measure.name: measure.unit for measure in task.measures} | dict(task.units)


def numbered(name: str, axes: int) -> tuple[str, ...]:
    """The dimensions of an artifact that has no names for them."""
    return tuple(f"{name}_{i}" for i in range(axes))


def _label(name: str, stored: Artifact) -> Artifact | None:
    """The label of an artifact as it was stored; None if it has none."""
    dims = () if stored.dims[1:] == numbered(name, len(stored.dims) - 1) else stored.dims[1:]
    label = Artifact(None, dims, {dim: stored.coords[dim] for dim in dims if dim in stored.coords}, *stored[3:])
    return None if label == Artifact(None) else label


def _nested(stem: str, arrays: dict[str, np.ndarray]) -> Any:
    """Undoes `_flat`, taking what begins with the stem; None if nothing does."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        if name == stem:
            return array
        first, *path = map(urllib.parse.unquote, name.split("."))
        if first == stem:
            *nodes, leaf = path
            branch = tree
            for key in nodes:
                branch = branch.setdefault(key, {})
            branch[leaf] = array
    return tree or None


def _from_dataset(path: pathlib.Path, document: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a result, from its folder."""
    stored = read_arrays(path / RESULT)
    curves = {name: one.value for name, one in stored.items() if one.dims == CURVE}
    seeds = document["spec"].get("seeds", 1)
    if {one.shape for one in curves.values()} != {(seeds, document["steps"] + 1)}:
        raise ValueError("it holds other curves than such a run has")
    single = curves["loss"].shape[0] == 1
    rest = {name: one.value[0] if single else one.value for name, one in stored.items() if name not in curves}
    artifacts = {name: array for name, array in rest.items() if name.split(".")[0] not in (PARAMS, DRAWS)}
    labels = {name: _label(name, stored[name]) for name in artifacts}
    measures = document.get("measures")
    return {
        "path": path,
        "spec": document["spec"],
        "curves": curves,
        "params": _nested(PARAMS, rest),
        "draws": _nested(DRAWS, rest),
        "artifacts": artifacts,
        "labels": {name: label for name, label in labels.items() if label is not None},
        "final": _numbers(document["final"]),
        "reference": document["reference"],
        "status": document["status"],
        "steps": document["steps"],
        "spent": {part: document.get(key, 0.0) for part, key in SECONDS.items()},
        "ladder": document.get("ladder"),
        "measures": None if measures is None else tuple(Measure(**one) for one in measures),
        "panels": tuple(Panel(**one) for one in document.get("panels", ())),
        "costs": tuple(document.get("costs", ())),
        "units": document.get("units", {}),
    }


def _numbers(final: dict[str, Any]) -> dict[str, Any]:
    """Undoes `jsonable`."""
    return {n: [float(x) for x in v] if isinstance(v, list) else float(v) for n, v in final.items()}
