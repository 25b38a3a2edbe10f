"""The figure of a run."""

import functools
import pathlib
from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..measures import Measure
from ..store.result import Result
from .cost import beside, label_of, others
from .curves import arrival, below_handle, draw_curve, scale_of, set_scale, step_axis
from .panels import draw_panel, draw_scalars, has_arrays, scalar_pairs
from .style import COLOURS, DASHES, DOTS, STYLE, WIDTH, in_words, label_values, legend_above, put_title, save_figure
from .titles import headline

_MOST = 6
_TEST, _TRAIN = "test_", "train_"


def draw_run(run: Result, path: str | pathlib.Path | None = None) -> Figure:
    """The main curve against the step, the other measures that were recorded, and the panels of the task.

    Beside a measure `test_x` stands the curve `train_x`, beside the main one the other exact measures. Scalars that the
    run has both as `name` and as `exact_name` share a panel. At most six panels are drawn, in the order of the task.

    Args:
        run: what was recorded. path: where the figure is saved, in the format of its suffix; None saves nothing.
    """
    judge = run.judge
    draws: list[Callable[[Axes], None]] = [functools.partial(_draw_measure, run=run, measure=judge)]
    draws += [functools.partial(_draw_measure, run=run, measure=one) for one in others(run) if not one.exact]
    draws += [functools.partial(draw_panel, run=run, panel=one) for one in run.panels if has_arrays(run, one)]
    if len(pairs := scalar_pairs(run)) > 1:
        draws.append(functools.partial(draw_scalars, run=run, names=pairs))
    draws = draws[:_MOST]
    down = 1 if len(draws) <= 3 else 2
    across = -(-len(draws) // down)
    with mpl.rc_context(STYLE):
        size = (WIDTH / 2 if across == 1 else WIDTH, 0.3 + (2.5 if across < 3 else 2.2) * down)
        figure = Figure(figsize=size, layout="constrained")
        rows = figure.subfigures(down, 1, squeeze=False)[:, 0]  # each lays its panels out by itself
        for row, part in zip(rows, (draws[:across], draws[across:]), strict=False):
            for axes, draw in zip(row.subplots(1, len(part), squeeze=False)[0], part, strict=True):
                draw(axes)
        put_title(figure, headline([run]))
        if path is not None:
            save_figure(figure, pathlib.Path(path))
    return figure


def _draw_measure(axes: Axes, run: Result, measure: Measure) -> None:
    """A measure against the step: the median over seeds, every seed behind it."""
    curve = run.curves[measure.name]
    twin = run.curves.get(_TRAIN + measure.name.removeprefix(_TEST)) if measure.name.startswith(_TEST) else None
    more = {one.name: run.curves[one.name] for one in beside(run)} if measure == run.judge else {}
    scale = scale_of([curve, *more.values(), *([] if twin is None else [twin])])
    set_scale(axes, scale._replace(log=scale.log and measure.better == "lower"))
    rows = np.arange(run.steps + 1.0)
    shown = measure._replace(name=measure.name.removeprefix(_TEST)) if twin is not None else measure
    label_values(axes, label_of(shown))
    step_axis(axes, _last_shown(axes, [curve, *more.values()]))
    known = draw_curve(axes, rows, curve, COLOURS[0], each=True)[0].size > 0
    called = _called(run, measure, alone=twin is None and not more)
    handles = [Line2D([], [], color=COLOURS[0], label=called)] if known else []
    if twin is not None and draw_curve(axes, rows, twin, COLOURS[1], shade=0, linestyle=DASHES)[0].size:
        handles.append(Line2D([], [], color=COLOURS[1], linestyle=DASHES, label="training"))
    for name, other in more.items():
        if draw_curve(axes, rows, other, COLOURS[1], shade=0, linestyle=DOTS)[0].size:
            handles.append(Line2D([], [], color=COLOURS[1], linestyle=DOTS, label=in_words(name)))
    if run.seeds > 1 and known:
        handles.append(Line2D([], [], color=COLOURS[0], lw=0.6, alpha=0.5, label=f"{run.seeds} seeds"))
    if axes.get_yscale() == "log" and arrival(np.median(curve, axis=0)) < curve.shape[1]:
        handles.append(below_handle(COLOURS[0]))
    if len(handles) > known:
        legend_above(axes, handles)
    if not known:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center")
        axes.set_yticks([])


def _called(run: Result, measure: Measure, *, alone: bool) -> str:
    middle = "median" if run.seeds > 1 else ""
    name = "" if alone else "test" if measure.name.startswith(_TEST) else in_words(measure.name)
    return ", ".join(filter(None, (name, middle))) or in_words(measure.name)


def _last_shown(axes: Axes, curves: Sequence[Float[np.ndarray, "seeds rows"]]) -> float:
    """The last step; on a logarithmic axis somewhat after all curves are zero to rounding."""
    last = curves[0].shape[1] - 1
    return min(last, 1.15 * max(map(arrival, np.concatenate(curves)))) if axes.get_yscale() == "log" else last
