"""What a run took to become good."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..store.result import Run

DECADES = (1e-1, 1e-2, 1e-3)
"""Relative entropies, in nats, that a run is asked to get below."""

_JUDGES = ("relative_entropy", "test_negative_log_likelihood", "test_loss", "loss")
"""Curves that tell how good a run is, the first that there is; all in nats where they have a unit."""

TRUE = "true_relative_entropy"
"""The curve of the error against the true state, where the loss knows another one."""


class Spread(NamedTuple):
    """A price over seeds.

    Attributes:
        median: a seed that never gets there counts as infinite; None is an infinite median.
        least, most: of the seeds that get there; None if none does.
    """

    median: float | None
    least: float | None
    most: float | None


def main_curve(run: Run) -> tuple[str, Float[np.ndarray, "seeds rows"]]:
    """The name and values of the curve that tells how good a run is."""
    name = next(name for name in _JUDGES if name in run.curves)
    return name, run.curves[name]


def label_of(name: str) -> str:
    """A curve in words, with its unit where it has one for sure."""
    nats = name.endswith(("relative_entropy", "likelihood"))
    return name.replace("_", " ") + (" (nats)" if nats else "")


def decades(run: Run) -> tuple[float, ...]:
    """The thresholds that mean something for the main curve: none for a loss, whose zero is anywhere."""
    return DECADES if main_curve(run)[0] == "relative_entropy" else ()


def costs(run: Run) -> dict[str, Float[np.ndarray, "seeds rows"]]:
    """What was spent before each row: steps, gradient_evaluations, shots where they were recorded, seconds.

    A gradient evaluation is one of the loss a step, or one that the geometry took (curve `model_gradients`). The curve
    `shots` says how many a step took. Seconds are those of one seed: steps times the mean time of a step, evaluations
    included, compiling and writing not; the seeds of a run take turns.
    """
    steps = np.broadcast_to(np.arange(run.steps + 1.0), (run.seeds, run.steps + 1))
    found = {"steps": steps, "gradient_evaluations": steps + _spent(run, "model_gradients")}
    if "shots" in run.curves:
        found["shots"] = _spent(run, "shots")
    return found | {"seconds": steps * run.seconds / max(1, run.steps * run.seeds)}


def _spent(run: Run, name: str) -> Float[np.ndarray, "seeds rows"]:
    """The sum of a curve over the steps before each row; a step without a value took what the one before it took."""
    each = run.curves.get(name, np.zeros((run.seeds, run.steps + 1)))[:, :-1]
    known = np.maximum.accumulate(np.where(np.isnan(each), 0, np.arange(run.steps)), axis=1)
    total = np.cumsum(np.take_along_axis(each, known, axis=1), axis=1)
    return np.concatenate([np.zeros((run.seeds, 1)), total], axis=1)


def prices(run: Run, threshold: float) -> dict[str, Float[np.ndarray, " seeds"]]:
    """Every cost of every seed up to the first recorded row below a threshold of the main curve; inf if there is none.

    Args:
        run: what was recorded. threshold: in the units of the main curve (nats).
    """
    below = main_curve(run)[1] < threshold
    first = below.argmax(axis=1)[:, None]
    return {
        name: np.where(below.any(axis=1), np.take_along_axis(spent, first, axis=1)[:, 0], np.inf)
        for name, spent in costs(run).items()
    }


def spread(values: Float[np.ndarray, " seeds"]) -> Spread:
    """The spread of a price."""
    there = values[np.isfinite(values)]
    median = float(np.median(values))
    ends = (float(there.min()), float(there.max())) if there.size else (None, None)
    return Spread(median if np.isfinite(median) else None, *ends)
