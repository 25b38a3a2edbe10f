"""The figure of a run."""

import pathlib

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from ..store.result import Run
from .cost import label_of, main_curve
from .pictures import draw_pictures, pictures_of
from .style import COLOURS, GREY, STYLE, draw_curve, least_of, save_figure


def draw_run(run: Run, path: pathlib.Path) -> None:
    """The main curve against the step and, where the task has them, the trained and exact spectrum, or pictures."""
    with mpl.rc_context(STYLE):
        spectra = "spectrum" in run.artifacts and "exact_spectrum" in run.artifacts
        pictures = pictures_of(run)
        panels = 2 if spectra or pictures else 1
        figure = Figure(figsize=(7.4 if panels == 2 else 4.2, 3.0), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        name, curve = main_curve(run)
        draw_curve(axes[0], np.arange(run.steps + 1.0), curve, COLOURS[0], each=True)
        axes[0].set(xlabel="step", ylabel=label_of(name))
        if least_of(curve) > 0:
            axes[0].set_yscale("log")
            if np.nanmax(curve, initial=0) < 10 * least_of(curve):  # powers of ten would label one tick, or none
                axes[0].yaxis.set_minor_formatter(ScalarFormatter())
        if spectra:
            _draw_spectra(axes[1], run)
        elif pictures:
            draw_pictures(axes[1], *pictures)
        save_figure(figure, path)


def _draw_spectra(axes: Axes, run: Run) -> None:
    trained, exact = (np.atleast_2d(run.artifacts[name]) for name in ("spectrum", "exact_spectrum"))
    levels = np.arange(1, exact.shape[1] + 1)
    axes.plot(levels, exact[0], "o", mfc="none", mec=GREY, mew=1.0, ms=7, label="exact")
    for row, probabilities in enumerate(trained):
        axes.plot(levels, probabilities, ".", color=COLOURS[0], ms=5, label="trained" if row == 0 else None)
    axes.set(xlabel="eigenstate", ylabel="probability", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
