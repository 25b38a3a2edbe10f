"""Names in figures, as they are."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import Formatter, LogFormatter, NullFormatter, ScalarFormatter

from ..console import in_lines


def take_literally(figure: Figure) -> None:
    """Shows every text as it is: dollar signs in it are no formulas, control characters are shown escaped.

    Numbers along axes, which Matplotlib itself sets as formulas, stay so.
    """
    numbers = set()
    panels = [each for each in figure.findobj() if isinstance(each, Axes)]
    for axis in (axis for axes in panels for axis in (axes.xaxis, axes.yaxis)):
        numbers.add(axis.get_offset_text())
        for formatter, ticks, put in (
            (axis.get_major_formatter(), axis.get_major_ticks(), axis.set_major_formatter),
            (axis.get_minor_formatter(), axis.get_minor_ticks(), axis.set_minor_formatter),
        ):
            if isinstance(formatter, ScalarFormatter | LogFormatter | NullFormatter):
                numbers |= {label for tick in ticks for label in (tick.label1, tick.label2)}
            elif not isinstance(formatter, _Literal):
                put(_Literal(formatter))
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text not in numbers:
            text.set_text(in_lines(text.get_text()))
            text.set_parse_math(False)


class _Literal(Formatter):
    """Names along an axis."""

    def __init__(self, inner: Formatter) -> None:
        self._inner = inner

    def __call__(self, x: Any, pos: Any = None) -> str:
        return in_lines(self._inner(x, pos))

    def format_ticks(self, values: Any) -> list[str]:
        return list(map(in_lines, self._inner.format_ticks(values)))

    def set_locs(self, locs: Sequence[Any]) -> None:
        self._inner.set_locs(locs)  # type: ignore[arg-type] # typed as a list
