"""What there is to say about how a run ended: early, not converged, without a single step; nothing if all is well."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ..measures import Measure
from ..store.result import Result
from ..trend import Slope, goal, settled, slope, within
from .cost import label_of, main_curve

_GOOD = 1e-4
"""An exact measure below it has converged, whatever it still does; a tolerance says otherwise."""
_ROWS = 5
"""Recorded rows that the end of a run has at least: a line through fewer proves little."""
_ERRORS = 3.0
"""Standard errors from zero at which a slope is one."""
_SHARE, _GAIN = 0.1, 0.25
"""What another run as long would change at this slope: of an exact value, and of all that was gained so far."""

_STEADY = {"learning_rate": "a smaller --learning-rate", "shots": "more --shots"}


class _End(NamedTuple):
    """Of the judging curve over its last rows, a value a seed."""

    steps: int
    last: Float[np.ndarray, " seeds"]
    slope: Slope
    least: Float[np.ndarray, " seeds"]
    most: Float[np.ndarray, " seeds"]
    first: Float[np.ndarray, " seeds"]


def verdict(run: Result) -> str | None:
    """One sentence on how a run ended, or None.

    It says that a run ended early and why; that a measure is no number in the end; that every step of a seed was
    rejected; that its judging curve is worse than
    at the start, by more than it swings in the end, or by more than the start itself; that it still moves:
    over its last tenth, five recorded rows at least, the slope is three standard errors from zero and would, in another
    run as long, change an exact measure by a tenth of its value, or gain a quarter of what was gained so far; that an
    exact measure swings by a tenth of its value without a slope; that a tolerance was not reached. An exact measure
    below 1e-4, or below the tolerance if there is one, is well. A curve that rests far from zero may be the best that
    the model or the data allow, and is none of its business.
    """
    tolerance, wanted = run.spec.get("tolerance"), run.spec.get("steps", run.steps)
    if tolerance is not None and within(tolerance, run.measures or ())(run.curves, run.steps):
        return _reached(run, tolerance) if run.steps < wanted else None
    if run.steps < wanted:
        return f"Ended after {run.steps} of {wanted} steps."
    if (said := _no_number(run) or _never_taken(run)) is not None:
        return said
    moving = _moving(run)
    if tolerance is None:
        return None if moving is None else f"Not converged: {moving}"
    return f"Not within the tolerance {tolerance:g} after {run.steps} steps" + (f": {moving}" if moving else ".")


def _reached(run: Result, tolerance: float) -> str:
    where = f"Stopped at step {run.steps}"
    if (measure := goal(run.measures or (), run.curves)) is not None:
        value = float(run.curves[measure.name][:, -1].max())
        return f"{where}: {_said(measure, value)} is below {tolerance:g}."
    found = settled(run.curves["loss"], run.steps)
    assert found is not None
    seed = int(np.argmax(np.abs(found.value) + 2 * found.error))
    return (
        f"{where}: the loss changes by {_change(found.value[seed], found.error[seed])} a step, within ±{tolerance:g}."
    )


def _no_number(run: Result) -> str | None:
    """Of the first measure that ends as NaN, which is to say that what it measures does not exist."""
    for measure in run.measures or ():
        if (curve := run.curves.get(measure.name)) is not None and (lost := np.isnan(curve[:, -1])).any():
            where = _of_seed(run, int(lost.argmax()))
            return f"{label_of(measure._replace(unit=''))}{where} is not a number in the end; try more --steps."
    return None


def _never_taken(run: Result) -> str | None:
    """Of a seed whose every step was rejected, unless it had nowhere to go."""
    taken = run.curves.get("accepted")
    if taken is None or not run.steps:
        return None
    judge, curve = main_curve(run)
    idle = (np.nansum(taken, axis=1) == 0) & ~_well(run, judge, curve[:, -1])
    if not idle.any():
        return None
    advice = _advice(run, {"damping": "more --damping", "learning_rate": "a smaller --learning-rate"}, "another --seed")
    return f"None of the {run.steps} steps{_of_seed(run, int(idle.argmax()))} was accepted; try {advice}."


def _well(run: Result, judge: Measure, values: Float[np.ndarray, " seeds"]) -> Bool[np.ndarray, " seeds"]:
    bound = run.spec.get("tolerance") or _GOOD
    return (values < bound) if judge.exact else np.zeros(values.shape, bool)


def _moving(run: Result) -> str | None:
    """Of the first seed that still moves."""
    judge, curve = main_curve(run)
    if (end := _end(run, curve)) is None:
        return None
    sign = 1.0 if judge.better == "lower" else -1.0
    certain = np.abs(end.slope.value) > _ERRORS * end.slope.error
    ahead, scale = np.abs(end.slope.value) * run.steps, np.abs(end.last)
    well = _well(run, judge, end.last)
    matters = ahead > (_SHARE * scale if judge.exact else _GAIN * sign * (end.first - end.last))
    improves = certain & matters & (sign * end.slope.value < 0) & ~well
    worsens = certain & matters & (sign * end.slope.value > 0) & ~well & judge.exact
    swings = (end.most - end.least > _SHARE * end.most) & ~well & judge.exact
    lost = sign * ((end.least if judge.better == "lower" else end.most) - end.first)
    worse = ((lost > end.most - end.least) | (lost > np.abs(end.first))) & ~well  # what diverges never rests
    for found, kind in ((improves, "improves"), (worsens, "worsens"), (worse, "worse"), (swings, "swings")):
        if found.any():
            return _sentence(run, judge, end, int(found.argmax()), kind)
    return None


def _end(run: Result, curve: Float[np.ndarray, "seeds rows"]) -> _End | None:
    recorded = np.flatnonzero(~np.isnan(curve).any(axis=0))
    count = max(_ROWS, int(np.sum(recorded >= 0.9 * run.steps)))
    rows = recorded[-count:]
    if len(rows) < _ROWS:
        return None
    last = curve[:, rows]
    found = slope(last, rows.astype(float))
    later = last[:, rows > 0]  # a fall from the start is no swing
    return _End(int(rows[-1] - rows[0]), last[:, -1], found, later.min(axis=1), later.max(axis=1), curve[:, 0])


def _sentence(run: Result, judge: Measure, end: _End, seed: int, kind: str) -> str:
    value = _said(judge, float(end.last[seed])) + _of_seed(run, seed)
    steady = _advice(run, _STEADY, "another --optimizer")
    if kind == "worse":
        return f"{value} is worse than the {end.first[seed]:.2g} of the start; try {steady}."
    if kind == "swings":
        ends = f"between {end.least[seed]:.2g} and {end.most[seed]:.2g}"
        return f"{value} swings {ends} over the last {end.steps} steps; try {steady}."
    verb = "falls" if end.slope.value[seed] < 0 else "rises"
    change = _change(abs(end.slope.value[seed]), end.slope.error[seed])
    advice = steady if kind == "worsens" else _advice(run, {}, "more --steps")
    return f"{value} still {verb} by {change} a step over the last {end.steps}; try {advice}."


def _advice(run: Result, options: dict[str, str], otherwise: str) -> str:
    """What to try: the options that the run has, and something else."""
    known = [words for name, words in options.items() if run.spec.get(name) is not None]
    return " or ".join(filter(None, (", ".join(known), otherwise)))


def _said(measure: Measure, value: float) -> str:
    return f"{label_of(measure._replace(unit=''))} {value:.2g}" + (f" {measure.unit}" if measure.unit else "")


def _change(value: float, error: float) -> str:
    return f"{value:.2g} ± {error:.1g}"


def _of_seed(run: Result, seed: int) -> str:
    return f" of seed {run.spec.get('seed', 0) + seed}" if run.seeds > 1 else ""
