"""One style for all figures."""

import pathlib
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..measures import Panel
from ..store.files import replace_file
from .literal import take_literally

# Okabe and Ito's colours, told apart by colour-blind readers; yellow is left out, it is too light for lines
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
"""Of the series in the order of their colours: what is printed in grey is told apart by these."""
GREY = "#767676"
DASHES, DOTS = (0, (4, 2)), (0, (1, 1))
WIDTH = 7.2
"""Of a figure over both columns of a journal, in inches."""
STYLE: Any = {
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 1.7,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "figure.titlesize": 9.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "savefig.dpi": 160,
    "text.usetex": False,  # whose signs names may hold
    "pdf.fonttype": 42,  # letters that journals accept and editors can change
    "svg.hashsalt": "qnat",  # equal figures are equal files
}
SOFTWARE = "qnat"
"""What a picture says of who drew it."""
_SAID: Any = {
    "png": {"Software": SOFTWARE},
    "pdf": {"Creator": SOFTWARE, "CreationDate": None},
    "svg": {"Creator": SOFTWARE, "Date": None},
}


def save_figure(figure: Figure, path: pathlib.Path) -> None:
    """A file of the kind that its suffix names, replaced whole."""
    FigureCanvasAgg(figure)
    take_literally(figure)
    kind = path.suffix.removeprefix(".")
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for a sign that the font lacks
        replace_file(path, lambda file: figure.savefig(file, format=kind, metadata=_SAID.get(kind)))


def in_words(name: str) -> str:
    """A name as a label."""
    return name.replace("_", " ")


def title_of(panel: Panel) -> str:
    """What stands above a panel."""
    return panel.title or in_words(panel.artifact)


def figure_of(axes: Axes) -> Figure:
    """The figure that a panel stands in."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def size_of(axes: Axes) -> tuple[float, float]:
    """Width and height of a panel without its labels, about, in points: it is laid out later."""
    row, grid = axes.get_figure(), axes.get_gridspec()
    assert row is not None
    assert grid is not None
    width, height = (72 * length / row.dpi for length in (row.bbox.width, row.bbox.height))
    return width / grid.ncols - 36, height / grid.nrows - 50


def label_values(axes: Axes, text: str) -> None:
    """The label of the vertical axis, on as many lines as it needs; a letter takes about 4.8 points."""
    axes.set_ylabel(textwrap.fill(text, max(12, int(size_of(axes)[1] / 4.8))))


def legend_above(axes: Axes, handles: Sequence[Any]) -> None:
    """A legend on top of a panel, where it hides no data; its handles are of what is drawn, and of nothing else."""
    columns = columns_within(size_of(axes)[0], handles)
    axes.legend(
        handles=by_rows(handles, columns),
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderaxespad=0.2,
        borderpad=0.2,
    )


def legend_below(figure: Figure, handles: Sequence[Any]) -> None:
    """A legend under all panels, which makes the figure higher by its rows beyond the first.

    Its handles are of what is drawn in any of them, and of nothing else.
    """
    if handles:
        columns = columns_within(72 * figure.get_figwidth(), handles)
        figure.set_figheight(figure.get_figheight() + 0.17 * (-(-len(handles) // columns) - 1))
        figure.legend(handles=by_rows(handles, columns), loc="outside lower center", ncols=columns)


def by_rows(handles: Sequence[Any], columns: int) -> list[Any]:
    """Entries in the order in which matplotlib, which fills a legend column by column, shows them row by row."""
    return [handle for column in range(columns) for handle in handles[column::columns]]


def columns_within(points: float, handles: Sequence[Any]) -> int:
    """How many columns of a legend fit: a letter takes about 4.7 points, a line and the gaps 28."""
    widths = [4.7 * len(str(handle.get_label())) + 28 for handle in handles]

    def total(columns: int) -> float:
        return sum(max(widths[column::columns]) for column in range(columns))

    return next((count for count in range(len(handles), 1, -1) if total(count) <= points), 1)


def heading(words: str) -> Line2D:
    """An entry of a legend that says what the entries after it are."""
    return Line2D([], [], linestyle="none", label=f"{words}:")


def put_title(figure: Figure, words: Sequence[str]) -> None:
    """A title of words, on as many lines as they need; a letter takes about 5.6 points."""
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} · {word}" if lines else word
        fits = bool(lines) and 5.6 * len(longer) <= 72 * figure.get_figwidth()
        lines = [*lines[:-1], longer] if fits else [*lines, word]
    figure.suptitle("\n".join(lines), parse_math=False)
