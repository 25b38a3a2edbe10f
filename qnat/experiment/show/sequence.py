"""The figure of a sequence: every rung of the ladder a panel, in which warm starts stand beside cold ones."""

import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..store.result import Result
from .cost import beside, label_of
from .curves import FLOOR, below_handle, cost_axis, draw_curve, scale_of, set_scale
from .lines import Entry
from .style import (
    COLOURS,
    DASHES,
    DOTS,
    GREY,
    STYLE,
    WIDTH,
    in_words,
    label_values,
    legend_below,
    put_title,
    save_figure,
)
from .titles import headline

_LOOK: dict[str, tuple[str, Any, str]] = {
    "random": (COLOURS[1], DASHES, "random start"),
    "previous": (COLOURS[0], "solid", "start from the previous state"),
}
_WIDEST = 4


def draw_sequence(entries: Sequence[Entry], ladder: str, path: str | pathlib.Path | None = None) -> Figure:
    """The main curve against the step; lines are medians over seeds, shades go from the least to the most.

    Dotted lines are the other exact measures, where the runs have any.

    Args:
        entries: labelled by the ladder, and by `seed` where each seed is a run; their titles are those of the panels.
        ladder: the name of the label that makes the panels. path: where the figure is saved; None saves nothing.
    """
    titles = {entry.labels[ladder]: entry.title for entry in entries}
    rungs = sorted(titles)
    rows = -(-len(rungs) // _WIDEST)
    columns = -(-len(rungs) // rows)
    judge = entries[0].run.judge
    others = list(dict.fromkeys(other for entry in entries for other in beside(entry.run)))
    names = [judge.name, *(other.name for other in others)]
    scale = scale_of(entry.run.curves[name] for entry in entries for name in names if name in entry.run.curves)
    last = max(1, *(entry.run.steps for entry in entries))
    below = several = False
    starts, measured = set[str](), set[str]()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(WIDTH / 2, WIDTH / 4 * columns), 0.8 + 1.9 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes in panels.flat[len(rungs) :]:
            axes.set_visible(False)
        for axes, rung in zip(panels.flat, rungs, strict=False):
            set_scale(axes, scale)
            for start, (colour, dashes, _) in _LOOK.items():
                here = [e.run for e in entries if e.labels[ladder] == rung and e.start == start]
                if not here:
                    continue
                curve = _stacked(here, judge.name)
                steps = np.arange(curve.shape[1], dtype=float)
                _, middle = draw_curve(axes, steps, curve, colour, zorder=3, linestyle=dashes)
                if middle.size:
                    starts.add(start)
                    several |= len(curve) > 1
                    below |= axes.get_yscale() == "log" and bool(middle[-1] <= FLOOR)
                for other in beside(here[0]):
                    dotted = _stacked(here, other.name)
                    if draw_curve(axes, steps, dotted, colour, linestyle=DOTS, zorder=4)[0].size:
                        measured.add(other.name)
            axes.set_title(titles[rung])
            cost_axis(axes, 1.0, last)
            axes.set_xlabel("step")
        for axes in panels[:, 0]:
            label_values(axes, label_of(judge))
        handles: list[Any] = [
            Line2D([], [], color=colour, linestyle=dashes, label=label)
            for start, (colour, dashes, label) in _LOOK.items()
            if start in starts
        ]
        handles += [
            Line2D([], [], color=GREY, linestyle=DOTS, label=in_words(name)) for name in names[1:] if name in measured
        ]
        handles += [Patch(color=GREY, alpha=0.25, lw=0, label="range over seeds")] if several else []
        handles += [below_handle()] if below else []
        put_title(figure, headline([entry.run for entry in entries]))
        legend_below(figure, handles)
        if path is not None:
            save_figure(figure, pathlib.Path(path))
    return figure


def _stacked(runs: Sequence[Result], name: str) -> Float[np.ndarray, "seeds rows"]:
    """A curve of runs that differ in their seeds."""
    return np.concatenate([run.curves[name] for run in runs])
