"""Runs side by side, against what they cost."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .cost import Spread, costs, decades, label_of, main_curve, prices, spread
from .curves import FLOOR, below_handle, cost_axis, draw_curve, scale_of, set_scale
from .lines import Line
from .style import (
    COLOURS,
    DASHES,
    DOTS,
    GREY,
    MARKS,
    STYLE,
    WIDTH,
    heading,
    in_words,
    label_values,
    legend_below,
    put_title,
    save_figure,
)
from .tables import beyond
from .titles import headline

_PLAIN = ("plain", "previous")
"""Starts from the state before, as it was."""
_ACROSS = 4
"""Most values of the ladder side by side; further ones stand below."""


class _Drawn(NamedTuple):
    """A curve in a panel.

    Attributes:
        line: the run. plain: how it started. levels: where it has marks. below: whether it ends too small to be seen.
    """

    line: Line
    plain: bool
    levels: Sequence[float]
    below: bool


def draw_comparison(
    lines: Sequence[Line],
    path: str | pathlib.Path | None = None,
    thresholds: Sequence[float] | None = None,
) -> Figure:
    """The main curves against everything that they cost, a row a cost, and what it cost to get below the thresholds.

    A column a value of the ladder (one row of all costs if there is one value), a colour and a mark a series; solid
    lines started cold or scaled, dashed ones plain. A mark stands on the curve where the median over seeds first gets
    below a threshold (by default the decades, dotted), its bar goes from the least to the most of the seeds that get
    there; there is no mark where most do not.

    Args:
        lines: the runs. path: where the figure is saved, in the format of its suffix; None saves nothing.
        thresholds: of the main curve; None takes its decades.
    """
    columns = list(dict.fromkeys(line.column for line in lines))
    series = list(dict.fromkeys(line.series for line in lines))
    judge = lines[0].run.judge
    levels = decades(lines[0].run) if thresholds is None else thresholds
    names = list(dict.fromkeys(name for line in lines for name in costs(line.run)))
    scale = scale_of(main_curve(line.run)[1] for line in lines)
    with mpl.rc_context(STYLE):
        figure, panels = _panels(columns, names)
        for axes in panels.values():
            set_scale(axes, scale._replace(log=scale.log and judge.better == "lower"))
            _draw_levels(axes, levels, scale.low, scale.high)
        drawn: list[_Drawn] = []
        ends: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for line in lines:
            number, plain = series.index(line.series), line.start in _PLAIN
            look = _look(number, plain=plain)
            shade = 0.15 if len(series) <= 4 else 0.07
            for name, spent in costs(line.run).items():
                axes = panels[name, line.column]
                x, y = draw_curve(axes, spent, main_curve(line.run)[1], shade=shade, **look)
                ends[name].append(x)
                if x.size:
                    found = {level: spread(prices(line.run, level)[name]) for level in levels}
                    marked = _draw_marks(axes, (x, y), found, look["colour"], _mark(number))
                    drawn.append(_Drawn(line, plain, marked, axes.get_yscale() == "log" and bool(y[-1] <= FLOOR)))
        _dress(panels, columns, names, label_of(judge), ends)
        put_title(figure, headline([line.run for line in lines]))
        legend_below(figure, _handles(drawn, series, levels))
        if path is not None:
            save_figure(figure, pathlib.Path(path))
    return figure


def _panels(columns: Sequence[str], names: Sequence[str]) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """Axes by cost and value of the ladder: a row a cost, below them those of further values."""
    if len(columns) == 1:
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        row = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
        return figure, {(name, columns[0]): axes for name, axes in zip(names, row, strict=True)}
    blocks = -(-len(columns) // _ACROSS)
    across = -(-len(columns) // blocks)
    down = blocks * len(names)
    figure = Figure(figsize=(max(WIDTH, 0.8 + 2.0 * across), 0.9 + 1.9 * down), layout="constrained")
    grid = figure.subplots(down, across, sharey=True, squeeze=False)
    places = {
        (name, column): grid[number // across * len(names) + row, number % across]
        for row, name in enumerate(names)
        for number, column in enumerate(columns)
    }
    for axes in set(grid.flat) - set(places.values()):
        axes.set_visible(False)
    return figure, places


def _look(number: int, *, plain: bool) -> dict[str, Any]:
    """Colour and line of a series; beyond the last colour lines are dotted."""
    line: Any = DASHES if plain else "solid" if number < len(COLOURS) else DOTS
    return {"colour": COLOURS[number % len(COLOURS)], "linestyle": line, "zorder": 2 if plain else 3}


def _mark(number: int) -> str:
    return MARKS[number % len(MARKS)]


def _draw_levels(axes: Axes, levels: Iterable[float], low: float, high: float) -> None:
    for level in levels:
        if low <= level <= high:
            axes.axhline(level, color=GREY, lw=0.7, linestyle=DOTS, zorder=1)


def _draw_marks(
    axes: Axes, curve: tuple[np.ndarray, np.ndarray], found: Mapping[float, Spread], colour: str, mark: str
) -> list[float]:
    """A mark on the curve at each median price, a bar from the least to the most; at which thresholds there is one.

    Without prices the mark stands at the end, so that it tells the series apart in print.
    """
    x, y = curve
    log, shown = axes.get_yscale() == "log", np.maximum(y, FLOOR / 100)  # lines are straight on the paper
    style: Any = {"color": colour, "marker": mark, "mec": "white", "mew": 0.5, "ms": 5.5, "linestyle": "none"}
    marked = []
    for level, price in found.items():
        if price.median is not None and price.least is not None and price.most is not None:
            height = np.exp(np.interp(price.median, x, np.log(shown))) if log else np.interp(price.median, x, y)
            axes.plot([price.least, price.most], [height, height], color=colour, lw=1.0, zorder=4)
            axes.plot(price.median, height, zorder=5, **style)
            marked.append(level)
    if not found:
        axes.plot(x[-1], y[-1], zorder=5, clip_on=False, **style)
    return marked


def _dress(
    panels: dict[tuple[str, str], Axes],
    columns: Sequence[str],
    names: Sequence[str],
    judged: str,
    spent: dict[str, list[np.ndarray]],
) -> None:
    """Titles, labels and scales. Step 0 counts: horizontal axes are linear up to the least cost, logarithmic beyond."""
    for name in names:
        row = [panels[name, column] for column in columns]
        least = min((x[x > 0].min() for x in spent[name] if (x > 0).any()), default=1.0)
        end = max((1.1 * x.max() for x in spent[name] if x.size), default=least)
        for axes in row:
            cost_axis(axes, least, max(least, end))
            if (place := axes.get_subplotspec()) is not None and place.is_first_col():
                label_values(axes, judged)
            axes.set_xlabel("time of a seed (s)" if name == "seconds" else in_words(name))
    for column in columns:
        panels[names[0], column].set_title(column)


def _handles(drawn: Sequence[_Drawn], series: Sequence[str], levels: Sequence[float]) -> list[Any]:
    """A series without marks is listed without one, a threshold that none reaches is not listed."""
    if not drawn:
        return []
    lines = [one.line for one in drawn]
    handles: list[Any] = [heading(lines[0].names)] if len(series) > 1 and lines[0].names else []
    marks: list[str] = []
    for number, name in enumerate(series):
        here = [one for one in drawn if one.line.series == name]
        mark = _mark(number) if any(one.levels for one in here) or not levels else ""
        marks += [mark] if here and mark else []
        if here and name:
            look = _look(number, plain=all(one.plain for one in here))
            handles.append(
                Line2D([], [], color=look["colour"], linestyle=look["linestyle"], marker=mark, label=in_words(name))
            )
    starts = {one.plain for one in drawn}
    if starts == {True, False}:
        handles.append(Line2D([], [], color=GREY, label="cold or scaled start"))
    if True in starts:
        handles.append(Line2D([], [], color=GREY, linestyle=DASHES, label="plain warm start"))
    if reached := [level for level in levels if any(level in one.levels for one in drawn)]:
        words = f"median first {beyond(lines[0].run.judge)} " + ", ".join(f"{level:g}" for level in reached)
        look = {"color": GREY, "mec": "white", "mew": 0.5, "linestyle": "none"}
        handles.append(Line2D([], [], marker=marks[0], label=words, **look))
    if any(line.run.seeds > 1 for line in lines):
        handles.append(Patch(color=GREY, alpha=0.25, lw=0, label="range over seeds"))
    return [*handles, *([below_handle()] if any(one.below for one in drawn) else [])]
