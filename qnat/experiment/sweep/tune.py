"""Learning rates, each chosen by trials on a seed that the sweep does not use."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..show.cost import decades, main_curve, prices
from ..store.files import RATE
from ..store.result import Result
from ..words.spec import Rung
from .plan import trial, tuning_seed

REACH = 4
"""Half decades that a search may go from the default: a factor of 100."""


class Score(NamedTuple):
    """How bad a trial is: of two, the one that misses fewer decades, then the cheaper, then the closer, is better.

    Attributes:
        missed: decades of the main curve that were not reached, inf if the run failed. gradient_evaluations: up to the
            last one that was. final: the last value of the main curve, with a minus where higher is better.
    """

    missed: float
    gradient_evaluations: float
    final: float


def score(run: Result | None) -> Score:
    """The score of a trial; None is one that failed."""
    if run is None:
        return Score(math.inf, math.inf, math.inf)
    spent = [float(prices(run, threshold)["gradient_evaluations"][0]) for threshold in decades(run)]
    reached = [price for price in spent if price < math.inf]
    judge, curve = main_curve(run)
    final = float(curve[0, -1]) * (1 if judge.better == "lower" else -1)
    return Score(len(spent) - len(reached), max(reached, default=0.0), final)


def tune_rates(rungs: Sequence[Rung], attempt: Callable[[Rung], Result | None]) -> list[Rung]:
    """The rungs with tuned learning rates; one whose learning rate is None stays as it is.

    The search starts with the default and half a decade to either side, and goes on as long as the best is at an end,
    at most REACH half decades away. Equal scores choose the smaller rate.

    Args:
        rungs: of a plan. attempt: runs a trial; None if it failed.
    """
    seed = tuning_seed(rungs)
    found: dict[str, float] = {}
    chosen = []
    for rung in rungs:
        if getattr(rung.spec, RATE) is None:
            chosen.append(rung)
            continue
        group = trial(rung, seed, 0).folder
        if group not in found:
            found[group] = _search(rung, seed, attempt)
        chosen.append(rung._replace(spec=rung.spec.replaced(**{RATE: found[group]})))
    return chosen


def _search(rung: Rung, seed: int, attempt: Callable[[Rung], Result | None]) -> float:
    scores: dict[int, Score] = {}
    ahead = [0, -1, 1]
    while ahead:
        for power in ahead:
            scores[power] = score(attempt(trial(rung, seed, power)))
        best = min(sorted(scores), key=lambda power: scores[power])
        outward = best + (1 if best > 0 else -1)
        ahead = [outward] if best and outward not in scores and abs(outward) <= REACH else []
    return float(getattr(trial(rung, seed, best).spec, RATE))
