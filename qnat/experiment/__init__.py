"""Problems, the training loop, and runs as folders; every name is loaded when it is first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import NonFiniteError as NonFiniteError
    from .errors import RefusedError as RefusedError
    from .errors import StorageError as StorageError
    from .measures import Artifact as Artifact
    from .measures import Measure as Measure
    from .measures import Panel as Panel
    from .runs import run as run
    from .show.compare import load_runs as load_runs
    from .store.result import Run as Run
    from .sweep.sweep import run_sweep as run_sweep
    from .task import Reference as Reference
    from .task import Task as Task
    from .words.spec import RunSpec as RunSpec

# No module bears the name of a function that it holds: importing the module would hide the function.
_HOME = {
    "Artifact": "measures",
    "Measure": "measures",
    "NonFiniteError": "errors",
    "Panel": "measures",
    "Reference": "task",
    "RefusedError": "errors",
    "Run": "store.result",
    "RunSpec": "words.spec",
    "StorageError": "errors",
    "Task": "task",
    "load_runs": "show.compare",
    "run": "runs",
    "run_sweep": "sweep.sweep",
}

__all__ = [
    "Artifact",
    "Measure",
    "NonFiniteError",
    "Panel",
    "Reference",
    "RefusedError",
    "Run",
    "RunSpec",
    "StorageError",
    "Task",
    "load_runs",
    "run",
    "run_sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'qnat.experiment' has no attribute '{name}'; it has {', '.join(__all__)}.")
    return getattr(importlib.import_module(f"qnat.experiment.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
