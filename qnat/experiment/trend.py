"""Where a curve is going: its slope with an error, and whether a run has come far enough to end."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .measures import ERROR, Measure

Curves = Mapping[str, Float[np.ndarray, "seeds rows"]]
Until = Callable[[Curves, int], bool]
"""The curves so far, by name, and one of their rows, to whether the run ends with it."""

_BLOCKS = 10
_FIRST = 40
"""The first step at which a slope is judged: ten blocks of two rows are then half of the run."""


class Slope(NamedTuple):
    """The change a step of each seed, and its standard error."""

    value: Float[np.ndarray, " seeds"]
    error: Float[np.ndarray, " seeds"]


def slope(values: Float[np.ndarray, "seeds rows"], steps: Float[np.ndarray, " rows"]) -> Slope:
    """Of the least-squares line through the medians of ten consecutive blocks of rows.

    Medians forget single outliers, and noise that lasts a few steps averages out inside a block. What curves, or
    swings more slowly than a block, does not fit the line, and counts as noise.

    Args:
        values: at least three rows, none of them NaN. steps: where they were recorded.
    """
    blocks = min(_BLOCKS, len(steps))
    length = len(steps) // blocks
    last = values[:, -blocks * length :].reshape(len(values), blocks, length)
    heights = np.median(last, axis=2)
    places = steps[-blocks * length :].reshape(blocks, length).mean(axis=1)
    places = places - places.mean()
    square = np.sum(places**2)
    value = heights @ places / square
    residual = heights - heights.mean(axis=1, keepdims=True) - value[:, None] * places
    with np.errstate(over="ignore"):  # what has diverged has an infinite error
        return Slope(value, np.sqrt(np.sum(residual**2, axis=1) / (blocks - 2) / square))


def goal(measures: Sequence[Measure], curves: Curves) -> Measure | None:
    """The first measure that is exact and was recorded."""
    return next((measure for measure in measures if measure.exact and measure.name in curves), None)


def at_most(curves: Curves, measure: Measure, row: int) -> Float[np.ndarray, " seeds"]:
    """What a measure is in a row, two standard errors included where they were recorded beside it."""
    found = curves[measure.name][:, row]
    return found + 2 * curves[measure.name + ERROR][:, row] if measure.name + ERROR in curves else found


def settled(losses: Float[np.ndarray, "seeds rows"], step: int) -> Slope | None:
    """The slope of the last half of the losses up to a step; None where it is not judged.

    It is judged from step 40 on, at steps of two digits that count (41, 42, ..., 110, 120, ..., 1100, ...): a window
    that grows with the run sees ever smaller slopes through the same noise, and looking seldom costs nothing.
    """
    if step < _FIRST or step % 10 ** (len(str(step)) - 2):
        return None
    window = slice(step + 1 - _BLOCKS * (step // (2 * _BLOCKS)), step + 1)
    return slope(losses[:, window], np.arange(window.start, window.stop, dtype=float))


def within(tolerance: float, measures: Sequence[Measure]) -> Until:
    """Ends a run whose goal is reached, or that goes nowhere any more.

    That is the first row in which the first exact measure is below the tolerance for every seed, give or take two
    standard errors where it is an estimate. Where none is recorded, the first in which the slope of the loss, give or
    take two standard errors, is within ± tolerance for every seed, in units of the loss a step: what noise hides is not
    taken for rest.
    """

    def ends(curves: Curves, step: int) -> bool:
        if (measure := goal(measures, curves)) is not None:
            return bool(np.all(at_most(curves, measure, step) < tolerance))
        if (found := settled(curves["loss"], step)) is None:
            return False
        return bool(np.all(np.abs(found.value) + 2 * found.error < tolerance))

    return ends
