"""Words in, runs out.

Options are made from the fields of the task's spec, so names, defaults, ranges and help have one source. Nothing here
imports JAX before a run begins: lists, help and refusals answer at once.
"""

import argparse
import logging
import os
import pathlib
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from qnat.experiment.console import ready, say
from qnat.experiment.errors import NonFiniteError, RefusedError, missing
from qnat.experiment.registry import find_spec, stem, task_names
from qnat.experiment.stopwatch import account, in_words
from qnat.experiment.store.files import FIGURE, figure_files, read_run
from qnat.experiment.store.place import check_writable, next_free, standing
from qnat.experiment.sweep.plan import check_data, check_tunable, plan, sweep_standing
from qnat.experiment.words.options import values_of
from qnat.experiment.words.references import entries as references
from qnat.experiment.words.spec import Rung
from qnat.experiment.words.wording import build

from .comparing import compare
from .completion import script
from .folders import documents_of, finish, list_runs, say_progress, show_unfinished, table_of, to_finish
from .formats import formats_of
from .parser import parse
from .process import INTERRUPTED, complain, interruptible, precision_of, prepare_jax

if TYPE_CHECKING:
    from qnat.experiment.store.result import Result

_RUNS = pathlib.Path("runs")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `qnat`; returns the exit status: 0, 1 (a run failed), 2 (refused) or 130 (Ctrl-C)."""
    ready()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a home that cannot be written is no trouble
    os.environ["MPLBACKEND"] = "agg"  # figures are files; a name that matplotlib does not know would end the run
    try:
        return _command(list(sys.argv[1:] if arguments is None else arguments))
    except RefusedError as error:
        return complain(error, 2)
    except ModuleNotFoundError as error:
        return complain(missing(error), 2)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        return 1
    except (NonFiniteError, OSError) as error:
        return complain(error, 1)
    except KeyboardInterrupt as error:
        return complain(str(error) or "Stopped.", INTERRUPTED)


def _command(arguments: list[str]) -> int:
    handlers = {"list": _list, "show": _show, "finish": _finish, "completion": _completion}
    handlers |= {"run": _run, "sweep": _sweep, "compare": compare, "cite": _cite}
    chosen = parse(arguments)
    return handlers[chosen.command](chosen)


def _list(chosen: argparse.Namespace) -> int:
    if chosen.what == "runs":
        list_runs(chosen.folder)
        return 0
    for name in task_names():
        try:
            help_line = (find_spec(name).__doc__ or "").strip().splitlines()[0]
        except RefusedError as error:
            help_line = str(error)
        say(f"{name:12} {help_line}")
    return 0


def _run(chosen: argparse.Namespace) -> int:
    _check_place(chosen)
    formats = formats_of(chosen.format)
    spec = build(find_spec(chosen.task), values_of(chosen, find_spec(chosen.task)))
    if (rungs := spec.rungs()) is not None:
        return _train_all(chosen, rungs, stem(chosen.task), tune=False)
    found = chosen.out and standing(chosen.out, spec.record(), resume=chosen.resume, force=chosen.force)
    if found == "finished":
        from qnat.experiment.finished import Run

        run = Run.load(chosen.out)
        _draw_missing(run, chosen.out, formats)
    else:
        spec.check_data()
        out = chosen.out or next_free(_RUNS, stem(chosen.task))
        with interruptible(out, made=chosen.out is None):
            prepare_jax(spec)
            run = spec.run(out, resume=chosen.resume, force=chosen.force, formats=formats)
    return _print(chosen, run, whole=found in (None, "new"))


def _print(chosen: argparse.Namespace, run: "Result", *, whole: bool) -> int:
    """Prints a run and where its time went: that of this process where it made the whole run, else that of all."""
    from qnat.experiment.show.report import print_json, print_run

    if chosen.json:
        print_json(run)
    else:
        print_run(run, account() if whole else in_words(run.spent))
    return 0


def _show(chosen: argparse.Namespace) -> int:
    """Prints what a run or a sweep printed when it ended; of one that has not, how far it is."""
    if (table := table_of(chosen.run)) is not None:
        from qnat.experiment.show.report import print_sweep

        print_sweep(table, chosen.run, "", as_json=chosen.json)
        if not chosen.json:
            say_progress(table)
        return 0
    if read_run(chosen.run)["status"] != "finished":
        show_unfinished(chosen.run, as_json=chosen.json)
        return 0
    from qnat.experiment.show.compare import declared
    from qnat.experiment.store.result import Result

    run = declared([Result.load(chosen.run)])[0]
    return _print(chosen, run, whole=False)


def _finish(chosen: argparse.Namespace) -> int:
    """Makes what an interrupted run has come to its result."""
    spec = to_finish(chosen.run)
    spec.check_data()
    with interruptible(chosen.run, made=False):
        prepare_jax(spec)
        run = finish(spec, chosen.run)
    return _print(chosen, run, whole=False)


def _completion(chosen: argparse.Namespace) -> int:
    say(script(chosen.shell))
    return 0


def _draw_missing(run: "Result", path: pathlib.Path, formats: Collection[str]) -> None:
    """The figure of a finished run in formats in which it does not stand there yet."""
    if absent := [file for file in figure_files(path, FIGURE, formats) if not file.exists()]:
        from qnat.experiment.show.figure import draw_run

        for file in absent:
            draw_run(run, file)


def _sweep(chosen: argparse.Namespace) -> int:
    _check_place(chosen)
    spec = find_spec(chosen.task)
    values = values_of(chosen, spec, many=True)
    if chosen.tune:
        check_tunable(spec, values)
    rungs = plan(spec, values, getattr(chosen, "warm_start", None))
    return _train_all(chosen, rungs, f"{stem(chosen.task)}-sweep", tune=chosen.tune)


def _train_all(chosen: argparse.Namespace, rungs: Sequence[Rung], stem: str, *, tune: bool) -> int:
    """Trains every run in a folder of its own, inside one."""
    formats = formats_of(chosen.format)
    finished: Collection[str] = ()
    if chosen.out is not None:
        finished = sweep_standing(chosen.out, rungs, tune=tune, resume=chosen.resume, force=chosen.force)
    if len({precision_of(rung.spec) for rung in rungs}) > 1:
        raise RefusedError("precision is one for all runs of a process; sweep each precision in a folder of its own.")
    check_data(rungs, finished)
    out = chosen.out or next_free(_RUNS, stem)
    with interruptible(out, made=chosen.out is None):
        prepare_jax(*(rung.spec for rung in rungs))
        from qnat.experiment.sweep.sweep import run_sweep

        table = run_sweep(rungs, out, tune=tune, resume=chosen.resume, force=chosen.force, formats=formats)
    from qnat.experiment.show.report import print_sweep

    print_sweep(table, out, "" if finished else account(), as_json=chosen.json)
    failed = [row["folder"] for row in table["runs"] if row["status"] != "finished"]
    return complain(f"{len(failed)} of {len(table['runs'])} runs did not finish: {failed[0]} ...", 1) if failed else 0


def _check_place(chosen: argparse.Namespace) -> None:
    if chosen.out is None and (chosen.resume or chosen.force):
        raise RefusedError("--resume and --force speak of a folder; give --out FOLDER.")
    if chosen.out is None:
        check_writable(_RUNS)


def _cite(chosen: argparse.Namespace) -> int:
    """Prints what a run cites, or all runs of a sweep, each entry once."""
    found: dict[str, str] = {}
    for document in documents_of(chosen.run):
        try:
            entries = find_spec(document["task"]).bibliography()
        except RefusedError:  # of a task that has gone we know what is in our own references
            entries = references()
        found |= {key: entries[key] for key in document.get("citations", ()) if key in entries}
    say("\n\n".join(found.values()))
    return 0
