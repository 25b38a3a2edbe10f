"""The figure of a sequence: every rung of the ladder a panel, in which warm starts stand beside cold ones."""

import math
import pathlib
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..store.result import Result
from .cost import beside, label_of, main_curve
from .lines import Entry
from .style import COLOURS, DOTS, GREY, STYLE, draw_curve, in_words, least_of, save_figure

_LOOK = {"random": (COLOURS[1], "random start"), "previous": (COLOURS[0], "start from the previous state")}
_WIDEST = 4


def draw_sequence(entries: Sequence[Entry], ladder: str, path: pathlib.Path) -> None:
    """The main curve against the step; lines are medians over seeds, shades go from the least to the most.

    Dotted lines are the other exact measures, where the runs have any.

    Args:
        entries: labelled by the ladder, and by `seed` where each seed is a run; their titles are those of the panels.
        ladder: the name of the label that makes the panels. path: where the figure goes.
    """
    titles = {entry.labels[ladder]: entry.title for entry in entries}
    rungs = sorted(titles)
    columns = min(len(rungs), _WIDEST)
    rows = math.ceil(len(rungs) / columns)
    judge = main_curve(entries[0].run)[0]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.0 + 2.3 * columns, 0.6 + 2.3 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        least = np.inf
        told: dict[str, None] = {}
        for number, axes in enumerate(panels.flat):
            if number >= len(rungs):
                axes.set_visible(False)
                continue
            for start, (colour, _) in _LOOK.items():
                here = [e.run for e in entries if e.labels[ladder] == rungs[number] and e.start == start]
                if not here:
                    continue
                curve = _stacked(here, judge.name)
                steps = np.arange(curve.shape[1], dtype=float)
                least = min(least, least_of(curve))
                draw_curve(axes, steps, curve, colour, zorder=3)
                for other in beside(here[0]):
                    told[in_words(other.name)] = None
                    draw_curve(axes, steps, _stacked(here, other.name), colour, linestyle=DOTS, zorder=4)
            axes.set_title(titles[rungs[number]])
            axes.set_xscale("symlog", linthresh=1, linscale=0.35)
            axes.set_xlim(0, max(1, *(entry.run.steps for entry in entries)))
            axes.xaxis.set_major_formatter("{x:g}")
            if number + columns >= len(rungs):
                axes.set_xlabel("step")
                axes.tick_params(labelbottom=True)
        for axes in panels[:, 0]:
            axes.set_ylabel(label_of(judge))
        if least >= 0:
            panels[0, 0].set_yscale("log")
        handles = [
            Line2D([], [], color=colour, label=label)
            for start, (colour, label) in _LOOK.items()
            if any(entry.start == start for entry in entries)
        ]
        if told:
            handles.append(Line2D([], [], color=GREY, linestyle=DOTS, label=", ".join(told)))
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
        save_figure(figure, path)


def _stacked(runs: Sequence[Result], name: str) -> Float[np.ndarray, "seeds rows"]:
    """A curve of runs that differ in their seeds."""
    return np.concatenate([run.curves[name] for run in runs])
