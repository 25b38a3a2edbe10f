"""A finished run and what it is good for: its problem, its model, its table, its figure."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Array, PyTree

from .errors import RefusedError
from .measures import ERROR, EXACT
from .registry import find_spec
from .show.titles import headline
from .store.files import TABLE, read_table
from .store.place import difference, inside
from .store.result import Result
from .store.save import name_of
from .task import Task

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, repr=False)
class Run(Result):
    """A finished run: what it found, as a `Result`, and what can be done with it.

    Attributes:
        problem: the task that it trained, if this process made it; else `task` makes it again.
    """

    problem: Task | None = None

    def task(self) -> Task:
        """The problem that was trained, made again from the words of the run where this process did not make it.

        Raises:
            RefusedError: the run was made by a program from a task of its own, its task is not installed, or the data
                that it was trained on have gone or changed.
        """
        if self.problem is not None:
            return self.problem
        if "problem" in self.spec:
            raise RefusedError(
                f"The task '{self.spec['task']}' of {self.path} was made by a program, which has to make it again; "
                "then task.trained(run.parameters(task)) is its model."
            )
        spec = find_spec(self.spec["task"]).restored(self.spec)
        if (name := difference(self.spec, spec.record())) is not None:  # as of a run that is to be resumed
            what = name.removesuffix("_sha256")
            raise RefusedError(f"The task of {self.path} cannot be made again: its {what} is not what it was.")
        previous = self._previous()
        return spec.task() if previous is None else spec.task(previous)

    def model(self, seed: int | None = None) -> Any:
        """What was trained, with its parameters; what it can do depends on the task, see `Task.trained`.

        Args:
            seed: which of the run's seeds; by default the one that ended best, by the measure that judges the run.

        Raises:
            RefusedError: as `task`, or the task has no model to give.
        """
        task = self.task()
        return task.trained(self.parameters(task, seed))

    def parameters(self, task: Task, seed: int | None = None) -> PyTree[Array]:
        """The final parameters of one seed in the structure that the task has, however they were stored."""
        params = self.params
        if self.seeds > 1:
            place = self._best() if seed is None else self._place(seed)
            params = jax.tree.map(lambda leaf: leaf[place], params)
        elif seed is not None:
            self._place(seed)
        wanted = task.skeleton()
        structures: list[Any] = [jax.tree.structure(wanted), jax.tree.structure(params)]
        if structures[0] == structures[1]:
            return jax.tree.map(jax.numpy.asarray, params)
        return jax.tree_util.tree_map_with_path(lambda path, _: jax.numpy.asarray(_found(params, path)), wanted)

    def summary(self) -> "xr.Dataset":
        """What was learned as a table: estimates, their standard errors and true values along named axes.

        These are the arrays NAME, NAME_error and exact_NAME of `tables`, with an axis over seeds if there are several.
        `to_dataframe()` makes a pandas DataFrame of it, where pandas is installed. The attributes are the title and the
        final values of all curves.
        """
        import xarray as xr

        seeds = np.arange(self.seeds) + int(self.spec.get("seed") or 0)
        variables, along = {}, {"seed": seeds} if self.seeds > 1 else {}
        for name in self.tables:
            label = self.labels[name]
            along |= {dim: np.asarray(values) for dim, values in label.coords.items()}
            for each in (name, name + ERROR, EXACT + name):
                if each in self.artifacts:
                    known = self.labels.get(each, label)
                    texts = {"units": known.unit, "long_name": known.long_name}
                    dims = (*(["seed"] if self.seeds > 1 else []), *label.dims)
                    attributes = {key: text for key, text in texts.items() if text}
                    variables[each] = xr.Variable(dims, self.artifacts[each], attributes)
        return xr.Dataset(variables, along, {"title": ", ".join(headline([self])), **self.final})

    def plot(self, path: str | pathlib.Path | None = None) -> "Figure":
        """The figure of the run; saved where `path` says, in the format of its suffix."""
        from .show.figure import draw_run

        return draw_run(self, None if path is None else pathlib.Path(path))

    def _place(self, seed: int) -> int:
        first = int(self.spec.get("seed") or 0)
        if not first <= seed < first + self.seeds:
            seeds = f"{first}" if self.seeds == 1 else f"{first} to {first + self.seeds - 1}"
            raise RefusedError(f"The run has no seed {seed}; it has {seeds}.")
        return seed - first

    def _best(self) -> int:
        sign = 1 if self.judge.better == "lower" else -1
        ends = sign * self.curves[self.judge.name][:, -1]
        return int(np.argmin(np.where(np.isnan(ends), np.inf, ends)))

    def _previous(self) -> Any:
        """The parameters of the run from which this one's data were made; None where that is none."""
        table = None if self.path is None else self.path.parent / TABLE
        if self.path is None or table is None or not table.exists():
            return None
        rows = {row["folder"]: row for row in read_table(self.path.parent)["runs"]}
        before = rows.get(self.path.name, {}).get("previous")
        return None if before is None else Result.load(inside(self.path.parent, before)).params


def _found(params: Any, path: tuple[Any, ...]) -> Any:
    """A leaf of parameters that came back from a folder as nested dictionaries."""
    for key in path:
        if not isinstance(params, Mapping) or (name := name_of(key)) not in params:
            raise RefusedError("The parameters of the run are not those of its task, which may have changed since.")
        params = params[name]
    return params
