"""The figure of a ladder: what was measured of every trained state, against the exact values."""

import math
import pathlib
from collections.abc import Sequence
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

from ..measures import EXACT, Panel
from .lines import Entry, Line, entries_of, symbol_of
from .style import COLOURS, GREY, STYLE, in_words, save_figure, title_of

_RAMP = LinearSegmentedColormap.from_list("ladder", ["#F0A35E", "#B8456B", "#2B2D6E"])
_LEAST_SPAN = 0.02
"""An axis shows at least this range: what varies by less is constant."""
_RING: Any = {"marker": "o", "mfc": "white", "mew": 1.0, "ms": 6.5, "lw": 1.0, "zorder": 2}
_DOT: Any = {"linestyle": "none", "mew": 0, "ms": 4, "alpha": 0.75, "zorder": 3}
_BESIDE = 3.0  # points between the dots of neighbouring series, which would else hide each other


class _Row(NamedTuple):
    """A run on the ladder."""

    value: float
    line: Line

    def array(self, name: str) -> np.ndarray:
        """An artifact, one row a seed."""
        array = np.asarray(self.line.run.artifacts[name])
        return array[None] if self.line.run.seeds == 1 else array


def draw_ladder(entries: Sequence[Entry], ladder: str | None, path: pathlib.Path) -> bool:
    """A panel for every scalar that the runs have both as `name` and as `exact_name`, against the value of the ladder.

    Open circles are exact, every seed of a trained state is a dot in the colour of its series (a cross where it started
    plain), side by side where the series have the same exact values. The matrices among the task's panels are averaged
    over pairs i, j of equal distance |i − j| and drawn against that, a colour a value of the ladder, a panel all series
    of the same exact values. Without two values on the ladder, or without such an artifact, nothing is drawn; returns
    whether something was.
    """
    rows = [_Row(float(line.run.spec[ladder]), line) for line in entries_of(entries, ladder)] if ladder else []
    scalars = _pairs(rows, 0)
    matrices = _matrices(rows)
    if len({row.value for row in rows}) < 2 or not (scalars or matrices):
        return False
    series = list(dict.fromkeys(row.line.series for row in rows))
    groups = [(panel, *group) for panel in matrices for group in _groups(rows, panel.artifact, series)]
    count = len(scalars) + len(groups)
    across = min(4, count)
    down = math.ceil(count / across)
    with mpl.rc_context(STYLE | {"axes.titlelocation": "left", "axes.titley": 1.0}):
        figure = Figure(figsize=(2.5 * across, 2.15 * down + 0.3), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False).flat
        symbol = symbol_of(str(ladder))
        for panel, name in zip(panels, scalars):
            panel.set(title=in_words(name), xlabel=symbol)
            _draw_scalar(panel, rows, name, series)
        for panel, (matrix, whose, group) in zip(panels[len(scalars) :], groups):
            panel.set(title=title_of(matrix), xlabel="distance |i − j|" + whose)
            _draw_distances(panel, group, matrix.artifact, symbol)
        for panel in panels[count:]:
            panel.set_axis_off()
        _legend(figure, rows, series)
        save_figure(figure, path)
    return True


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


def _marker(row: _Row) -> str:
    return "X" if row.line.start == "plain" else "o"


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


def _draw_scalar(axes: Axes, rows: Sequence[_Row], name: str, series: Sequence[str]) -> None:
    """Exact values in grey where all series share them, else in the colour of the series."""
    alike = _alike(rows, name)
    for number, one in enumerate(series[:1] if alike else series):
        exact = {row.value: row.array(EXACT + name)[0] for row in rows if alike or row.line.series == one}
        colour = GREY if alike else COLOURS[number % len(COLOURS)]
        axes.plot(list(exact), list(exact.values()), color=colour, **_RING)
    for row in rows:
        trained = row.array(name)
        number = series.index(row.line.series)
        look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": _marker(row)}
        place = _moved(axes, alike * _BESIDE * (number - (len(series) - 1) / 2))
        values = np.full(len(trained), row.value)
        axes.plot(values, trained, transform=place, **look, **_DOT)
        axes.update_datalim(np.stack([values, trained], axis=1))  # which moved dots do not do
    _widen(axes)


def _moved(axes: Axes, points: float) -> Transform:
    """Data coordinates, and so many points to the right."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return axes.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


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
    axes.text(0.73, 1.03, f"{symbol}  {values[0]:.3g}", transform=axes.transAxes, ha="right", fontsize=7.5)
    axes.text(0.89, 1.03, f"{values[-1]:.3g}", transform=axes.transAxes, fontsize=7.5)
    bar = axes.inset_axes((0.75, 1.03, 0.12, 0.05))
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
    handles = [Line2D([], [], color=GREY, label="exact", **_RING)]
    handles += [
        Line2D([], [], marker="o", color=COLOURS[i % len(COLOURS)], label=in_words(name) or "trained", **_DOT)
        for i, name in enumerate(series)
    ]
    if any(row.line.start == "plain" for row in rows):
        handles.append(Line2D([], [], marker="X", color=GREY, label="plain warm start", **_DOT))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6))
