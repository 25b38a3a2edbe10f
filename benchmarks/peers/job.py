"""What a system hands to the worker."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Job(NamedTuple):
    """One piece of work, ready to be repeated.

    Attributes:
        run: does it once and returns when the result is there.
        numbers: what the result of another system must agree in; computed outside the timing.
        facts: anything measured while the job was made.
    """

    run: Callable[[], Any]
    numbers: Callable[[Any], dict[str, float]]
    facts: dict[str, float] = {}  # noqa: RUF012 - never changed
