"""Figures, in one style."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from .compare import Line
from .cost import costs, decades, label_of, main_curve, prices, spread
from .plot_pictures import draw_pictures, pictures_of
from .result import Run
from .store import replace_file

# Okabe and Ito's colours, told apart by colour-blind readers; yellow is left out, it is too light for lines
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_GREY = "#767676"
_DASHES, _DOTS = (0, (4, 2)), (0, (1, 1))
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "savefig.dpi": 160,
}
_PLAIN = ("plain", "previous")
"""Starts from the state before, as it was."""
_FLOOR = 1e-16
"""Smaller values are drawn here: they would stretch the axis, and nobody can tell them from zero."""


def _save(figure: Figure, path: pathlib.Path) -> None:
    FigureCanvasAgg(figure)
    replace_file(path, lambda file: figure.savefig(file, format="png"))


def _words(name: str) -> str:
    return name.replace("_", " ")


def draw_run(run: Run, path: pathlib.Path) -> None:
    """The main curve against the step and, where the task has them, the trained and exact spectrum, or pictures."""
    with mpl.rc_context(_STYLE):
        spectra = "spectrum" in run.artifacts and "exact_spectrum" in run.artifacts
        pictures = pictures_of(run)
        panels = 2 if spectra or pictures else 1
        figure = Figure(figsize=(7.4 if panels == 2 else 4.2, 3.0), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        name, curve = main_curve(run)
        _draw_curve(axes[0], np.arange(run.steps + 1.0), curve, _COLOURS[0], each=True)
        axes[0].set(xlabel="step", ylabel=label_of(name))
        if _least(curve) > 0:
            axes[0].set_yscale("log")
            if np.nanmax(curve, initial=0) < 10 * _least(curve):  # powers of ten would label one tick, or none
                axes[0].yaxis.set_minor_formatter(ScalarFormatter())
        if spectra:
            _draw_spectra(axes[1], run)
        elif pictures:
            draw_pictures(axes[1], *pictures)
        _save(figure, path)


def _draw_spectra(axes: Axes, run: Run) -> None:
    trained, exact = (np.atleast_2d(run.artifacts[name]) for name in ("spectrum", "exact_spectrum"))
    levels = np.arange(1, exact.shape[1] + 1)
    axes.plot(levels, exact[0], "o", mfc="none", mec=_GREY, mew=1.0, ms=7, label="exact")
    for row, probabilities in enumerate(trained):
        axes.plot(levels, probabilities, ".", color=_COLOURS[0], ms=5, label="trained" if row == 0 else None)
    axes.set(xlabel="eigenstate", ylabel="probability", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()


def _least(curve: Float[np.ndarray, "seeds rows"]) -> float:
    """The smallest recorded value; inf if there is none."""
    return float(np.min(curve, where=~np.isnan(curve), initial=np.inf))


def _draw_curve(
    axes: Axes,
    x: np.ndarray,
    curve: Float[np.ndarray, "seeds rows"],
    colour: str,
    *,
    each: bool = False,
    shade: float = 0.15,
    **style: Any,
) -> None:
    """The median over seeds, with every seed behind it or the range shaded; rows without a value are left out."""
    x = np.broadcast_to(x, curve.shape)
    known = ~np.isnan(curve).any(axis=0)
    x, curve = np.median(x[:, known], axis=0), curve[:, known]
    positive = bool(curve.size) and curve.min() >= 0
    curve = np.maximum(curve, _FLOOR) if positive else curve
    if curve.shape[0] > 1 and each:
        axes.plot(x, curve.T, color=colour, lw=0.7, alpha=0.4)
    elif curve.shape[0] > 1:
        axes.fill_between(x, curve.min(axis=0), curve.max(axis=0), color=colour, alpha=shade, lw=0)
    marker = "o" if len(x) == 1 else ""
    axes.plot(x, np.median(curve, axis=0), color=colour, marker=marker, **style)


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
    with mpl.rc_context(_STYLE):
        down, across = (len(names), len(columns)) if len(columns) > 1 else (1, len(names))
        figure = Figure(figsize=(1.2 + 2.5 * max(across, 2), 0.6 + 2.4 * down), layout="constrained")
        axes = figure.subplots(down, across, sharey=True, squeeze=False).reshape(len(names), len(columns))
        for line in lines:
            look = _look(series.index(line.series), plain=line.start in _PLAIN)
            for name, spent in costs(line.run).items():
                axis = axes[names.index(name), columns.index(line.column)]
                _draw_curve(axis, spent, main_curve(line.run)[1], shade=0.15 if len(series) <= 4 else 0.07, **look)
                for level in levels:
                    _draw_price(axis, level, prices(line.run, level)[name], look["colour"])
        _dress(axes, columns, names, label_of(main_curve(lines[0].run)[0]), [main_curve(line.run)[1] for line in lines])
        _legend(figure, series, {line.start for line in lines})
        _save(figure, path)


def _look(number: int, *, plain: bool) -> dict[str, Any]:
    """Colour and line of a series; beyond the last colour lines are dotted."""
    line: Any = _DASHES if plain else "solid" if number < len(_COLOURS) else _DOTS
    return {"colour": _COLOURS[number % len(_COLOURS)], "linestyle": line, "zorder": 2 if plain else 3}


def _draw_price(axes: Axes, level: float, price: Float[np.ndarray, " seeds"], colour: str) -> None:
    """A dot at the median, a bar from the least to the most."""
    found = spread(price)
    if found.median is None or found.least is None or found.most is None:
        return
    axes.plot([found.least, found.most], [level, level], color=colour, lw=1.0, zorder=4)
    axes.plot(found.median, level, "o", color=colour, mec="white", mew=0.7, ms=5, zorder=5)


def _dress(axes: np.ndarray, columns: list[str], names: list[str], judged: str, curves: list[np.ndarray]) -> None:
    """Titles, labels and scales. Step 0 counts: horizontal axes are linear up to the least cost, logarithmic beyond."""
    positive = min(map(_least, curves)) >= 0
    for row, name in enumerate(names):
        ends = [line.get_xdata() for axis in axes[row] for line in axis.lines]
        least = min((x[x > 0].min() for x in map(np.asarray, ends) if (x > 0).any()), default=1.0)
        end = max(least, 1.3 * max(axis.dataLim.x1 for axis in axes[row]))
        for axis in axes[row]:
            axis.set_xlim(0, end)
            axis.set_xscale("symlog", linthresh=10.0 ** math.floor(math.log10(least)), linscale=0.35)
            if axis.get_subplotspec().is_first_col():
                axis.set_ylabel(judged)
            axis.set_xlabel(_words(name) + (" of a seed" if name == "seconds" else ""))
            if positive:
                axis.set_yscale("log")
    for axis, column in zip(axes[0], columns, strict=True):
        axis.set_title(column.replace("beta", "β"))


def _legend(figure: Figure, series: list[str], starts: set[str | None]) -> None:
    from matplotlib.lines import Line2D

    looks = [_look(i, plain=False) for i in range(len(series))]
    handles = [
        Line2D([], [], color=look["colour"], linestyle=look["linestyle"], label=_words(name))
        for look, name in zip(looks, series, strict=True)
        if name
    ]
    if not starts.isdisjoint(_PLAIN):
        handles.append(Line2D([], [], color=_GREY, label="cold or scaled start"))
        handles.append(Line2D([], [], color=_GREY, linestyle=_DASHES, label="plain warm start"))
    if handles:
        # in points: a letter takes about 4.5, a line and the gaps 36
        widest = max(4.5 * len(str(handle.get_label())) + 36 for handle in handles)
        columns = min(len(handles), max(1, int(72 * figure.get_figwidth() / widest)))
        figure.set_figheight(figure.get_figheight() + 0.18 * (math.ceil(len(handles) / columns) - 1))
        figure.legend(handles=handles, loc="outside upper center", ncols=columns)
