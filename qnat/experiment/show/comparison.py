"""Runs side by side, against what they cost."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .cost import costs, decades, label_of, main_curve, prices, spread
from .lines import Line
from .style import COLOURS, DASHES, DOTS, GREY, STYLE, draw_curve, in_words, least_of, save_figure

_PLAIN = ("plain", "previous")
"""Starts from the state before, as it was."""


def draw_comparison(lines: Sequence[Line], path: pathlib.Path, thresholds: Sequence[float] | None = None) -> None:
    """The main curves against everything that they cost, a row a cost, and what it cost to get below the thresholds.

    A column a value of the ladder (one row of all costs if there is one value), a colour a series; solid lines started
    cold or scaled, dashed ones plain. A dot is the median over seeds of the first time below a threshold (by default
    the decades), its bar goes from the least to the most of the seeds that get there; no dot where most do not.
    """
    columns = list(dict.fromkeys(line.column for line in lines))
    series = list(dict.fromkeys(line.series for line in lines))
    levels = decades(lines[0].run) if thresholds is None else thresholds
    names = list(dict.fromkeys(name for line in lines for name in costs(line.run)))
    with mpl.rc_context(STYLE):
        down, across = (len(names), len(columns)) if len(columns) > 1 else (1, len(names))
        figure = Figure(figsize=(1.2 + 2.5 * max(across, 2), 0.6 + 2.4 * down), layout="constrained")
        axes = figure.subplots(down, across, sharey=True, squeeze=False).reshape(len(names), len(columns))
        for line in lines:
            look = _look(series.index(line.series), plain=line.start in _PLAIN)
            for name, spent in costs(line.run).items():
                axis = axes[names.index(name), columns.index(line.column)]
                draw_curve(axis, spent, main_curve(line.run)[1], shade=0.15 if len(series) <= 4 else 0.07, **look)
                for level in levels:
                    _draw_price(axis, level, prices(line.run, level)[name], look["colour"])
        _dress(axes, columns, names, label_of(main_curve(lines[0].run)[0]), [main_curve(line.run)[1] for line in lines])
        _legend(figure, series, {line.start for line in lines})
        save_figure(figure, path)


def _look(number: int, *, plain: bool) -> dict[str, Any]:
    """Colour and line of a series; beyond the last colour lines are dotted."""
    line: Any = DASHES if plain else "solid" if number < len(COLOURS) else DOTS
    return {"colour": COLOURS[number % len(COLOURS)], "linestyle": line, "zorder": 2 if plain else 3}


def _draw_price(axes: Axes, level: float, price: Float[np.ndarray, " seeds"], colour: str) -> None:
    """A dot at the median, a bar from the least to the most."""
    found = spread(price)
    if found.median is None or found.least is None or found.most is None:
        return
    axes.plot([found.least, found.most], [level, level], color=colour, lw=1.0, zorder=4)
    axes.plot(found.median, level, "o", color=colour, mec="white", mew=0.7, ms=5, zorder=5)


def _dress(axes: np.ndarray, columns: list[str], names: list[str], judged: str, curves: list[np.ndarray]) -> None:
    """Titles, labels and scales. Step 0 counts: horizontal axes are linear up to the least cost, logarithmic beyond."""
    positive = min(map(least_of, curves)) >= 0
    for row, name in enumerate(names):
        ends = [line.get_xdata() for axis in axes[row] for line in axis.lines]
        least = min((x[x > 0].min() for x in map(np.asarray, ends) if (x > 0).any()), default=1.0)
        end = max(least, 1.3 * max(axis.dataLim.x1 for axis in axes[row]))
        for axis in axes[row]:
            axis.set_xlim(0, end)
            axis.set_xscale("symlog", linthresh=10.0 ** math.floor(math.log10(least)), linscale=0.35)
            if axis.get_subplotspec().is_first_col():
                axis.set_ylabel(judged)
            axis.set_xlabel(in_words(name) + (" of a seed" if name == "seconds" else ""))
            if positive:
                axis.set_yscale("log")
    for axis, column in zip(axes[0], columns, strict=True):
        axis.set_title(column)


def _legend(figure: Figure, series: list[str], starts: set[str | None]) -> None:
    looks = [_look(i, plain=False) for i in range(len(series))]
    handles = [
        Line2D([], [], color=look["colour"], linestyle=look["linestyle"], label=in_words(name))
        for look, name in zip(looks, series, strict=True)
        if name
    ]
    if not starts.isdisjoint(_PLAIN):
        handles.append(Line2D([], [], color=GREY, label="cold or scaled start"))
        handles.append(Line2D([], [], color=GREY, linestyle=DASHES, label="plain warm start"))
    if handles:
        # in points: a letter takes about 4.5, a line and the gaps 36
        widest = max(4.5 * len(str(handle.get_label())) + 36 for handle in handles)
        columns = min(len(handles), max(1, int(72 * figure.get_figwidth() / widest)))
        figure.set_figheight(figure.get_figheight() + 0.18 * (math.ceil(len(handles) / columns) - 1))
        figure.legend(handles=handles, loc="outside upper center", ncols=columns)
