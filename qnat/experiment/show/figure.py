"""The figure of a run."""

import pathlib

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from ..store.result import Result
from .cost import label_of, main_curve
from .panels import draw_panel, first_panel
from .style import COLOURS, STYLE, draw_curve, least_of, save_figure


def draw_run(run: Result, path: pathlib.Path | None = None) -> Figure:
    """The main curve against the step and, where the task has one, the first of its panels."""
    with mpl.rc_context(STYLE):
        panel = first_panel(run)
        width, panels = (4.2, 1) if panel is None else (7.4, 2)
        figure = Figure(figsize=(width, 3.0), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        judge, curve = main_curve(run)
        draw_curve(axes[0], np.arange(run.steps + 1.0), curve, COLOURS[0], each=True)
        axes[0].set(xlabel="step", ylabel=label_of(judge))
        if least_of(curve) > 0:
            axes[0].set_yscale("log")
            if np.nanmax(curve, initial=0) < 10 * least_of(curve):  # powers of ten would label one tick, or none
                axes[0].yaxis.set_minor_formatter(ScalarFormatter())
        if panel is not None:
            draw_panel(axes[1], run, panel)
        if path is not None:
            save_figure(figure, path)
    return figure
