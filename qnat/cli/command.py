"""Words in, runs out.

Options are made from the fields of the task's spec, so names, defaults, ranges and help have one source. Nothing here
imports JAX before a run begins: lists, help and refusals answer at once.
"""

import argparse
import contextlib
import logging
import math
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

from qnat.experiment.console import note, ready, say
from qnat.experiment.errors import NonFiniteError, RefusedError, missing
from qnat.experiment.registry import find_spec, stem, task_names
from qnat.experiment.stopwatch import account
from qnat.experiment.store.files import FIGURE, FORMATS, figure_files, read_run
from qnat.experiment.store.place import check_writable, next_free, standing
from qnat.experiment.sweep.plan import check_data, check_tunable, plan, sweep_standing
from qnat.experiment.words.options import values_of
from qnat.experiment.words.references import entries as references
from qnat.experiment.words.spec import Rung
from qnat.experiment.words.wording import build

from .completion import script
from .folders import finish, list_runs, say_progress, show_unfinished, table_of, to_finish
from .parser import parse

if TYPE_CHECKING:
    from qnat.experiment.store.result import Result
    from qnat.experiment.words.spec import RunSpec

INTERRUPTED = 130
_RUNS = pathlib.Path("runs")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `qnat`; returns the exit status: 0, 1 (a run failed), 2 (refused) or 130 (Ctrl-C)."""
    ready()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a home that cannot be written is no trouble
    try:
        return _command(list(sys.argv[1:] if arguments is None else arguments))
    except RefusedError as error:
        return _complain(error, 2)
    except ModuleNotFoundError as error:
        return _complain(missing(error), 2)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        return 1
    except (NonFiniteError, OSError) as error:
        return _complain(error, 1)
    except KeyboardInterrupt as error:
        return _complain(str(error) or "Stopped.", INTERRUPTED)


def _complain(error: object, status: int) -> int:
    note(f"qnat: {error}")
    return status


def _command(arguments: list[str]) -> int:
    handlers = {"list": _list, "show": _show, "finish": _finish, "completion": _completion}
    handlers |= {"run": _run, "sweep": _sweep, "compare": _compare, "cite": _cite}
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
    formats = _formats(chosen.format)
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
        with _interruptible(out, made=chosen.out is None):
            _prepare_jax(spec)
            run = spec.run(out, resume=chosen.resume, force=chosen.force, formats=formats)
    return _print(chosen, run)


def _print(chosen: argparse.Namespace, run: "Result") -> int:
    from qnat.experiment.show.report import print_json, print_run

    if chosen.json:
        print_json(run)
    else:
        print_run(run, account())
    return 0


def _show(chosen: argparse.Namespace) -> int:
    """Prints what a run or a sweep printed when it ended; of one that has not, how far it is."""
    if (table := table_of(chosen.run)) is not None:
        from qnat.experiment.show.report import print_sweep

        print_sweep(table, chosen.run, account(), as_json=chosen.json)
        if not chosen.json:
            say_progress(table)
        return 0
    if read_run(chosen.run)["status"] != "finished":
        show_unfinished(chosen.run, as_json=chosen.json)
        return 0
    from qnat.experiment.show.compare import declared
    from qnat.experiment.store.result import Result

    return _print(chosen, declared([Result.load(chosen.run)])[0])


def _finish(chosen: argparse.Namespace) -> int:
    """Makes what an interrupted run has come to its result."""
    spec = to_finish(chosen.run)
    spec.check_data()
    with _interruptible(chosen.run, made=False):
        _prepare_jax(spec)
        run = finish(spec, chosen.run)
    return _print(chosen, run)


def _completion(chosen: argparse.Namespace) -> int:
    say(script(chosen.shell))
    return 0


def _formats(words: str) -> list[str]:
    """The formats of figures in a list of words."""
    formats = words.split(",")
    if strange := [word for word in formats if word not in FORMATS]:
        raise RefusedError(
            f"format is '{strange[0]}'; it must be {', '.join(FORMATS)}, or several of them with commas."
        )
    return formats


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
    formats = _formats(chosen.format)
    finished: Collection[str] = ()
    if chosen.out is not None:
        finished = sweep_standing(chosen.out, rungs, tune=tune, resume=chosen.resume, force=chosen.force)
    if len({_precision(rung.spec) for rung in rungs}) > 1:
        raise RefusedError("precision is one for all runs of a process; sweep each precision in a folder of its own.")
    check_data(rungs, finished)
    out = chosen.out or next_free(_RUNS, stem)
    with _interruptible(out, made=chosen.out is None):
        _prepare_jax(*(rung.spec for rung in rungs))
        from qnat.experiment.sweep.sweep import run_sweep

        table = run_sweep(rungs, out, tune=tune, resume=chosen.resume, force=chosen.force, formats=formats)
    from qnat.experiment.show.report import print_sweep

    print_sweep(table, out, account(), as_json=chosen.json)
    failed = [row["folder"] for row in table["runs"] if row["status"] != "finished"]
    return _complain(f"{len(failed)} of {len(table['runs'])} runs did not finish: {failed[0]} ...", 1) if failed else 0


@contextlib.contextmanager
def _interruptible(out: pathlib.Path, *, made: bool) -> Iterator[None]:
    """Tells whoever presses Ctrl-C how to go on.

    Outside the training loop, which has a handler of its own, the process ends there and then: JAX crashes if an
    exception breaks into its loading or compiling. Every write survives that, as it survives a kill.
    """
    advice = f"The same command with --out {out} --resume continues."

    def end(_number: int, _frame: object) -> NoReturn:
        _complain(f"Stopped. {advice}", INTERRUPTED)
        os._exit(INTERRUPTED)

    before = signal.signal(signal.SIGINT, end) if threading.current_thread() is threading.main_thread() else None
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"{str(error) or 'Stopped.'} {advice}") from None
    # found out late, in a file of data for example; the folder made for the run is still empty
    except (RefusedError, ModuleNotFoundError):
        if made:
            with contextlib.suppress(OSError):
                out.rmdir()
                out.parent.rmdir()
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _check_place(chosen: argparse.Namespace) -> None:
    if chosen.out is None and (chosen.resume or chosen.force):
        raise RefusedError("--resume and --force speak of a folder; give --out FOLDER.")
    if chosen.out is None:
        check_writable(_RUNS)


def _compare(chosen: argparse.Namespace) -> int:
    from qnat.experiment.show.compare import check_figures, check_runs, load_runs
    from qnat.experiment.show.report import print_comparison

    suffix = chosen.figure.suffix.removeprefix(".")
    formats = [suffix] if chosen.format is None else _formats(chosen.format)
    if formats[0] not in FORMATS or not check_writable(chosen.figure.parent):
        raise RefusedError(
            f"The figure cannot be {chosen.figure}; give the name of a .png, .pdf or .svg file in an existing folder."
        )
    stem = chosen.figure.with_suffix("") if suffix in FORMATS else chosen.figure
    first, *others = (stem.with_name(f"{stem.name}.{kind}") for kind in formats)
    thresholds = None if chosen.thresholds is None else _numbers(chosen.thresholds)
    check_runs(chosen.runs)
    entries = load_runs(chosen.runs)
    figures = [first, *others]
    for figure in figures:
        check_figures(entries, figure)
    print_comparison(entries, figures, thresholds=thresholds, as_json=chosen.json)
    return 0


def _numbers(words: str) -> list[float]:
    """The thresholds in a list of words."""
    try:
        numbers = [float(word) for word in words.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        raise RefusedError(f"thresholds is '{words}'; it must be finite numbers with commas, such as 0.1,0.01.")
    return numbers


def _cite(chosen: argparse.Namespace) -> int:
    document = read_run(chosen.run)
    try:
        entries = find_spec(document["task"]).bibliography()
    except RefusedError:  # of a task that has gone we know what is in our own references
        entries = references()
    say("\n\n".join(entries[key] for key in document.get("citations", ()) if key in entries))
    return 0


def _prepare_jax(*specs: "RunSpec") -> None:
    """The precision that runs ask for, or double; and a cache of compiled programs that outlives the process."""
    import warnings

    import jax

    jax.config.update("jax_enable_x64", _precision(specs[0]) == "double")
    if (cache := _cache()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(cache / f"jax-{jax.__version__}"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    # its writes are not atomic: a damaged entry is compiled anew; a full disk takes none
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")


def _precision(spec: "RunSpec") -> str:
    """Double, where the task leaves no choice."""
    return getattr(spec, "precision", "double")


def _cache() -> pathlib.Path | None:
    """Where compiled programs are kept; None if there is no such place: no home, or one that cannot be written."""
    try:
        path = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "qnat"
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return path if os.access(path, os.W_OK | os.X_OK) else None
