"""Final arrays as panels of the figure of a run, a function a kind."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..measures import EXACT, Artifact, Panel
from ..store.result import Result
from .style import COLOURS, GREY, in_words, title_of

_ACROSS = 8
_AXES = {"levels": 1, "images": 3, "matrix": 2}


def first_panel(run: Result) -> Panel | None:
    """The first panel of the task whose arrays the run has; None if it has none."""
    return next((panel for panel in run.panels if panel.kind in _DRAW and has_arrays(run, panel)), None)


def has_arrays(run: Result, panel: Panel) -> bool:
    """Whether the run has the arrays of a panel, real and with as many axes as its kind needs."""
    names = (panel.artifact, EXACT + panel.artifact) if panel.kind == "levels" else (panel.artifact,)
    found = [run.artifacts[name] for name in names if name in run.artifacts]
    wanted = _AXES[panel.kind] + (run.seeds > 1)
    return len(found) == len(names) and all(each.ndim == wanted and not np.iscomplexobj(each) for each in found)


def draw_panel(axes: Axes, run: Result, panel: Panel) -> None:
    """Draws a panel whose arrays the run has."""
    _DRAW[panel.kind](axes, run, panel)


def _of_first_seed(run: Result, name: str) -> np.ndarray:
    return run.artifacts[name][0] if run.seeds > 1 else run.artifacts[name]


def _draw_levels(axes: Axes, run: Result, panel: Panel) -> None:
    """Rings are exact, every seed has dots."""
    exact, trained = (np.atleast_2d(run.artifacts[name]) for name in (EXACT + panel.artifact, panel.artifact))
    label = run.labels.get(panel.artifact, Artifact(None))
    levels = np.arange(1, exact.shape[1] + 1)
    axes.plot(levels, exact[0], "o", mfc="none", mec=GREY, mew=1.0, ms=7, label="exact")
    for row, values in enumerate(trained):
        axes.plot(levels, values, ".", color=COLOURS[0], ms=5, label="trained" if row == 0 else None)
    unit = f" ({label.unit})" if label.unit else ""
    axes.set(xlabel=in_words("".join(label.dims) or "level"), yscale="log")
    axes.set(ylabel=(panel.title or label.long_name or in_words(panel.artifact)) + unit)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper right" if exact[0, 0] >= exact[0, -1] else "lower right")  # where no level is


def image_grid(pictures: Float[np.ndarray, "count rows columns"], across: int) -> Float[np.ndarray, "height width"]:
    """Pictures side by side in one array, NaN between them."""
    count, rows, columns = pictures.shape
    down = -(-count // across)
    padded = np.full((down * across, rows + 1, columns + 1), np.nan)
    padded[:count, :rows, :columns] = pictures
    grid = padded.reshape(down, across, rows + 1, columns + 1).swapaxes(1, 2)
    return grid.reshape(down * (rows + 1), -1)[:-1, :-1]


def _draw_images(axes: Axes, run: Result, panel: Panel) -> None:
    """A grid of those of the first seed, dark where values are large."""
    axes.imshow(image_grid(_of_first_seed(run, panel.artifact), _ACROSS), cmap="Greys", interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title_of(panel))


def _draw_matrix(axes: Axes, run: Result, panel: Panel) -> None:
    """That of the first seed, white where it is zero."""
    matrix, label = _of_first_seed(run, panel.artifact), run.labels.get(panel.artifact, Artifact(None))
    largest = float(np.abs(matrix).max(initial=0.0)) or 1.0
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.colorbar(image, ax=axes)
    axes.grid(visible=False)
    for axis, dim in zip((axes.yaxis, axes.xaxis), label.dims, strict=False):
        axis.set_label_text(in_words(dim))
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title_of(panel) + (f" ({label.unit})" if label.unit else ""))


_DRAW: dict[str, Callable[[Axes, Result, Panel], None]] = {
    "levels": _draw_levels,
    "images": _draw_images,
    "matrix": _draw_matrix,
}
