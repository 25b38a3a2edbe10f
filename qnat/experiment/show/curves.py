"""Curves: their scales, their ticks, and where they become too small to be told from zero."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from .style import GREY

FLOOR = 1e-15
"""What is smaller cannot be told from zero: curves leave their panel there, and a mark says where."""
_ROUNDING = 1e-12
"""Negative values of this part of the largest one are zeros, computed."""
_LEAST_RATIO = 20.0
"""From the smallest to the largest value of an axis that is logarithmic."""
BELOW: Any = {"marker": "v", "ms": 5, "mew": 0, "linestyle": "none"}


class Scale(NamedTuple):
    """An axis of values: logarithmic or linear; from `low` to `high`, which are not finite where nothing is known."""

    log: bool
    low: float
    high: float


def scale_of(curves: Iterable[np.ndarray]) -> Scale:
    """Logarithmic where no value is negative and the largest is many times the smallest, zeros among them."""
    values = np.concatenate([np.ravel(curve) for curve in curves] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    above = values[values > FLOOR]
    if not above.size or values.min() < -_ROUNDING * above.max() or above.max() < _LEAST_RATIO * values.min():
        return Scale(False, *((values.min(), values.max()) if values.size else (np.nan, np.nan)))
    low = above.min() if values.min() > FLOOR else max(FLOOR, above.min() / 10)
    return Scale(True, float(low), float(above.max()))


def set_scale(axes: Axes, scale: Scale) -> None:
    """Of the vertical axis, before anything is drawn."""
    if not scale.log:
        axes.yaxis.set_major_locator(round_ticks())
        return
    axes.set_yscale("log")
    room = (scale.high / scale.low) ** 0.04
    low, high = (scale.low if scale.low == FLOOR else scale.low / room), scale.high * room
    axes.set_ylim(*log_ticks(axes.yaxis, low, high))


def round_ticks(*, integer: bool = False) -> MaxNLocator:
    """Of a linear axis: about six, at multiples of 1, 2 or 5."""
    return MaxNLocator(6, steps=[1, 2, 5, 10], integer=integer)


def log_ticks(axis: Axis, low: float, high: float) -> tuple[float, float]:
    """One kind of tick: 0.1, 0.2, 0.5, 1 within two decades, else powers of ten. Returns the limits, which may grow."""
    decades = math.log10(high / low)
    if decades < 2 and low >= 1e-3 and high <= 1e4:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
        return low, high
    if decades < 2:
        low, high = (10.0 ** step(math.log10(end)) for step, end in ((math.floor, low), (math.ceil, high)))
    powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    stride = -(-len(powers) // 6)
    axis.set_major_locator(FixedLocator([10.0**power for power in powers if power % stride == 0]))
    axis.set_major_formatter(LogFormatterMathtext())
    axis.set_minor_locator(LogLocator(subs=range(2, 10), numticks=50) if stride == 1 else LogLocator(numticks=50))
    axis.set_minor_formatter(NullFormatter())
    return low, high


def draw_curve(
    axes: Axes,
    x: np.ndarray,
    curve: Float[np.ndarray, "seeds rows"],
    colour: str,
    *,
    each: bool = False,
    shade: float = 0.15,
    **style: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """The median over seeds, with every seed behind it or the range shaded; rows without a finite value are left out.

    On a logarithmic axis a curve leaves the panel where it ends below FLOOR, with a mark. Returns the median's points.
    """
    x = np.broadcast_to(x, curve.shape)
    known = np.isfinite(curve).all(axis=0)
    x, curve = np.median(x[:, known], axis=0), curve[:, known]
    drawn = np.maximum(curve, FLOOR / 100) if axes.get_yscale() == "log" else curve
    if curve.shape[0] > 1 and each:
        axes.plot(x, drawn.T, color=colour, lw=0.6, alpha=0.35, marker="." if len(x) == 1 else "")
    elif curve.shape[0] > 1:
        axes.fill_between(x, drawn.min(axis=0), drawn.max(axis=0), color=colour, alpha=shade, lw=0)
    middle = np.median(curve, axis=0)
    alone: Any = {"marker": "o"} if len(x) == 1 else {}
    axes.plot(x, np.median(drawn, axis=0), color=colour, **alone, **style)
    if axes.get_yscale() == "log" and middle.size and (arrived := arrival(middle)) < len(middle):
        axes.plot(x[arrived], 0.012, color=colour, transform=axes.get_xaxis_transform(), zorder=6, **BELOW)
    return x, middle


def arrival(curve: Float[np.ndarray, " rows"]) -> int:
    """The first known row from which on a curve stays at or below FLOOR; the number of rows if it ends above."""
    known = np.flatnonzero(np.isfinite(curve))
    above = np.flatnonzero(curve[known] > FLOOR)
    after = int(above[-1]) + 1 if above.size else 0
    return int(known[after]) if after < len(known) else len(curve)


def below_handle(colour: str = GREY) -> Line2D:
    """What a legend says of the mark."""
    return Line2D([], [], color=colour, label="below 10⁻¹⁵", **BELOW)


def step_axis(axes: Axes, last: float) -> None:
    """A horizontal axis of whole steps from 0."""
    axes.set_xlim((-0.02 * last, 1.02 * last) if last else (-0.5, 0.5))
    axes.xaxis.set_major_locator(round_ticks(integer=True) if last else FixedLocator([0]))
    axes.set_xlabel("step")


def cost_axis(axes: Axes, least: float, end: float) -> None:
    """A horizontal axis, linear from 0 to the decade of the least cost, logarithmic beyond, with ticks at decades."""
    first, last = math.floor(math.log10(least)), math.floor(math.log10(end))
    axes.set_xscale("symlog", linthresh=10.0**first, linscale=0.5)
    stride = -(-(last - first + 1) // 4)
    axes.set_xticks([0.0, *(10.0**power for power in reversed(range(last, first - 1, -stride)))])
    between = range(2, 10) if stride == 1 else range(1, 2)
    axes.set_xticks([k * 10.0**power for power in range(first, last + 1) for k in between], minor=True)
    axes.set_xlim(0, end)
    plain = first >= -1 and last <= 3
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}") if plain else LogFormatterMathtext())
