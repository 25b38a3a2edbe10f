"""One style for all figures."""

import pathlib
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..measures import Panel
from ..store.files import replace_file
from .literal import take_literally

# Okabe and Ito's colours, told apart by colour-blind readers; yellow is left out, it is too light for lines
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#767676"
DASHES, DOTS = (0, (4, 2)), (0, (1, 1))
STYLE: Any = {
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
    "text.usetex": False,  # whose signs names may hold
}
SOFTWARE: Any = {"Software": "qnat"}
"""What a picture says of who drew it."""
_FLOOR = 1e-16
"""Smaller values are drawn here: they would stretch the axis, and nobody can tell them from zero."""


def save_figure(figure: Figure, path: pathlib.Path) -> None:
    """A PNG file, replaced whole."""
    FigureCanvasAgg(figure)
    take_literally(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for a sign that the font lacks
        replace_file(path, lambda file: figure.savefig(file, format="png", metadata=SOFTWARE))


def in_words(name: str) -> str:
    """A name as a label."""
    return name.replace("_", " ")


def title_of(panel: Panel) -> str:
    """What stands above a panel."""
    return panel.title or in_words(panel.artifact)


def least_of(curve: Float[np.ndarray, "seeds rows"]) -> float:
    """The smallest recorded value; inf if there is none."""
    return float(np.min(curve, where=~np.isnan(curve), initial=np.inf))


def draw_curve(
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
