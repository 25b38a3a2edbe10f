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
from matplotlib.ticker import MaxNLocator

from .compare import Line, evaluations, main_curve
from .result import Run
from .store import replace_file

# Okabe and Ito's colours, told apart by colour-blind readers; yellow is left out, it is too light for lines
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_GREY = "#767676"
_DASHES = (0, (4, 2))
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
_FLOOR = 1e-16
"""Smaller values are drawn here: they would stretch the axis, and nobody can tell them from zero."""


def _save(figure: Figure, path: pathlib.Path) -> None:
    FigureCanvasAgg(figure)
    replace_file(path, lambda file: figure.savefig(file, format="png"))


def _words(name: str) -> str:
    return name.replace("_", " ")


def draw_run(run: Run, path: pathlib.Path) -> None:
    """The main curve against the step and, where the task has it, the trained spectrum beside the exact one."""
    with mpl.rc_context(_STYLE):
        spectra = "spectrum" in run.artifacts and "exact_spectrum" in run.artifacts
        figure = Figure(figsize=(7.4 if spectra else 4.2, 3.0), layout="constrained")
        axes = figure.subplots(1, 2 if spectra else 1, squeeze=False)[0]
        name, curve = main_curve(run)
        _draw_curve(axes[0], np.arange(run.steps + 1.0), curve, _COLOURS[0], each=True)
        axes[0].set(xlabel="step", ylabel=_words(name) + (" (nats)" if name == "relative_entropy" else ""))
        if _least(curve) > 0:
            axes[0].set_yscale("log")
        if spectra:
            _draw_spectra(axes[1], run)
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
        axes.fill_between(x, curve.min(axis=0), curve.max(axis=0), color=colour, alpha=0.15, lw=0)
    marker = "o" if len(x) == 1 else ""
    axes.plot(x, np.median(curve, axis=0), color=colour, marker=marker, **style)


def draw_comparison(lines: Sequence[Line], path: pathlib.Path) -> None:
    """The main curves against steps (top) and gradient evaluations (bottom).

    A column a value of the ladder, a colour a series; solid lines started cold or scaled, dashed ones plain.
    """
    columns = list(dict.fromkeys(line.column for line in lines))
    series = list(dict.fromkeys(line.series for line in lines))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(1.2 + 2.5 * max(len(columns), 2), 5.4), layout="constrained")
        axes = figure.subplots(2, len(columns), sharey=True, sharex="row", squeeze=False)
        for line in lines:
            curve = main_curve(line.run)[1]
            colour = _COLOURS[series.index(line.series) % len(_COLOURS)]
            plain = line.start == "plain"
            style: dict[str, Any] = {"linestyle": _DASHES if plain else "solid", "zorder": 2 if plain else 3}
            place = columns.index(line.column)
            _draw_curve(axes[0, place], np.arange(line.run.steps + 1.0), curve, colour, **style)
            _draw_curve(axes[1, place], evaluations(line.run), curve, colour, **style)
        _dress(axes, columns, _words(main_curve(lines[0].run)[0]), [main_curve(line.run)[1] for line in lines])
        _legend(figure, series, {line.start for line in lines})
        _save(figure, path)


def _dress(axes: np.ndarray, columns: list[str], name: str, curves: list[np.ndarray]) -> None:
    """Titles, labels and scales. Step 0 counts, so the horizontal axes are linear up to one and logarithmic beyond."""
    positive = min(map(_least, curves)) >= 0
    for row, label in enumerate(("steps", "gradient evaluations")):
        axes[row, 0].set_ylabel(name + (" (nats)" if name == "relative entropy" else ""))
        axes[row, 0].set_xlim(0, max(1.0, 1.3 * max(axis.dataLim.x1 for axis in axes[row])))  # shared by the row
        for axis in axes[row]:
            axis.set_xscale("symlog", linthresh=1, linscale=0.35)
            axis.set_xlabel(label)
            if positive:
                axis.set_yscale("log")
    for axis, column in zip(axes[0], columns, strict=True):
        axis.set_title(column.replace("beta", "β"))


def _legend(figure: Figure, series: list[str], starts: set[str | None]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=_COLOURS[i % len(_COLOURS)], label=s) for i, s in enumerate(series) if s]
    if "plain" in starts:
        handles.append(Line2D([], [], color=_GREY, label="cold or scaled start"))
        handles.append(Line2D([], [], color=_GREY, linestyle=_DASHES, label="plain warm start"))
    if handles:
        # in points: a letter takes about 4.5, a line and the gaps 36
        widest = max(4.5 * len(str(handle.get_label())) + 36 for handle in handles)
        columns = min(len(handles), max(1, int(72 * figure.get_figwidth() / widest)))
        figure.set_figheight(figure.get_figheight() + 0.18 * (math.ceil(len(handles) / columns) - 1))
        figure.legend(handles=handles, loc="outside upper center", ncols=columns)
