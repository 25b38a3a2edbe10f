"""Words in, runs out.

Options are made from the fields of the task's spec, so names, defaults, ranges and help have one source. Nothing here
imports JAX before a run begins: lists, help and refusals answer at once.
"""

import argparse
import contextlib
import math
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

from qnat.experiment.console import note, say
from qnat.experiment.errors import NonFiniteError, RefusedError
from qnat.experiment.registry import find_spec, task_names
from qnat.experiment.stopwatch import account
from qnat.experiment.store.files import FIGURE, FORMATS, figure_files, read_run
from qnat.experiment.store.place import check_writable, next_free, standing
from qnat.experiment.sweep.plan import check_data, check_tunable, plan, sweep_standing
from qnat.experiment.words.options import Parser, add_fields, values_of
from qnat.experiment.words.spec import Rung
from qnat.experiment.words.wording import build

if TYPE_CHECKING:
    from qnat.experiment.store.result import Run

INTERRUPTED = 130
_RUNS = pathlib.Path("runs")
_FORMATS = "of the figures: png, pdf, svg or several with commas"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `qnat`; returns the exit status: 0, 1 (a run failed), 2 (refused) or 130 (Ctrl-C)."""
    try:
        return _command(list(sys.argv[1:] if arguments is None else arguments))
    except RefusedError as error:
        return _complain(error, 2)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (NonFiniteError, OSError) as error:
        return _complain(error, 1)
    except KeyboardInterrupt as error:
        return _complain(str(error) or "Stopped.", INTERRUPTED)


def _complain(error: object, status: int) -> int:
    note(f"qnat: {error}")
    return status


def _command(arguments: list[str]) -> int:
    parser = Parser(prog="qnat", description="Information geometry for quantum-classical hybrid simulation.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="the tasks")
    # the task's own options need the task's spec, which only that task's command loads
    name = arguments[1] if len(arguments) > 1 and not arguments[1].startswith("-") else None
    if arguments[:1] in (["run"], ["sweep"]) and name is None and not {"-h", "--help"}.intersection(arguments):
        raise RefusedError(
            f"The task comes first: 'qnat {arguments[0]} TASK [options]'; the tasks are {', '.join(task_names())}."
        )
    for command, words in (("run", "train once"), ("sweep", "train every combination of comma-separated values")):
        trainer = commands.add_parser(command, help=words, description=words[0].upper() + words[1:] + ".")
        tasks = trainer.add_subparsers(dest="task", required=True, metavar="TASK", help=", ".join(task_names()))
        if arguments[:1] != [command] or name is None:
            continue
        spec = find_spec(name)
        text = (spec.__doc__ or "").strip()
        many = " Every option takes comma-separated values; their product is run." if command == "sweep" else ""
        options = tasks.add_parser(name, help=text, description=text + many)
        add_fields(options, spec)
        _add_common(options, command, spec.ladder)
    compare = commands.add_parser("compare", help="table and figure of finished runs or sweeps")
    compare.add_argument("runs", nargs="+", metavar="RUN", type=pathlib.Path, help="folder of a run or of a sweep")
    compare.add_argument("--figure", type=pathlib.Path, default="compare.png", help="(default %(default)s)")
    compare.add_argument("--format", metavar="FORMATS", help=f"{_FORMATS} (default: the suffix of the figure)")
    compare.add_argument(
        "--thresholds", metavar="X,...", help="values of the main curve to get below (default: 0.1,0.01,0.001)"
    )
    compare.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    cite = commands.add_parser("cite", help="BibTeX entries of the methods of a run")
    cite.add_argument("run", metavar="RUN", type=pathlib.Path, help="folder of a run")
    chosen, unknown = parser.parse_known_args(arguments)
    if unknown:
        where = " ".join(filter(None, (chosen.command, getattr(chosen, "task", None))))
        raise RefusedError(f"Unknown option '{unknown[0]}'; 'qnat {where} --help' lists those of {where}.")
    return {"list": _list, "run": _run, "sweep": _sweep, "compare": _compare, "cite": _cite}[chosen.command](chosen)


def _add_common(options: argparse.ArgumentParser, command: str, ladder: str | None) -> None:
    options.add_argument(
        "--spec", type=pathlib.Path, metavar="FILE", help="TOML file of options; options given here win"
    )
    options.add_argument("--out", type=pathlib.Path, metavar="FOLDER", help="(default: the next free one in runs/)")
    options.add_argument("--format", default=FORMATS[0], metavar="FORMATS", help=f"{_FORMATS} (default %(default)s)")
    options.add_argument("--resume", action="store_true", help="continue what is in FOLDER, start it if nothing is")
    options.add_argument("--force", action="store_true", help="replace what is in FOLDER")
    options.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    if command == "sweep":
        options.add_argument(
            "--tune",
            action="store_true",
            help="first choose each learning rate by trials on a seed that the sweep does not use: 1000, or the next",
        )
    if command == "sweep" and ladder is not None:
        options.add_argument(
            "--warm-start",
            nargs="?",
            const="scaled",
            metavar="HOW",
            help=f"start each {ladder} from the previous one: scaled (default), plain, or both, comma-separated",
        )


def _list(_: argparse.Namespace) -> int:
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
        return _train_all(chosen, rungs, chosen.task, tune=False)
    found = chosen.out and standing(chosen.out, spec.record(), resume=chosen.resume, force=chosen.force)
    if found == "finished":
        from qnat.experiment.store.result import Run

        run = Run.load(chosen.out)
        _draw_missing(run, chosen.out, formats)
    else:
        spec.check_data()
        out = chosen.out or next_free(_RUNS, chosen.task)
        with _interruptible(out, made=chosen.out is None):
            _prepare_jax()
            run = spec.run(out, resume=chosen.resume, force=chosen.force, formats=formats)
    from qnat.experiment.show.report import print_json, print_run

    if chosen.json:
        print_json(run)
    else:
        print_run(run, account())
    return 0


def _formats(words: str) -> list[str]:
    """The formats of figures in a list of words."""
    formats = words.split(",")
    if strange := [word for word in formats if word not in FORMATS]:
        raise RefusedError(
            f"format is '{strange[0]}'; it must be {', '.join(FORMATS)}, or several of them with commas."
        )
    return formats


def _draw_missing(run: "Run", path: pathlib.Path, formats: Collection[str]) -> None:
    """The figure of a finished run in formats in which it does not stand there yet."""
    if missing := [file for file in figure_files(path, FIGURE, formats) if not file.exists()]:
        from qnat.experiment.show.figure import draw_run

        for file in missing:
            draw_run(run, file)


def _sweep(chosen: argparse.Namespace) -> int:
    _check_place(chosen)
    spec = find_spec(chosen.task)
    values = values_of(chosen, spec, many=True)
    if chosen.tune:
        check_tunable(spec, values)
    rungs = plan(spec, values, getattr(chosen, "warm_start", None))
    return _train_all(chosen, rungs, f"{chosen.task}-sweep", tune=chosen.tune)


def _train_all(chosen: argparse.Namespace, rungs: Sequence[Rung], stem: str, *, tune: bool) -> int:
    """Trains every run in a folder of its own, inside one."""
    formats = _formats(chosen.format)
    finished: Collection[str] = ()
    if chosen.out is not None:
        finished = sweep_standing(chosen.out, rungs, tune=tune, resume=chosen.resume, force=chosen.force)
    check_data(rungs, finished)
    out = chosen.out or next_free(_RUNS, stem)
    with _interruptible(out, made=chosen.out is None):
        _prepare_jax()
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
    except RefusedError:  # found out late, in a file of data for example; the folder made for the run is still empty
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
    from qnat.experiment.show.compare import check_runs, ladder_of, load_runs
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
    print_comparison(entries, first, thresholds=thresholds, as_json=chosen.json)
    if others:
        from qnat.experiment.show.comparison import draw_comparison
        from qnat.experiment.show.lines import entries_of

        for figure in others:
            draw_comparison(entries_of(entries, ladder_of(entries[0].run)), figure, thresholds)
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
    entries = find_spec(document["task"]).bibliography()
    say("\n\n".join(entries[key] for key in document.get("citations", ()) if key in entries))
    return 0


def _prepare_jax() -> None:
    """Double precision, and a cache of compiled programs that outlives the process."""
    import warnings

    import jax

    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "qnat"
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", str(cache / f"jax-{jax.__version__}"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    # its writes are not atomic: a damaged entry is compiled anew
    warnings.filterwarnings("ignore", message="Error reading persistent compilation cache entry")
