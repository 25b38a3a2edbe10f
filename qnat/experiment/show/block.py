"""What is printed of a single run: its final values beside the exact ones, and tables of estimates."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..console import say
from ..measures import ERROR, EXACT, Artifact, error_name
from ..store.result import Result
from .tables import NEVER, count, number

_ROWS = 40
"""Most rows of a table that are printed."""


def print_values(run: Result) -> None:
    """A line a curve: its name, its last value, that of exact methods, its unit.

    Of several seeds the median, the least and the most. What is one number under two names stands once.
    """
    shown: list[tuple[str, ...]] = []
    for name, value in _apart(run).items():
        known = run.reference.get(name)
        exact = "" if known is None else f"{number(known['value'])} ({known['source']})"
        shown.append((name.replace("_", " "), _several(value), run.units.get(name, ""), exact))
    for name, known in run.reference.items():
        if name not in run.final and abs(known["value"]) not in {abs(one["value"]) for one in _told(run)}:
            shown.append((name.replace("_", " "), number(known["value"]), "", known["source"]))
    _aligned(shown, ("", "", "", "exact") if any(row[3] for row in shown) else None)


def _apart(run: Result) -> dict[str, Any]:
    """The final values in the order of the task's units, without costs and without a loss that is another value."""
    others = [value for name, value in run.final.items() if name != "loss"]
    names = dict.fromkeys([*run.units, *run.final])
    known = {name: run.final[name] for name in names if name in run.final and name not in run.costs}
    return {name: value for name, value in known.items() if name != "loss" or not _is_one_of(value, others)}


def _is_one_of(value: Any, others: Sequence[Any]) -> bool:
    return any(np.allclose(value, other, rtol=1e-9, atol=0) for other in others)


def _told(run: Result) -> list[dict[str, Any]]:
    return [known for name, known in run.reference.items() if name in run.final]


def _several(value: Any) -> str:
    """A value; of several seeds their median and range."""
    if not isinstance(value, list):
        return number(value)
    middle, least, most = statistics.median(value), min(value), max(value)
    digits = 6 if most - least > 1e-4 * abs(middle) else 12  # as many as tell the seeds apart
    return f"{middle:.{digits}g} ({least:.{digits}g} to {most:.{digits}g})"


def print_estimates(run: Result, name: str) -> None:
    """A table of estimates: names, values, standard errors and true values; of several seeds mean and deviation."""
    label, values = run.labels.get(name, Artifact(None)), run.artifacts[name]
    error, exact = run.artifacts.get(name + ERROR), run.artifacts.get(EXACT + name)
    if (error is None and exact is None) or values.ndim != 1 + (run.seeds > 1):
        return  # parameters, not estimates
    columns = {label.dims[0].replace("_", " "): [str(each) for each in label.coords[label.dims[0]]]}
    mean = values.mean(axis=0) if run.seeds > 1 else values
    columns[label.long_name or name.replace("_", " ")] = [f"{each:.6g}" for each in mean]
    if error is not None and error.any():
        each = error.mean(axis=0) if run.seeds > 1 else error
        columns[error_name(run.labels, name)] = [f"{one:.2g}" for one in each]
    if run.seeds > 1 and not np.allclose(values, mean, rtol=1e-9, atol=1e-12):  # or all seeds have the same data
        columns["over seeds"] = [f"±{one:.2g}" for one in values.std(axis=0, ddof=1)]
    if exact is not None:
        columns["true"] = [f"{one + 0:.6g}" for one in (exact[0] if run.seeds > 1 else exact)]  # −0 is 0
    rows = list(zip(*columns.values(), strict=True))
    say("")
    _aligned(rows[:_ROWS], tuple(columns), right=True)
    unit = f"in {label.unit}" if label.unit else ""
    more = f"{len(rows) - _ROWS} more: run.summary() has all" if len(rows) > _ROWS else ""
    if below := ", ".join(filter(None, (unit, more))):
        say(f"({below})")


def spent_words(run: Result, name: str, total: float) -> str:
    """What a run took of something, in all and a step."""
    steps = max(1, run.steps * run.seeds)
    words = name.replace("_", " ")
    return f"{count(total)} {words} ({count(total / steps)} a step)" if math.isfinite(total) else f"{NEVER} {words}"


def _aligned(rows: Sequence[tuple[str, ...]], head: tuple[str, ...] | None = None, *, right: bool = False) -> None:
    lines = [*([head] if head else []), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            f"{cell:>{width}}" if right and place else f"{cell:{width}}"
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())
