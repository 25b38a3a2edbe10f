"""The figure of a ladder: what was measured of every trained state, against the exact values."""

import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation, Transform

from ..measures import EXACT, Artifact, Panel
from ..store.result import Result
from .lines import Entry, Line, entries_of, symbol_of
from .style import (
    COLOURS,
    GREY,
    MARKS,
    STYLE,
    figure_of,
    heading,
    in_words,
    legend_below,
    put_title,
    save_figure,
    title_of,
)
from .titles import headline

_RAMP = LinearSegmentedColormap.from_list("ladder", ["#F0A35E", "#B8456B", "#2B2D6E"])
_LEAST_SPAN = 0.02
"""An axis shows at least this range: what varies by less is constant."""
_RING: Any = {"marker": "o", "mfc": "white", "mew": 1.0, "ms": 6.5, "lw": 1.0, "zorder": 2}
_DOT: Any = {"linestyle": "none", "mew": 0, "ms": 4, "alpha": 0.75, "zorder": 3}
_SHAPES = tuple(mark for mark in MARKS if mark != "X")
_FINE = 33
"""Values of the ladder at which exact scalars are drawn."""
_EVERY = "trained, every seed"
_BESIDE = 3.0  # points between the dots of neighbouring series, which would else hide each other


class _Row(NamedTuple):
    """A run on the ladder."""

    value: float
    line: Line

    def array(self, name: str) -> np.ndarray:
        """An artifact, one row a seed."""
        array = np.asarray(self.line.run.artifacts[name])
        return array[None] if self.line.run.seeds == 1 else array


Exact = Callable[[Result, Sequence[float]], Mapping[str, np.ndarray]]
"""The exact scalars of a run by name, were it elsewhere on the ladder."""


def draw_ladder(
    entries: Sequence[Entry],
    ladder: str | None,
    path: str | pathlib.Path | None = None,
    *,
    axis: str = "",
    exact: Exact | None = None,
) -> Figure | None:
    """A panel for every scalar that the runs have both as `name` and as `exact_name`, against the value of the ladder.

    Open circles are exact, every seed of a trained state is a dot in the colour of its series (a cross where it started
    plain), side by side where the series have the same exact values. The matrices among the task's panels are averaged
    over pairs i, j of equal distance |i − j| and drawn against that, a colour a value of the ladder, a panel all series
    of the same exact values. Without two values on the ladder, or without such an artifact, nothing is drawn.

    Args:
        entries: the runs. ladder: the option along which they stand.
        path: where the figure is saved, in the format of its suffix; None saves nothing.
        axis: what is written along the ladder; "" takes its name.
        exact: tells the exact scalars between the runs; None joins those of the runs by straight lines.
    """
    rows = [_Row(float(line.run.spec[ladder]), line) for line in entries_of(entries, ladder)] if ladder else []
    scalars = _pairs(rows, 0)
    matrices = _matrices(rows)
    values = sorted({row.value for row in rows})
    if len(values) < 2 or not (scalars or matrices):
        return None
    series = list(dict.fromkeys(row.line.series for row in rows))
    groups = [(panel, *group) for panel in matrices for group in _groups(rows, panel.artifact, series)]
    count = len(scalars) + len(groups)
    across = min(4, count)
    down = math.ceil(count / across)
    fine = np.union1d(np.linspace(values[0], values[-1], _FINE), values) if exact and scalars else np.asarray(values)
    known = {one: exact(_first(rows, one).line.run, fine.tolist()) for one in series} if exact and scalars else {}
    with mpl.rc_context(STYLE | {"axes.titlelocation": "left", "axes.titley": 1.0}):
        figure = Figure(figsize=(2.3 * across, 2.0 * down + 0.6), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False).flat
        symbol = symbol_of(str(ladder))
        for panel, name in zip(panels, scalars):
            label = rows[0].line.run.labels.get(name, Artifact(None))
            unit = f" ({label.unit})" if label.unit else ""
            panel.set(title=(label.long_name or in_words(name)) + unit, xlabel=axis or in_words(symbol))
            _draw_scalar(panel, rows, name, series, {one: (fine, found[EXACT + name]) for one, found in known.items()})
        for panel, (matrix, whose, group) in zip(panels[len(scalars) :], groups):
            panel.set(title=title_of(matrix), xlabel="distance |i − j|" + whose)
            _draw_distances(panel, group, matrix.artifact, symbol)
        for panel in panels[count:]:
            panel.set_axis_off()
        _legend(figure, rows, series if scalars else [])
        put_title(figure, headline([row.line.run for row in rows]))
        if path is not None:
            save_figure(figure, pathlib.Path(path))
    return figure


def _first(rows: Sequence[_Row], series: str) -> _Row:
    return next(row for row in rows if row.line.series == series)


def _pairs(rows: Sequence[_Row], dimensions: int) -> list[str]:
    """Names that every run has twice, trained and exact, as arrays of so many axes, in the order of the first run."""
    if not rows:
        return []

    def has(row: _Row, name: str) -> bool:
        known = row.line.run.artifacts
        return name in known and EXACT + name in known and row.array(name).ndim == dimensions + 1

    return [name for name in rows[0].line.run.artifacts if all(has(row, name) for row in rows)]


def _matrices(rows: Sequence[_Row]) -> list[Panel]:
    """The panels of square matrices that every run has twice."""
    square = [name for name in _pairs(rows, 2) if len(set(rows[0].array(name).shape[1:])) == 1]
    panels = rows[0].line.run.panels if rows else ()
    return [one for one in panels if one.kind == "matrix" and one.artifact in square]


