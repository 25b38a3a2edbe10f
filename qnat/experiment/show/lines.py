"""Finished runs as tables and figures show them."""

import math
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..store.result import Result


class Entry(NamedTuple):
    """A run, the options that tell it from its neighbours, how it started ("scaled", "plain", None), and its title."""

    run: Result
    labels: dict[str, Any]
    start: str | None
    title: str = ""


class Line(NamedTuple):
    """A run as a figure shows it: in which column, of which series (options called `names`), started how."""

    run: Result
    column: str
    series: str
    start: str | None
    names: str = ""


def symbol_of(name: str) -> str:
    """A Greek letter by its name; any other name as it is."""
    try:
        return unicodedata.lookup(f"GREEK SMALL LETTER {name.upper()}")
    except KeyError:
        return name


def ordered(entries: Sequence[Entry], ladder: str | None) -> list[Entry]:
    """Along the ladder, from small to large."""
    return sorted(entries, key=lambda entry: _place(entry.labels.get(ladder or "")))


def _place(value: Any) -> tuple[float, str]:
    """Numbers by size, before words."""
    return (float(value or 0), "") if isinstance(value, int | float | None) else (math.inf, str(value))


def entries_of(entries: Sequence[Entry], ladder: str | None) -> list[Line]:
    """Where each run goes in a figure: the ladder makes the columns, from small to large, the rest the series."""
    lines = []
    told = dict.fromkeys(name for entry in entries for name in entry.labels if name != ladder)
    names = ", ".join(name.replace("_", " ") for name in told)
    for run, labels, start, _ in ordered(entries, ladder):
        column = f"{symbol_of(ladder)} = {labels[ladder]}" if ladder in labels else ""
        rest = {name: value for name, value in labels.items() if name != ladder and value is not None}
        alone = len({name for entry in entries for name in entry.labels} - {ladder}) == 1
        words = (str(v) if alone or isinstance(v, str) else f"{name} {v}" for name, v in rest.items())
        lines.append(Line(run, column, ", ".join(words), start, names))
    return lines
