"""Tables of runs as text."""

import io
import math
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from ..console import literal, say
from ..measures import Measure
from .cost import Spread
from .lines import Entry

NEVER = "–"


def print_table(title: str, entries: Sequence[Entry], columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The options that tell the runs apart, on the left, beside columns of numbers."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    say(title)
    table = Table(box=None, pad_edge=False)
    starts = any(entry.start for entry in entries)
    for label in (*entries[0].labels, *(["start"] if starts else [])):
        table.add_column(Text(literal(label)), no_wrap=True)
    for column in columns:
        table.add_column(Text(literal(column)), justify="right", no_wrap=True)
    for entry, row in zip(entries, rows, strict=True):
        options = (NEVER if value is None else str(value) for value in entry.labels.values())
        cells = (*options, *([entry.start or "cold"] if starts else []), *row)
        table.add_row(*(Text(literal(cell)) for cell in cells))
    drawn, terminal = io.StringIO(), sys.stdout is not None and not sys.stdout.closed and sys.stdout.isatty()
    Console(file=drawn, force_terminal=terminal, width=None if terminal else 120).print(table)
    say(drawn.getvalue().removesuffix("\n"), styled=True)


def measure_words(measure: Measure) -> str:
    """Its name as a label."""
    return measure.name.replace("_", " ")


def beyond(measure: Measure) -> str:
    """On which side of a threshold it is good."""
    return "below" if measure.better == "lower" else "above"


def middle(values: Any) -> str:
    """The median over seeds."""
    return f"{statistics.median(values.tolist()):.3g}"


def reaching(steps: Any) -> int:
    """How many seeds get there."""
    return sum(map(math.isfinite, steps))


def cell(price: Spread, several: bool) -> str:
    """17 (16–24)."""
    if not several or price.least is None:
        return count(price.median)
    return f"{count(price.median)} ({count(price.least)}–{count(price.most)})"


def count(price: float | None) -> str:
    """All digits of a count, two or three of what is not one."""
    if price is None:
        return NEVER
    return f"{price:.0f}" if price == round(price) and price < 1e6 else f"{price:.{2 if price < 1 else 3}g}"


def duration(seconds: float) -> str:
    """Three digits, or all before the point."""
    return f"{seconds:.3g}" if seconds < 1000 else f"{seconds:.0f}"


def number(value: float) -> str:
    """A number as a person reads it."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:.3e}" if value != 0 and abs(value) < 1e-3 else f"{value:.12g}" if abs(value) >= 1e-3 else "0"
