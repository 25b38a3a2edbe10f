"""Names in figures, as they are."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter

from ..console import in_lines


def take_literally(figure: Figure) -> None:
    """Shows every text as it is: dollar signs in it are no formulas, control characters are shown escaped.

    Numbers along axes, which Matplotlib itself sets as formulas, stay so.
    """
    numbers = set()
    panels = [each for each in figure.findobj() if isinstance(each, Axes)]
    for axis in (axis for axes in panels for axis in (axes.xaxis, axes.yaxis)):
        major = axis.get_major_formatter(), axis.get_major_ticks()
        minor = axis.get_minor_formatter(), axis.get_minor_ticks()
        for formatter, ticks in (major, minor):
            if isinstance(formatter, FixedFormatter):  # names
                formatter.seq = [in_lines(name) for name in formatter.seq]
            else:
                numbers |= {label for tick in ticks for label in (tick.label1, tick.label2)}
        numbers.add(axis.get_offset_text())
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text not in numbers:
            text.set_text(in_lines(text.get_text()))
            text.set_parse_math(False)
