"""The tasks of all installed packages, by their entry points, and those of anybody's modules."""

import importlib
import importlib.metadata
import operator
import pathlib
import sys
from typing import Any

from .errors import RefusedError
from .suggest import suggestion


def task_names() -> list[str]:
    """The tasks of all installed packages."""
    return sorted({point.name for point in importlib.metadata.entry_points(group="qnat.tasks")})


def find_spec(name: str) -> Any:
    """The spec class of a task: of an installed package by its name, of any module as "module:Class".

    Modules are found as Python finds them, and in the current directory.

    Raises:
        RefusedError: there is no such task, or it cannot be loaded.
    """
    points = {point.name: point for point in importlib.metadata.entry_points(group="qnat.tasks")}
    own = ":" in name
    if not own and name not in points:
        raise RefusedError(
            f"Unknown task '{name}'; the tasks are {', '.join(sorted(points))}, or a class of yours as "
            f"module:Class{suggestion(name, points)}."
        )
    where = name if own else points[name].value
    try:
        found: Any = _imported(name) if own else points[name].load()
    except Exception as error:  # a package of someone else's, which may fail in any way
        what = f"'{name}'" if own else f"'{name}' ({where})"
        raise RefusedError(f"The task {what} cannot be loaded: {error}.") from error
    if own and not hasattr(found, "task_name"):
        raise RefusedError(f"The task '{name}' is {found!r}; give a subclass of qnat.experiment.RunSpec.")
    if own and name not in (point.value for point in points.values()):
        found.task_name = name  # by which its folders find it again
    return found


def _imported(name: str) -> Any:
    """What "module:Class" names."""
    if (here := str(pathlib.Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    module, _, attribute = name.partition(":")
    return operator.attrgetter(attribute)(importlib.import_module(module))


def stem(task: str) -> str:
    """What a folder of a task is called."""
    return task.rpartition(":")[2]
