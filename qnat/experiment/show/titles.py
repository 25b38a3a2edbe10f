"""What stands above a figure."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import RefusedError
from ..registry import find_spec
from ..store.result import Result
from .lines import symbol_of

_LONGEST = 36


def headline(runs: Sequence[Result]) -> list[str]:
    """The task, the words that its spec counts for a title, the seeds; what differs between the runs is left out."""
    specs = [run.spec for run in runs]
    words = [name for name in told(specs[0]) if specs[0].get(name) is not None and specs[0][name] is not False]
    shared = [name for name in words if all(spec.get(name) == specs[0][name] for spec in specs)]
    said = [", ".join(dict.fromkeys(str(spec["task"]) for spec in specs)), *(_word(n, specs[0][n]) for n in shared)]
    seeds = {seed for run in runs if (seed := _seeds(run))}
    return [*said, *(seeds if len(seeds) == 1 else ())]


def told(spec: Mapping[str, Any]) -> Sequence[str]:
    """The words for the title of a run; none if its task is not installed, or was made by a program."""
    if "problem" in spec:
        return ()
    try:
        return find_spec(str(spec["task"])).titled
    except (RefusedError, AttributeError):  # of a package made before there were titles
        return ()


def _word(name: str, value: str | float) -> str:
    if isinstance(value, str):
        text = pathlib.PurePath(value).name
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return name if value is True else f"{symbol_of(name)} = {value:.6g}"


def _seeds(run: Result) -> str:
    first = run.spec.get("seed")
    if first is None:
        return ""
    return f"seed {first}" if run.seeds == 1 else f"seeds {first}–{first + run.seeds - 1}"
