"""What a sweep will run, decided and checked before anything heavy is loaded."""

import hashlib
import itertools
import math
import os
import pathlib
import urllib.parse
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..bounds import check_time
from ..errors import RefusedError
from ..store.files import FIGURE, OBSERVABLES, RATE, RUN, TABLE, TUNING, read_run, read_table
from ..store.opened import check_regular
from ..store.place import inside, is_taken, standing
from ..words.spec import Rung, RunSpec
from ..words.wording import build

_DAY = 86400.0
SCALED, PLAIN = "scaled", "plain"


def plan(spec: type[RunSpec], values: Mapping[str, Sequence[Any]], warm_start: str | None) -> list[Rung]:
    """Every combination of the listed values, in an order in which each run comes after the one that it starts from.

    An option that a combination does not use is left out of it, and combinations that then agree are one run: metrics
    beside Adam give one run of Adam.

    Args:
        spec: the class.
        values: a list of words for each option.
        warm_start: "scaled", "plain", both with a comma, or None.

    Raises:
        RefusedError: a combination is not a legal spec, none uses an option, or the ladder has no second rung.
    """
    if empty := [name for name, words in values.items() if not words]:
        raise RefusedError(f"{empty[0]} lists nothing; give at least one value.")
    count = math.prod(map(len, values.values()))
    check_time(count, 1.0, f"To run {count} combinations of values, a second each,", "list fewer values", most=_DAY)
    starts = _starts(spec, values, warm_start)
    ladder = spec.ladder if starts else None
    swept = sorted((name for name, words in values.items() if len(words) > 1), key=lambda name: name != spec.ladder)
    others = [name for name in values if name != ladder]
    climbs: list[dict[str, Any]] = [{}] if ladder is None else [{ladder: value} for value in values[ladder]]
    rungs: dict[str, Rung] = {}
    used: dict[str, set[Any]] = {name: set() for name in values}
    why: dict[str, str] = {}
    for combination in itertools.product(*(values[name] for name in others)):
        chosen = dict(zip(others, combination, strict=True))
        for start in starts or (None,):
            previous: str | None = None
            for climb in climbs:
                why |= (unused := spec.unused(chosen | climb))
                one = build(spec, {name: word for name, word in (chosen | climb).items() if name not in unused})
                said = one.words()
                for name in values.keys() - unused.keys():
                    used[name].add(said[name])
                labels = {name: said.get(name) for name in swept}
                how = None if previous is None else start
                folder = _folder(spec, labels, how)
                rungs.setdefault(folder, Rung(folder, one, labels, previous, how))  # the first rung is shared
                previous = folder if ladder else None
    for name, words in values.items():
        if not used[name]:
            raise RefusedError(why[name])
        if len(used[name]) < len(words):
            raise RefusedError(f"{name} lists {', '.join(map(str, words))}; give different values.")
    return [each for rung in rungs.values() for each in _spread(rung)]


def _spread(rung: Rung) -> list[Rung]:
    """The runs of a spec that describes several, told apart by their folders."""
    several = rung.spec.rungs()
    if several is None:
        return [rung]
    prefix = f"{rung.folder}_" if rung.swept else ""
    return [
        one._replace(
            folder=prefix + one.folder, swept=rung.swept | one.swept, previous=one.previous and prefix + one.previous
        )
        for one in several
    ]


def _starts(spec: type[RunSpec], values: Mapping[str, Sequence[Any]], warm_start: str | None) -> tuple[str, ...]:
    if warm_start is None:
        return ()
    words = warm_start.split(",")
    if unknown := [word for word in words if word not in (SCALED, PLAIN)]:
        raise RefusedError(f"warm-start is '{unknown[0]}'; it must be scaled, plain, or both with a comma.")
    if spec.ladder is None or len(values.get(spec.ladder, ())) < 2:
        raise RefusedError(f"warm-start needs a ladder to climb; give --{spec.ladder} several values, or leave it out.")
    return tuple(dict.fromkeys(words))


_PLAIN_SIGNS = ".:,+-_@"
"""What may stand in the name of a folder beside letters and digits."""
_LONGEST = 200
"""Bytes of a name that are shown; file systems take 255."""


def _folder(spec: type[RunSpec], labels: Mapping[str, Any], start: str | None) -> str:
    """A name that no other values have: what else than plain signs stands in a value is escaped as in an address."""
    # "a=x_learning" before "rate=1" would read as "a=x" before "learning_rate=1"
    heads = {name[:place] for name in spec.options() for place, sign in enumerate(name) if sign == "_"}
    parts = []
    for name, value in labels.items():
        if value is not None:
            text = urllib.parse.quote(str(value), _PLAIN_SIGNS, errors="surrogatepass").replace("~", "%7E")
            ends = [head for head in heads if text.endswith(f"_{head}")]
            parts.append(f"{name}={text[: -len(ends[0]) - 1]}%5F{ends[0]}" if ends else f"{name}={text}")
    whole = "_".join([*parts, *([] if start is None else [f"start={start}"])]) or "run"
    return whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}~{hashlib.sha256(whole.encode()).hexdigest()[:16]}"


