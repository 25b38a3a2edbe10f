"""What a sweep will run, decided and checked before anything heavy is loaded."""

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .errors import RefusedError
from .spec import RunSpec, build
from .store import RUN, is_taken, read_json, standing

TABLE = "table.json"
SCALED, PLAIN = "scaled", "plain"


class Rung(NamedTuple):
    """One run of a sweep.

    Attributes:
        folder: its name inside the folder of the sweep. spec: its spec.
        swept: the swept options and their values. previous: the folder to start from; None starts cold.
        start: how to start from it, "scaled" or "plain".
    """

    folder: str
    spec: RunSpec
    swept: dict[str, Any]
    previous: str | None
    start: str | None


def plan(spec: type[RunSpec], values: Mapping[str, Sequence[Any]], warm_start: str | None) -> list[Rung]:
    """Every combination of the listed values, in an order in which each run comes after the one that it starts from.

    Args:
        spec: the class.
        values: a list of words for each option.
        warm_start: "scaled", "plain", both with a comma, or None.

    Raises:
        RefusedError: a combination is not a legal spec, or the ladder has no second rung.
    """
    if empty := [name for name, words in values.items() if not words]:
        raise RefusedError(f"{empty[0]} lists nothing; give at least one value.")
    starts = _starts(spec, values, warm_start)
    ladder = spec.ladder if starts else None
    swept = [name for name, words in values.items() if len(words) > 1]
    others = [name for name in values if name != ladder]
    climbs: list[dict[str, Any]] = [{}] if ladder is None else [{ladder: value} for value in values[ladder]]
    rungs: dict[str, Rung] = {}
    for combination in itertools.product(*(values[name] for name in others)):
        chosen = dict(zip(others, combination, strict=True))
        for start in starts or (None,):
            previous: str | None = None
            for climb in climbs:
                one = build(spec, chosen | climb)
                labels = {name: getattr(one, name) for name in swept}
                how = None if previous is None else start
                folder = _folder(labels, how)
                rungs.setdefault(folder, Rung(folder, one, labels, previous, how))  # the first rung is shared
                previous = folder if ladder else None
    for name in swept:
        if len({rung.swept[name] for rung in rungs.values()}) < len(values[name]):
            raise RefusedError(f"{name} lists {', '.join(map(str, values[name]))}; give different values.")
    return list(rungs.values())


def _starts(spec: type[RunSpec], values: Mapping[str, Sequence[Any]], warm_start: str | None) -> tuple[str, ...]:
    if warm_start is None:
        return ()
    words = warm_start.split(",")
    if unknown := [word for word in words if word not in (SCALED, PLAIN)]:
        raise RefusedError(f"warm-start is '{unknown[0]}'; it must be scaled, plain, or both with a comma.")
    if spec.ladder is None or len(values.get(spec.ladder, ())) < 2:
        raise RefusedError(f"warm-start needs a ladder to climb; give --{spec.ladder} several values, or leave it out.")
    return tuple(dict.fromkeys(words))


def _folder(labels: Mapping[str, Any], start: str | None) -> str:
    parts = [f"{name}={str(value).replace('/', '-')}" for name, value in labels.items()]
    return "_".join([*parts, *([] if start is None else [f"start={start}"])]) or "run"


def sweep_standing(path: pathlib.Path, rungs: Sequence[Rung], *, resume: bool, force: bool) -> None:
    """Refuses a folder that this sweep may not write. Reads only."""
    if resume and force:
        raise RefusedError("resume and force exclude each other: continue the sweep or replace it.")
    if (path / RUN).exists():
        raise RefusedError(f"{path} is the folder of a single run; give another one for the sweep.")
    if not is_taken(path, "sweep", TABLE, (TABLE,)):
        return
    task, ours = read_json(path / TABLE, "task", "runs")["task"], rungs[0].spec.task_name
    if task != ours:
        raise RefusedError(f"{path} holds a sweep of the task '{task}', not '{ours}'; give another folder.")
    if not (resume or force):
        raise RefusedError(f"{path} already holds a sweep; --resume continues it, --force replaces it.")
    for rung in rungs if resume else ():
        standing(path / rung.folder, rung.spec.record(), resume=True, force=False)
