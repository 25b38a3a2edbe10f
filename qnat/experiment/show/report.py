"""What is printed at the end."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..console import literal, say
from ..measures import Measure
from ..store.files import FIGURE, OBSERVABLES, RATE, TABLE, TUNING, figure_files, jsonable
from ..store.result import SECONDS, Result
from .block import print_estimates, print_values, spent_words
from .compare import comparable, figure_names, ladder_of, load_runs
from .cost import decades, main_curve, others, prices, spread, totals
from .lines import Entry, entries_of
from .tables import NEVER, beyond, cell, count, duration, measure_words, middle, print_table, reaching
from .titles import headline
from .verdict import verdict

_REMARKS = 4
"""Most runs of a sweep of which it is said how they ended."""
_EXPLAINED = """Medians over seeds (least–most of those that get there); a seed that never gets there is infinite.
Seconds are steps times the mean time of a step of one seed; compiling and writing come apart."""


def run_document(run: Result) -> dict[str, Any]:
    """A run as one JSON object; with several seeds each measured or exact value is a list."""
    exact = {name: [value] * run.seeds if run.seeds > 1 else value for name, value in run.known.items()}
    times = {"steps": run.steps} | {name: run.spent[part] for part, name in SECONDS.items()}
    return {**run.final, **exact, **times, "out": None if run.path is None else str(run.path)}


def print_json(run: Result) -> None:
    """One JSON object on standard output."""
    say(json.dumps(jsonable(run_document(run)), allow_nan=False))


def print_run(run: Result, account: str = "") -> None:
    """What was run, what came out of it, what it took, and where it is kept."""
    say(f"{', '.join(headline([run]))}\n")
    print_values(run)
    for name in run.tables:
        print_estimates(run, name)
    if (remark := verdict(run)) is not None:
        say(f"\n{remark}")
    took = [f"{run.steps} steps" + (f" of {run.seeds} seeds" if run.seeds > 1 else "")]
    took += [spent_words(run, name, total) for name, total in totals(run).items()]
    say(f"\n{', '.join(took)} in {duration(run.seconds)} s" + (f"; {account}" if account else ""))
    if run.path is not None:
        say(literal(next(iter(figure_files(run.path, FIGURE)), run.path)))


def print_sweep(table: dict[str, Any], out: pathlib.Path, account: str, *, as_json: bool) -> None:
    """The table of a sweep, where the time went if that is told, and where it is kept."""
    if as_json:
        say(json.dumps(jsonable(table | {"out": str(out)}), allow_nan=False))
        return
    if TUNING in table:
        seed = table[TUNING]["seed"]
        say(f"Learning rates are tuned on seed {seed}, which no run below uses; {TABLE} lists the trials.\n")
    finished = any(row["status"] == "finished" for row in table["runs"])
    if finished:
        found = load_runs([out])
        say(f"{', '.join(headline([entry.run for entry in found]))}\n")
        for entries in comparable(found):
            _print_runs(entries, decades(entries[0].run))
        _print_remarks(found)
    drawn = [figure_files(out, name)[:1] for name in (FIGURE, OBSERVABLES) if finished]
    kept = [out / TABLE, *(file for files in drawn for file in files)]
    say((f"\n{account}\n\n" if account else "\n") + "\n".join(map(literal, kept)))


def _print_remarks(entries: Sequence[Entry]) -> None:
    """How runs of a sweep ended that did not end well, or early."""
    said = [(entry.run.path, remark) for entry in entries if (remark := verdict(entry.run)) is not None]
    for path, remark in said[:_REMARKS]:
        say(f"\n{literal('' if path is None else path.name)}: {remark}")
    if len(said) > _REMARKS:
        say(
            f"\n{len(said) - _REMARKS} more runs of {len(entries)} ended early or did not converge; qnat show says how."
        )


def print_comparison(
    entries: Sequence[Entry],
    figures: Sequence[pathlib.Path],
    *,
    thresholds: Sequence[float] | None = None,
    as_json: bool,
) -> None:
    """Tables and figure of finished runs; one after the other for those that different measures judge.

    Args:
        entries: the runs. figures: where it is drawn, in every format; a second one beside it, called NAME-2, ….
        thresholds: of the main curve; None takes its decades.
        as_json: print one JSON object instead of the tables.
    """
    from .comparison import draw_comparison
    from .style import save_figure

    groups = comparable(entries)
    documents: list[dict[str, Any]] = []
    names = zip(*(figure_names(groups, figure) for figure in figures), strict=True)
    for group, files in zip(groups, names, strict=True):
        levels = decades(group[0].run) if thresholds is None else thresholds
        drawn = draw_comparison(entries_of(group, ladder_of(group[0].run)), thresholds=levels)
        for file in files:
            save_figure(drawn, file)
        if not as_json:
            _print_group(group, levels, files[0], first=not documents)
        documents += [_document(entry, levels) | {"figure": str(files[0])} for entry in group]
    if as_json:
        say(json.dumps(jsonable({"runs": documents, "figure": str(figures[0])}), allow_nan=False))


def _print_group(entries: Sequence[Entry], levels: Sequence[float], figure: pathlib.Path, *, first: bool) -> None:
    """The tables of runs that one measure judges."""
    if not first:
        say("")
    _print_runs(entries)
    for threshold in levels:
        _print_prices(entries, threshold)
    if levels:
        say(f"\n{_EXPLAINED}")
    say(f"\n{literal(figure)}")


def _document(entry: Entry, thresholds: Sequence[float]) -> dict[str, Any]:
    """A run of a comparison as a JSON object; null stands for what is never reached."""
    reached = []
    for threshold in thresholds:
        price = prices(entry.run, threshold)
        spreads = {name: spread(values)._asdict() for name, values in price.items()}
        reached.append({"threshold": threshold, "seeds": reaching(price["steps"]), **spreads})
    names = {**entry.labels, "start": entry.start or "cold", "seeds": entry.run.seeds}
    names |= {"measure": entry.run.judge.name} | ({"measure_of": entry.run.judge.of} if entry.run.judge.of else {})
    return names | run_document(entry.run) | {"reached": reached}


def _print_runs(entries: Sequence[Entry], thresholds: Sequence[float] = ()) -> None:
    """A table of the options that differ, how good each run is, and what it took."""
    judge = entries[0].run.judge
    until = f", and steps until it is {beyond(judge)}" if thresholds else ""
    what = f" ({judge.of})" if judge.of else ""
    title = f"{measure_words(judge)}{what} at the first and the last step{until}"
    tells_rate = RATE not in entries[0].labels and any(entry.run.spec.get(RATE) is not None for entry in entries)
    more = list(dict.fromkeys(other for entry in entries for other in others(entry.run)))
    columns = ["first", "last", *([] if judge.exact else ["best"])]
    columns += [*map(measure_words, more), *(f"{t:g}" for t in thresholds)]
    columns += [*(["rate"] if tells_rate else []), "steps", "seconds"]
    rows = []
    for entry in entries:
        curve, rate = main_curve(entry.run)[1], entry.run.spec.get(RATE)
        ends = [middle(curve[:, 0]), middle(curve[:, -1])]
        ends += [] if judge.exact else [middle(_best(curve, judge))]
        known = entry.run.curves
        ends += [middle(known[other.name][:, -1]) if other.name in known else NEVER for other in more]
        reached = [count(spread(prices(entry.run, t)["steps"]).median) for t in thresholds]
        rates = [NEVER if rate is None else f"{rate:g}"] if tells_rate else []
        rows.append([*ends, *reached, *rates, str(entry.run.steps), duration(entry.run.seconds)])
    print_table(title, entries, columns, rows)


def _best(curve: np.ndarray, judge: Measure) -> np.ndarray:
    """The best recorded value of every seed."""
    return np.nanmin(curve, axis=1) if judge.better == "lower" else np.nanmax(curve, axis=1)


def _print_prices(entries: Sequence[Entry], threshold: float) -> None:
    """A table of what each run took to get below a threshold."""
    judge = entries[0].run.judge
    price = [prices(entry.run, threshold) for entry in entries]
    names = list(dict.fromkeys(name for each in price for name in each))
    several = any(entry.run.seeds > 1 for entry in entries)
    rows = []
    for each in price:
        cells = [cell(spread(each[name]), several) if name in each else "" for name in names]
        rows.append(([f"{reaching(each['steps'])}/{each['steps'].size}"] if several else []) + cells)
    columns = [*(["seeds"] if several else []), *(name.replace("_evaluations", "s") for name in names)]
    print_table(f"\n{measure_words(judge)} {beyond(judge)} {threshold:g}", entries, columns, rows)
