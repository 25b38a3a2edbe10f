"""Final arrays as panels of the figure of a run, a function a kind."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..measures import ERROR, EXACT, Artifact, Panel, error_name
from ..store.result import Result
from .curves import round_ticks, scale_of, set_scale
from .style import COLOURS, GREY, figure_of, in_words, label_values, legend_above, size_of, title_of

_ACROSS = 8
_AXES = {"levels": 1, "points": 1, "images": 3, "matrix": 2, "cloud": 2}
_WRITTEN = 12
"""Rows of the largest matrix whose numbers are written into it."""
_BESIDE = 4
"""The same where names stand upright below it, and take of its height."""
_NAME = 6.5
"""Height of names along a matrix, in points."""
_LETTER = 8.5
"""What a name beside another takes, in points."""
_RING: Any = {"marker": "o", "mfc": "none", "mec": GREY, "mew": 1.0, "ms": 6.5, "linestyle": "none"}
_DOT: Any = {"marker": "o", "color": COLOURS[0], "mew": 0, "ms": 3.2, "linestyle": "none"}


def has_arrays(run: Result, panel: Panel) -> bool:
    """Whether the run has the arrays of a panel, real and with as many axes as its kind needs."""
    wanted = {panel.artifact: _AXES[panel.kind]}
    if panel.kind == "levels":
        wanted[EXACT + panel.artifact] = 1
    if panel.kind == "cloud":
        wanted[panel.against] = 3
    found = {name: run.artifacts[name] for name in wanted if name in run.artifacts}
    return len(found) == len(wanted) and all(
        each.ndim == wanted[name] + (run.seeds > 1) and each.size and not np.iscomplexobj(each)
        for name, each in found.items()
    )


def scalar_pairs(run: Result) -> list[str]:
    """Names of the scalars that the run has twice, trained and exact."""
    scalars = [name for name, each in run.artifacts.items() if each.ndim == (run.seeds > 1)]
    return [name for name in scalars if EXACT + name in scalars]


def draw_panel(axes: Axes, run: Result, panel: Panel) -> None:
    """Draws a panel whose arrays the run has."""
    _DRAW[panel.kind](axes, run, panel)


def draw_scalars(axes: Axes, run: Result, names: Sequence[str]) -> None:
    """Scalars one above the other, trained and exact."""
    places = np.arange(len(names))
    trained, exact = (np.stack([_rows(run, before + name) for name in names], axis=-1) for before in ("", EXACT))
    axes.plot(exact[0], places, **_RING)
    for values in trained:
        axes.plot(values, places, alpha=_alpha(run.seeds), **_DOT)
    axes.axvline(0, color=GREY, lw=0.6, zorder=0)
    axes.set_yticks(places, [_called(run, name, in_words(name)) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.xaxis.set_major_locator(round_ticks())
    axes.grid(visible=False, axis="y")
    _legend(axes, trained, exact)


def _rows(run: Result, name: str) -> np.ndarray:
    """An artifact, one row a seed."""
    array = np.asarray(run.artifacts[name])
    return array if run.seeds > 1 else array[None]


def _label(run: Result, name: str) -> Artifact:
    return run.labels.get(name, Artifact(None))


def _called(run: Result, name: str, otherwise: str) -> str:
    """What the values of an artifact are, with their unit."""
    label = _label(run, name)
    return (label.long_name or otherwise) + (f" ({label.unit})" if label.unit else "")


def _draw_levels(axes: Axes, run: Result, panel: Panel) -> None:
    """Rings are exact, every seed has dots; against an artifact of the task, or the number of the level."""
    exact, trained = _rows(run, EXACT + panel.artifact)[:1], _rows(run, panel.artifact)
    known = panel.against in run.artifacts
    places = _rows(run, panel.against)[0] if known else np.arange(1, exact.shape[1] + 1)
    set_scale(axes, scale_of([exact, trained]))
    axes.plot(places, exact[0], **_RING)
    for values in trained:
        axes.plot(places, values, alpha=_alpha(run.seeds), **_DOT)
    number = in_words("".join(_label(run, panel.artifact).dims) or "level")
    axes.set_xlabel(_called(run, panel.against, in_words(panel.against)) if known else number)
    label_values(axes, _called(run, panel.artifact, title_of(panel)))
    axes.xaxis.set_major_locator(round_ticks(integer=not known))
    _legend(axes, trained, exact)


def _alpha(seeds: int) -> float:
    return 1.0 if seeds == 1 else max(0.35, 0.9 - 0.05 * seeds)


def _legend(axes: Axes, trained: np.ndarray, exact: np.ndarray | None = None, error: str = "") -> None:
    """Seeds are the rows of the trained ones; `error` is what their bars are, if they have any."""
    seeds = len(trained)
    handles = [Line2D([], [], label="exact", **_RING)] if exact is not None and np.isfinite(exact).any() else []
    if np.isfinite(trained).any():
        handles.append(Line2D([], [], label="trained" if seeds == 1 else f"trained, {seeds} seeds", **_DOT))
    if error:
        handles.append(Line2D([], [], color=COLOURS[0], marker="|", ms=9, linestyle="none", label=error))
    legend_above(axes, handles)


def _draw_points(
    axes: Axes,
    names: Sequence[str],
    found: Float[np.ndarray, "seeds P"],
    errors: Float[np.ndarray, "seeds P"] | None = None,
    exact: Float[np.ndarray, " P"] | None = None,
    error: str = "",
) -> None:
    """Estimates side by side, those of the seeds beside each other, with bars of one standard error."""
    seeds, count = found.shape
    places = np.arange(count)
    if errors is not None and not (np.isfinite(errors) & (errors > 0)).any():
        errors = None  # there is no bar to draw
    if exact is not None:
        axes.plot(places, exact, **_RING)
    for seed, values in enumerate(found):
        moved = places + (0 if errors is None else 0.5 * ((seed + 0.5) / seeds - 0.5))
        bars = None if errors is None else np.where(np.isfinite(errors[seed]), errors[seed], 0.0)
        axes.errorbar(moved, values, yerr=bars, elinewidth=0.9, ecolor=COLOURS[0], alpha=_alpha(seeds), **_DOT)
    axes.axhline(0, color=GREY, lw=0.6, zorder=0)
    every = -(-count // max(1, int(size_of(axes)[0] / _LETTER)))
    lengthy = count > 6 or max(map(len, names)) > 4
    axes.set_xticks(places[::every], names[::every], rotation=90 if lengthy else 0, fontsize=6.5)
    axes.set_xlim(-0.7, count - 0.3)
    axes.grid(visible=False, axis="x")
    _legend(axes, found, exact, "" if errors is None else error)


def _draw_estimates(axes: Axes, run: Result, panel: Panel) -> None:
    """Estimates with their standard errors and the truth, where the run has them."""
    found, label = _rows(run, panel.artifact), _label(run, panel.artifact)
    known = [name for name in (panel.artifact + ERROR, EXACT + panel.artifact) if name in run.artifacts]
    fitting = {name: rows for name in known if (rows := _rows(run, name)).shape == found.shape}
    exact = fitting.get(EXACT + panel.artifact)
    names = [str(each) for each in label.coords.get("".join(label.dims), range(1, found.shape[1] + 1))]
    bars, error = fitting.get(panel.artifact + ERROR), error_name(run.labels, panel.artifact)
    _draw_points(axes, names, found, bars, None if exact is None else exact[0], error)
    axes.set_xlabel(in_words("".join(label.dims)))
    label_values(axes, _called(run, panel.artifact, title_of(panel)))


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
    axes.imshow(image_grid(_rows(run, panel.artifact)[0], _ACROSS), cmap="Greys", interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title_of(panel))


def _draw_matrix(axes: Axes, run: Result, panel: Panel) -> None:
    """That of the first seed, white where it is zero; the numbers of a small one are written into it."""
    matrix, label = _rows(run, panel.artifact)[0], _label(run, panel.artifact)
    largest = float(np.abs(matrix).max(initial=0.0)) or 1.0
    signed = bool((matrix < 0).any())
    ends: Any = {"cmap": "RdBu_r", "vmin": -largest} if signed else {"cmap": "Blues", "vmin": 0.0}
    image = axes.imshow(matrix, vmax=largest, interpolation="nearest", **ends)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    width, height = size_of(axes)
    cell = min(width / matrix.shape[1], height / matrix.shape[0])
    crowded = False
    for axis, size, dim in zip((axes.yaxis, axes.xaxis), matrix.shape, label.dims or ("", ""), strict=True):
        every = 1 if size <= _WRITTEN else -(-size // 8)
        names = [str(name) for name in label.coords.get(dim, range(size))][::every]
        axis.set_label_text(in_words(dim))
        crowded = axis is axes.xaxis and max(map(len, names)) * 0.6 * _NAME > every * cell
        axis.set_ticks(range(0, size, every), names, fontsize=_NAME, rotation=90 if crowded else 0)
        axis.set_tick_params(length=0)
    if max(matrix.shape) <= (_BESIDE if crowded else _WRITTEN):
        _write(axes, matrix, largest)
    else:
        bar = figure_of(axes).colorbar(image, cax=axes.inset_axes((1.03, 0, 0.045, 1)))
        bar.ax.tick_params(labelsize=6.5)
    axes.set_title(title_of(panel) + (f" ({label.unit})" if label.unit else ""))


def _write(axes: Axes, matrix: Float[np.ndarray, "rows columns"], largest: float) -> None:
    """The numbers of a matrix, but its zeros."""
    whole = bool((matrix == np.round(matrix)).all())
    size = 7.0 if max(matrix.shape) <= 6 else 5.5
    for (row, column), value in np.ndenumerate(matrix):
        if value:
            text = f"{value:.0f}" if whole else f"{value:.2f}".replace("-", "−")
            colour = "white" if abs(value) > 0.6 * largest else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def _draw_cloud(axes: Axes, run: Result, panel: Panel) -> None:
    """Points in grey, and the ellipses of the first seed at one and two radii, a colour each."""
    points, label = _rows(run, panel.artifact)[0], _label(run, panel.artifact)
    axes.plot(*points.T, marker="o", color=GREY, mew=0, ms=2.2, alpha=0.5, linestyle="none", zorder=1)
    angles = np.linspace(0, 2 * np.pi, 73)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    ellipses, known = _rows(run, panel.against)[0], _label(run, panel.against)
    numbers = known.coords.get((known.dims or ("",))[0], range(1, len(ellipses) + 1))
    for number, ellipse in enumerate(ellipses):
        colour, centre, root = COLOURS[number % len(COLOURS)], ellipse[:, :1], ellipse[:, 1:]
        x, y = centre[:, 0]
        axes.text(x, y, str(numbers[number]), color=colour, ha="center", va="center", fontsize=8, weight="bold")
        for radius, width in ((1, 1.2), (2, 0.7)):
            axes.plot(*(centre + radius * root @ circle), color=colour, lw=width)
    names = label.coords.get(label.dims[1], ("", "")) if label.dims else ("", "")
    axes.set_xlabel(str(names[0]))
    label_values(axes, str(names[1]))
    axes.set_title(title_of(panel))


_DRAW: dict[str, Callable[[Axes, Result, Panel], None]] = {
    "levels": _draw_levels,
    "points": _draw_estimates,
    "images": _draw_images,
    "matrix": _draw_matrix,
    "cloud": _draw_cloud,
}
