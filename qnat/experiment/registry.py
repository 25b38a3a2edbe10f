"""The tasks of all installed packages, by their entry points."""

import importlib.metadata
from typing import Any

from .errors import RefusedError


def task_names() -> list[str]:
    """The tasks of all installed packages."""
    return sorted({point.name for point in importlib.metadata.entry_points(group="qnat.tasks")})


def find_spec(name: str) -> Any:
    """The spec class of a task.

    Raises:
        RefusedError: there is no such task, or it cannot be loaded.
    """
    points = {point.name: point for point in importlib.metadata.entry_points(group="qnat.tasks")}
    if name not in points:
        raise RefusedError(f"Unknown task '{name}'; the tasks are {', '.join(sorted(points))}.")
    try:
        found: Any = points[name].load()
    except Exception as error:  # a package of someone else's, which may fail in any way
        raise RefusedError(f"The task '{name}' ({points[name].value}) cannot be loaded: {error}.") from error
    return found