def check_tunable(spec: type[RunSpec], values: Mapping[str, Sequence[Any]]) -> None:
    """Refuses to tune a learning rate that does not exist, that was given, or that belongs to runs in a chain."""
    if spec.rungs is not RunSpec.rungs:
        raise RefusedError(f"The runs of the task '{spec.task_name}' depend on each other; leave --tune out.")
    if RATE not in spec.options():
        raise RefusedError(f"The task '{spec.task_name}' has no {RATE} to tune; leave --tune out.")
    if RATE in values:
        raise RefusedError(f"{RATE} is given, and --tune chooses it; leave one of them out.")


def tuning_seed(rungs: Sequence[Rung]) -> int:
    """1000, or the next seed that no run of the sweep uses."""
    taken = [range(rung.spec.seed, rung.spec.seed + rung.spec.seeds) for rung in rungs]
    return next(seed for seed in itertools.count(1000) if not any(seed in seeds for seeds in taken))


def trial(rung: Rung, seed: int, power: int) -> Rung:
    """A run of one seed at the default learning rate times 10^(power/2), rounded to two digits, started cold.

    Runs of the sweep that differ only in their seeds, or in how they start, have the same trials.
    """
    rate = float(f"{getattr(rung.spec, RATE) * 10 ** (power / 2):.2g}")
    labels = {name: value for name, value in rung.swept.items() if name not in ("seed", "seeds")} | {RATE: rate}
    spec = rung.spec.replaced(**{"seed": seed, "seeds": 1, RATE: rate})
    return Rung(f"{TUNING}/{_folder(type(spec), labels, None)}", spec, labels, None, None)


def sweep_standing(
    path: pathlib.Path, rungs: Sequence[Rung], *, tune: bool, resume: bool, force: bool
) -> frozenset[str]:
    """The folders of the runs that have finished; refuses a folder that this sweep may not write. Reads only."""
    if resume and force:
        raise RefusedError("resume and force exclude each other: continue the sweep or replace it.")
    if not path.is_symlink() and os.path.lexists(path / RUN):
        raise RefusedError(f"{path} is the folder of a single run; give another one for the sweep.")
    if not is_taken(path, "sweep", TABLE):  # which refuses links
        return frozenset()
    table, ours = read_table(path), rungs[0].spec.task_name
    if table["task"] != ours:
        raise RefusedError(f"{path} holds a sweep of the task '{table['task']}', not '{ours}'; give another folder.")
    if not (resume or force):
        raise RefusedError(f"{path} already holds a sweep; --resume continues it, --force replaces it.")
    for name in (TABLE, FIGURE, OBSERVABLES):
        check_regular(path / name)
    if resume:
        return _finished(path, rungs, tune=tune, tuned=TUNING in table)
    listed = folders_of(table)
    for folder in dict.fromkeys((*listed, *(rung.folder for rung in rungs))):
        place = inside(path, folder)
        standing(place, {}, resume=False, force=True)
        if folder not in listed and os.path.lexists(place / RUN):
            raise RefusedError(f"{place} holds a run that {path / TABLE} does not list; give another folder.")
    return frozenset()


def folders_of(table: Mapping[str, Any]) -> list[str]:
    """The folders of all runs of a sweep, its trials among them."""
    return [row["folder"] for row in (*table["runs"], *table.get(TUNING, {"runs": ()})["runs"])]


def check_data(rungs: Sequence[Rung], finished: Collection[str]) -> None:
    """Refuses data whose values do not suit the runs that have not finished."""
    for rung in rungs:
        if rung.folder not in finished:
            rung.spec.check_data()


def _finished(path: pathlib.Path, rungs: Sequence[Rung], *, tune: bool, tuned: bool) -> frozenset[str]:
    """The folders of finished runs; refuses to continue a sweep with other options."""
    if tuned != tune:
        held = "a tuned sweep; add --tune" if tuned else "a sweep that was not tuned; leave --tune out"
        raise RefusedError(f"{path} holds {held}, or give another folder.")
    seed, finished = tuning_seed(rungs), set()
    for rung in rungs:
        record = rung.spec.record()
        place = inside(path, rung.folder)
        if tune and os.path.lexists(place / RUN):
            record[RATE] = read_run(place)["spec"].get(RATE)  # the trials chose it
        if standing(place, record, resume=True, force=False) == "finished":
            finished.add(rung.folder)
        if tune and getattr(rung.spec, RATE) is not None:
            first = trial(rung, seed, 0)
            standing(inside(path, first.folder), first.spec.record(), resume=True, force=False)
    return frozenset(finished)
