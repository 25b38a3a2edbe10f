"""Pictures that a task made, side by side."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from ..store.result import Run

PICTURES = ("samples", "reconstructions")
"""Artifacts of shape (count, rows, columns) by these names are shown in the figure of a run."""
_ACROSS = 8


def pictures_of(run: Run) -> tuple[str, Float[np.ndarray, "count rows columns"]] | None:
    """The name of the pictures and those of the first seed; None if there are none."""
    for name in PICTURES:
        if name in run.artifacts:
            found = run.artifacts[name][0] if run.seeds > 1 else run.artifacts[name]
            return (name, found) if found.ndim == 3 else None
    return None


def image_grid(pictures: Float[np.ndarray, "count rows columns"], across: int) -> Float[np.ndarray, "height width"]:
    """Pictures side by side in one array, NaN between them."""
    count, rows, columns = pictures.shape
    down = -(-count // across)
    padded = np.full((down * across, rows + 1, columns + 1), np.nan)
    padded[:count, :rows, :columns] = pictures
    grid = padded.reshape(down, across, rows + 1, columns + 1).swapaxes(1, 2)
    return grid.reshape(down * (rows + 1), -1)[:-1, :-1]


def draw_pictures(axes: Axes, name: str, pictures: Float[np.ndarray, "count rows columns"]) -> None:
    """A grid, dark where values are large."""
    axes.imshow(image_grid(pictures, _ACROSS), cmap="Greys", interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(name)
