"""Values that options of several parts have: their types, which judge words, and their descriptions."""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from ..reading import shown
from ..suggest import suggestion

COUNTS = 2**31
"""Steps of a run are counted in 32 bits."""
EXACT = 2**53
"""Up to here double precision counts singly."""
_LARGEST = 1e100

Rate = Annotated[float, Field(gt=0, description="learning rate")]
Precision = Annotated[
    Literal["double", "single"],
    Field(description="of all numbers: single takes half the memory, and losses have seven digits"),
]
METRICS = ("bkm", "sld", "wigner_yanase", "geometric", "harmonic")


def unsigned(value: Any) -> Any:
    """Negative zero as zero: 1/β has its sign."""
    return 0.0 if isinstance(value, float) and value == 0 else value


def check_finite(largest: float, what: str) -> None:
    """Refuses energies, or multiples of them, whose squares would overflow."""
    if not largest <= _LARGEST:
        raise ValueError(f"The {what} reach {largest:.3g}, and above {_LARGEST:.0e} they overflow; choose other units.")


def _metric(word: str | None) -> str | None:
    family, _, number = (word or "bkm").partition(":")
    order = _number(number)
    if word in (None, *METRICS) or (family == "wyd" and -1 <= order <= 2) or (family == "sandwiched" and order > 0):
        return word
    names = ", ".join(METRICS)
    what = f"'{shown(word, 60)}' is not a metric{suggestion(word, METRICS)}"
    raise ValueError(f"{what}; use {names}, wyd:p (-1 <= p <= 2) or sandwiched:a (a > 0).")


def _damping(word: Any) -> Any:
    if word != "adaptive" and not _number(word) >= 0:
        raise ValueError(f"{shown(repr(word), 60)} is not a damping; use adaptive, or a finite number of at least 0.")
    return word if word == "adaptive" else float(word)


def _number(word: Any) -> float:
    """The number that a word spells, NaN if none that is finite."""
    try:
        return number if math.isfinite(number := float(word)) else math.nan
    except (TypeError, ValueError, OverflowError):
        return math.nan


Metric = Annotated[str | None, AfterValidator(_metric), Field(description=f"{', '.join(METRICS)}, wyd:p, sandwiched:a")]
Adaptive = float | Literal["adaptive"]
Damping = Annotated[Adaptive, BeforeValidator(_damping), Field(description="added to the metric: adaptive or a number")]
Trust = Annotated[float | None, Field(gt=0, description="first trust radius, in the metric's length")]