def _marker(row: _Row, series: int = 0) -> str:
    return "X" if row.line.start == "plain" else _SHAPES[series % len(_SHAPES)]


def _alike(rows: Sequence[_Row], name: str) -> bool:
    """Whether the exact arrays at one value of the ladder are the same in every series."""
    first = {row.value: row.array(EXACT + name)[0] for row in reversed(rows)}
    pairs = [(first[row.value], row.array(EXACT + name)[0]) for row in rows]
    return all(a.shape == b.shape and np.allclose(a, b) for a, b in pairs)


def _groups(rows: Sequence[_Row], name: str, series: Sequence[str]) -> list[tuple[str, Sequence[_Row]]]:
    """The rows of one panel: all if the series share the exact values, else those of a series, which is named."""
    if _alike(rows, name):
        return [("", rows)]
    return [(f", {one}", [row for row in rows if row.line.series == one]) for one in series]


def _draw_scalar(
    axes: Axes,
    rows: Sequence[_Row],
    name: str,
    series: Sequence[str],
    known: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    """Exact values in grey where all series share them, else in the colour of the series."""
    alike = _alike(rows, name)
    for number, one in enumerate(series[:1] if alike else series):
        exact = {row.value: row.array(EXACT + name)[0] for row in rows if alike or row.line.series == one}
        colour = GREY if alike else COLOURS[number % len(COLOURS)]
        look = _RING | ({"linestyle": "none"} if known else {})
        axes.plot(list(exact), list(exact.values()), color=colour, **look)
        if known:
            axes.plot(*known[one], color=colour, lw=_RING["lw"], zorder=1.5)
    for row in rows:
        trained = row.array(name)
        number = series.index(row.line.series)
        look = {"color": COLOURS[number % len(COLOURS)], "marker": _marker(row, number)}
        place = _moved(axes, alike * _BESIDE * (number - (len(series) - 1) / 2))
        values = np.full(len(trained), row.value)
        axes.plot(values, trained, transform=place, **look, **_DOT)
        axes.update_datalim(np.stack([values, trained], axis=1))  # which moved dots do not do
    _widen(axes)


def _moved(axes: Axes, points: float) -> Transform:
    """Data coordinates, and so many points to the right."""
    return axes.transData + ScaledTranslation(points / 72, 0, figure_of(axes).dpi_scale_trans)


def _draw_distances(axes: Axes, rows: Sequence[_Row], name: str, symbol: str) -> None:
    values = sorted({row.value for row in rows})
    for row in rows:
        colour = _RAMP((row.value - values[0]) / (values[-1] - values[0] or 1.0))
        wanted = _by_distance(row.array(EXACT + name)[:1])[0]
        distances = np.arange(1, len(wanted) + 1)
        axes.plot(distances, wanted, color=colour, **_RING)
        for trained in _by_distance(row.array(name)):
            axes.plot(distances, trained, marker=_marker(row), color=colour, **_DOT)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    _widen(axes)
    # the scale of colours stands to the right of the title
    axes.text(0.79, 1.03, f"{symbol}  {values[0]:.3g}", transform=axes.transAxes, ha="right", fontsize=7.5)
    axes.text(0.93, 1.03, f"{values[-1]:.3g}", transform=axes.transAxes, fontsize=7.5)
    bar = axes.inset_axes((0.81, 1.03, 0.1, 0.05))
    bar.imshow(np.linspace(0, 1, 64)[None], cmap=_RAMP, aspect="auto")
    bar.set_axis_off()


def _by_distance(matrices: Float[np.ndarray, "seeds n n"]) -> Float[np.ndarray, "seeds m"]:
    """Means over the pairs i < j of distance j − i = 1..n−1."""
    n = matrices.shape[-1]
    means = [np.diagonal(matrices, distance, -2, -1).mean(-1) for distance in range(1, n)]
    return np.stack(means, axis=-1) if means else np.zeros((len(matrices), 0))


def _widen(axes: Axes) -> None:
    axes.margins(x=0.08)
    axes.autoscale_view()
    low, high = axes.get_ylim()
    if high - low < _LEAST_SPAN:
        middle = (low + high) / 2
        axes.set_ylim(middle - _LEAST_SPAN, middle + _LEAST_SPAN)


def _legend(figure: Figure, rows: Sequence[_Row], series: Sequence[str]) -> None:
    """A series that only started plain is a cross; without scalars no series has a colour of its own."""
    handles = [Line2D([], [], color=GREY, label="exact", **_RING)]
    handles += [heading(rows[0].line.names)] if len(series) > 1 and rows[0].line.names else []
    for number, name in enumerate(series):
        colour, label = COLOURS[number % len(COLOURS)], in_words(name) or _EVERY
        marks = {_marker(row, number) for row in rows if row.line.series == name}
        handles.append(Line2D([], [], color=colour, marker=next(iter(marks - {"X"}), "X"), label=label, **_DOT))
    marks = {_marker(row) for row in rows}
    if not series and marks != {"X"}:
        handles.append(Line2D([], [], color=GREY, marker=_SHAPES[0], label=_EVERY, **_DOT))
    if "X" in marks:
        handles.append(Line2D([], [], color=GREY, marker="X", label="plain warm start", **_DOT))
    legend_below(figure, handles)
