"""Callbacks that pass curves on to the dashboards of others: `pip install qnat[loggers]`.

Both take at most a hundred points of each curve a call, evenly spaced, the last one among them, so that a run of a
million quick steps is not slowed down; metrics.jsonl keeps all. What is not finite is left out. Curves of several seeds
are called `loss/seed 0`, `loss/seed 1`, ...
"""

import importlib
import json
import math
import os
import pathlib
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import RefusedError
from .loop.callbacks import Rows
from .store.files import jsonable
from .store.result import Result
from .task import Task

_POINTS = 100
_BATCH = 1000
"""Metrics that MLflow takes at once; of parameters it takes 100, of up to 6000 letters."""


def points(rows: Rows, first_seed: int, most: int = _POINTS) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of every curve in these rows, thinned to `most` each."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name == "step":
                continue
            several = isinstance(value, list)
            for k, one in enumerate(value if several else [value]):
                if math.isfinite(one):
                    found.setdefault(f"{name}/seed {first_seed + k}" if several else name, []).append(
                        (row["step"], one)
                    )
    return {name: list(_thinned(curve, most)) for name, curve in found.items()}


def _thinned(curve: list[tuple[int, float]], most: int) -> Iterator[tuple[int, float]]:
    count = min(most, len(curve))
    return (curve[(k + 1) * len(curve) // count - 1] for k in range(count))


class TensorBoard:
    """Writes event files for TensorBoard.

    ```python
    run(task, optimizer, steps=100, seed=0, callbacks=[TensorBoard("logs/adam")])
    ```

    A run that is resumed goes on in the same folder, and what its dead process wrote beyond its checkpoint is hidden.

    Args:
        folder: where the files go; TensorBoard calls the run by its name.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = pathlib.Path(folder)
        self._open: Any = _needed("tensorboardX").SummaryWriter
        self._writer: Any = None
        self._seed = 0

    def started(self, record: Mapping[str, Any], task: Task, step: int) -> None:
        """Opens the file; the record becomes a text."""
        # a file of its own: one that begins in the same second would else be overwritten
        suffix = f".{step}.{uuid.uuid4().hex[:8]}"
        self._writer = self._open(str(self._folder), purge_step=step, filename_suffix=suffix)
        self._seed = record.get("seed", 0)
        self._writer.add_text("record", f"```\n{json.dumps(jsonable(dict(record)), indent=2)}\n```", step)

    def recorded(self, rows: Rows) -> None:
        """A scalar a point, on the disk on return."""
        for name, curve in points(rows, self._seed).items():
            for step, value in curve:
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def ended(self, run: Result | None) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()


class MLflow:
    """Logs to MLflow: words as parameters, curves as metrics, the folder of the run as a tag.

    ```python
    run(task, optimizer, steps=100, seed=0, callbacks=[MLflow("http://localhost:5000", experiment="ising")])
    ```

    Args:
        tracking_uri: of the server or the store; None takes what MLflow is configured for.
        experiment: its name; made if there is none.
        run_id: of an MLflow run to go on with, as a run that is resumed wants; None makes a new one.

    Attributes:
        run_id: of the MLflow run, once it has started.
    """

    def __init__(self, tracking_uri: str | None = None, *, experiment: str = "qnat", run_id: str | None = None) -> None:
        self._mlflow: Any = _needed("mlflow")
        self._client: Any = self._mlflow.MlflowClient(tracking_uri)
        self._experiment = experiment
        self.run_id = run_id
        self._seed = 0

    def started(self, record: Mapping[str, Any], task: Task, step: int) -> None:
        """Makes the MLflow run, or goes on with it."""
        self._seed = record.get("seed", 0)
        if self.run_id is None:
            known = self._client.get_experiment_by_name(self._experiment)
            home = self._client.create_experiment(self._experiment) if known is None else known.experiment_id
            self.run_id = self._client.create_run(home, run_name=task.name).info.run_id
        else:
            self._client.update_run(self.run_id, status="RUNNING")
        words = [self._mlflow.entities.Param(name, str(value)[:6000]) for name, value in record.items()]
        for k in range(0, len(words), 100):
            self._client.log_batch(self.run_id, params=words[k : k + 100])

    def recorded(self, rows: Rows) -> None:
        """A metric a point."""
        now = int(1000 * time.time())
        metric = self._mlflow.entities.Metric
        found = points(rows, self._seed)
        new = [metric(name, value, now, step) for name, curve in found.items() for step, value in curve]
        for k in range(0, len(new), _BATCH):
            self._client.log_batch(self.run_id, metrics=new[k : k + _BATCH])

    def ended(self, run: Result | None) -> None:
        """Marks the MLflow run as finished, or as killed."""
        if self.run_id is None:
            return
        if run is not None and run.path is not None:
            self._client.set_tag(self.run_id, "folder", str(run.path.absolute()))
        self._client.set_terminated(self.run_id, "KILLED" if run is None else "FINISHED")


def _needed(package: str) -> Any:
    """A package of the extra.

    Raises:
        RefusedError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise RefusedError(f"This logger needs {package}, which is not installed; pip install qnat[loggers].") from None
