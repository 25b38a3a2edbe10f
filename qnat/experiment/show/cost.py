"""What a run took to become good."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..measures import Measure
from ..store.result import Result

DECADES = (1e-1, 1e-2, 1e-3)
"""What a run is asked to get below where its measure is exact."""


class Spread(NamedTuple):
    """A price over seeds.

    Attributes:
        median: a seed that never gets there counts as infinite; None is an infinite median.
        least, most: of the seeds that get there; None if none does.
    """

    median: float | None
    least: float | None
    most: float | None


def main_curve(run: Result) -> tuple[Measure, Float[np.ndarray, "seeds rows"]]:
    """What tells how good a run is, and its values: the first measure that was recorded, or the loss."""
    return run.judge, run.curves[run.judge.name]


def others(run: Result) -> list[Measure]:
    """The measures that were recorded beside the one that judges."""
    return [one for one in run.measures or () if one.name in run.curves and one != run.judge]


def beside(run: Result) -> list[Measure]:
    """Those of the others that are exact, which may say that the main curve is not all."""
    return [one for one in others(run) if one.exact]


def label_of(measure: Measure) -> str:
    """A curve in words, with its unit if it has one."""
    return measure.name.replace("_", " ") + (f" ({measure.unit})" if measure.unit else "")


def decades(run: Result) -> tuple[float, ...]:
    """The thresholds that mean something for the main curve: none if its zero is anywhere."""
    return DECADES if run.judge.exact else ()


def costs(run: Result) -> dict[str, Float[np.ndarray, "seeds rows"]]:
    """What was spent before each row: steps, gradient_evaluations, what the task says that a step costs, seconds.

    A gradient evaluation is one of the loss a step, or one that the geometry took (curve `model_gradients`). The costs
    of the task are summed where they were recorded. Seconds are those of one seed: steps times the mean time of a step,
    evaluations included, compiling and writing not; the seeds of a run take turns.
    """
    steps = np.broadcast_to(np.arange(run.steps + 1.0), (run.seeds, run.steps + 1))
    found = {"steps": steps, "gradient_evaluations": steps + _spent(run, "model_gradients")}
    found |= {name: _spent(run, name) for name in run.costs if name in run.curves}
    return found | {"seconds": steps * run.seconds / max(1, run.steps * run.seeds)}


def totals(run: Result) -> dict[str, float]:
    """What the task says that steps cost, summed over steps and seeds; gradients beyond one a step as well."""
    spent = {name: float(each[:, -1].sum()) for name, each in costs(run).items() if name not in ("steps", "seconds")}
    if spent["gradient_evaluations"] == run.steps * run.seeds:
        del spent["gradient_evaluations"]
    return spent


def _spent(run: Result, name: str) -> Float[np.ndarray, "seeds rows"]:
    """The sum of a curve over the steps before each row; a step without a value took what the one before it took."""
    each = run.curves.get(name, np.zeros((run.seeds, run.steps + 1)))[:, :-1]
    known = np.maximum.accumulate(np.where(np.isnan(each), 0, np.arange(run.steps)), axis=1)
    total = np.cumsum(np.take_along_axis(each, known, axis=1), axis=1)
    return np.concatenate([np.zeros((run.seeds, 1)), total], axis=1)


def prices(run: Result, threshold: float) -> dict[str, Float[np.ndarray, " seeds"]]:
    """Every cost of every seed up to the first recorded row beyond a threshold of the main curve; inf if there is none.

    Args:
        run: what was recorded.
        threshold: in the unit of the main curve; beyond it is below, or above if that is better.
    """
    judge, curve = main_curve(run)
    beyond = curve < threshold if judge.better == "lower" else curve > threshold
    first = beyond.argmax(axis=1)[:, None]
    return {
        name: np.where(beyond.any(axis=1), np.take_along_axis(spent, first, axis=1)[:, 0], np.inf)
        for name, spent in costs(run).items()
    }


def spread(values: Float[np.ndarray, " seeds"]) -> Spread:
    """The spread of a price."""
    there = values[np.isfinite(values)]
    median = float(np.median(values))
    ends = (float(there.min()), float(there.max())) if there.size else (None, None)
    return Spread(median if np.isfinite(median) else None, *ends)
