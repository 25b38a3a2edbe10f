"""Numbers that are refused before anything is computed: no whole ones, too many for the memory or for the day."""

import math
import operator
from typing import Any

from .errors import RefusedError
from .reading import present_memory, shown


def check_whole(**numbers: tuple[Any, int]) -> None:
    """Raises ValueError unless each value is a whole number of at least the one beside it."""
    for name, (value, least) in numbers.items():
        if not _is_whole(value) or value < least:
            raise ValueError(f"{name} is {shown(repr(value), 60)}; it must be a whole number of at least {least}.")


def _is_whole(value: Any) -> bool:
    try:
        return operator.index(value) == value and not isinstance(value, bool)
    except TypeError:
        return False


def check_draws(width: int, **draws: Any) -> None:
    """Refuses a count of draws that is none, or takes more memory than there is: so many numbers a draw."""
    check_whole(**{name: (value, 1) for name, value in draws.items()})
    for name, value in draws.items():
        bits = math.log2(8 * width) + math.log2(value)
        check_memory(bits, f"{name} = {shown(value, 60)}", "draw fewer at a time")


def check_memory(bits: float, what: str, instead: str) -> None:
    """Refuses what needs more memory than this machine has: 2^bits bytes, a power because n has no bound."""
    if bits > math.log2(present := present_memory()):
        has = f"{present / 2**30:.3g} GB"
        raise RefusedError(f"{shown(what)} needs {gigabytes(bits)}, and this machine has {has}; {instead}.")


def gigabytes(bits: float) -> str:
    """2^bits bytes in words."""
    return f"about {_power((bits - 30) * math.log10(2))} GB"


def check_time(count: int, seconds: float, what: str, instead: str, *, most: float = 600.0) -> None:
    """Refuses what takes more than `most` seconds: `count` times `seconds`, a whole number because it has no bound."""
    power = math.log10(max(count, 1)) + math.log10(seconds)
    if power > math.log10(most):
        raise RefusedError(f"{shown(what)} would take about {_power(power - math.log10(3600))} hours; {instead}.")


def _power(power: float) -> str:
    """10^power in few digits."""
    return f"{10.0**power:.3g}" if power < 300 else f"10^{power:.0f}" if power < 1e15 else f"10^{power:.3g}"
