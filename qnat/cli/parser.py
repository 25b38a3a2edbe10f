"""The command line as a parser: only the task that is asked for loads its spec."""

import argparse
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from qnat import __version__
from qnat.experiment.console import say
from qnat.experiment.errors import RefusedError
from qnat.experiment.registry import find_spec, task_names
from qnat.experiment.store.files import FORMATS
from qnat.experiment.suggest import suggestion
from qnat.experiment.words.options import Parser, add_fields, check_once

TRAINERS = {"run": "train once", "sweep": "train every combination of comma-separated values"}
_FORMATS = "of the figures: png, pdf, svg or several with commas"
SHELLS = ("bash", "zsh", "fish")


class _Version(argparse.Action):
    """Prints the version as a result: the action of argparse is silent about a stream that is full."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Ends the command."""
        say(f"qnat {__version__}")
        parser.exit()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line as options; `--help` and `--version` print and exit.

    Raises:
        RefusedError: one sentence about the first word that is wrong.
    """
    parser = Parser(prog="qnat", description="Information geometry for quantum-classical hybrid simulation.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (words, add) in COMMANDS.items():
        one = commands.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
        add(one, arguments if arguments[:1] == [name] else [])
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise RefusedError(
            f"Unknown command '{arguments[0]}'{suggestion(arguments[0], COMMANDS)}; "
            f"the commands are {', '.join(COMMANDS)}."
        )
    check_once(arguments)
    chosen, unknown = parser.parse_known_args(arguments)
    if unknown:
        where = " ".join(filter(None, (chosen.command, getattr(chosen, "task", None))))
        meant = suggestion(unknown[0].partition("=")[0], chosen.known)
        raise RefusedError(f"Unknown option '{unknown[0]}'{meant}; 'qnat {where} --help' lists those of {where}.")
    return chosen


def _knows(parser: argparse.ArgumentParser) -> None:
    """Keeps the options of the command, to suggest one for an unknown word."""
    parser.set_defaults(known=[word for word in parser._option_string_actions if word.startswith("--")])  # noqa: SLF001


def _trainer(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    if not arguments or not {"-h", "--help"}.isdisjoint(arguments[:2]):
        parser.add_subparsers(dest="task", required=True, metavar="TASK", help=", ".join(task_names()))
        return
    command = arguments[0]
    if len(arguments) == 1 or arguments[1].startswith("-"):
        raise RefusedError(
            f"The task comes first: 'qnat {command} TASK [options]'; the tasks are {', '.join(task_names())}."
        )
    spec = find_spec(name := arguments[1])
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK", help=", ".join(task_names()))
    text = (spec.__doc__ or "").strip()
    many = " Every option takes comma-separated values; their product is run." if command == "sweep" else ""
    options = tasks.add_parser(name, help=text, description=text + many)
    _add_options(options, command, spec)
    _knows(options)


def folder(word: str) -> pathlib.Path:
    """A folder; an empty word, such as a variable of the shell that is not set, would be the one where we are."""
    if not word:
        raise argparse.ArgumentTypeError("it is empty; give the name of a folder")
    return pathlib.Path(word)


def options_of(command: str, task: str = "") -> list[argparse.Action]:
    """The options of a command; of those that train, with a task."""
    parser = Parser(prog="qnat")
    if task:
        _add_options(parser, command, find_spec(task))
    else:
        COMMANDS[command][1](parser, [])
    return [action for action in parser._actions if action.option_strings]  # noqa: SLF001 (argparse lists them nowhere)


def _add_options(parser: argparse.ArgumentParser, command: str, spec: Any) -> None:
    """The words of a task, and what every command that trains knows beside them."""
    ladder = spec.ladder
    add_fields(parser, spec)
    options = parser.add_argument_group("folder and output")
    options.add_argument(
        "--spec", type=pathlib.Path, metavar="FILE", help="TOML file of options; options given here win"
    )
    options.add_argument("--out", type=folder, metavar="FOLDER", help="(default: the next free one in runs/)")
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


def _list(parser: argparse.ArgumentParser, _: Sequence[str]) -> None:
    parser.add_argument("what", nargs="?", choices=("tasks", "runs"), default="tasks", help="(default: %(default)s)")
    parser.add_argument(
        "folder", nargs="?", type=pathlib.Path, default="runs", metavar="FOLDER", help="of the runs (default: runs)"
    )
    _knows(parser)


def _compare(parser: argparse.ArgumentParser, _: Sequence[str]) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", type=pathlib.Path, help="folder of a run or of a sweep")
    parser.add_argument("--figure", type=pathlib.Path, default="compare.png", help="(default %(default)s)")
    parser.add_argument("--format", metavar="FORMATS", help=f"{_FORMATS} (default: the suffix of the figure)")
    parser.add_argument(
        "--thresholds", metavar="X,...", help="values of the main curve to get below (default: 0.1,0.01,0.001)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    _knows(parser)


def _one_run(text: str, *, json: bool) -> Callable[[argparse.ArgumentParser, Sequence[str]], None]:
    def add(parser: argparse.ArgumentParser, _: Sequence[str]) -> None:
        parser.add_argument("run", metavar="RUN", type=pathlib.Path, help=text)
        if json:
            parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        _knows(parser)

    return add


def _completion(parser: argparse.ArgumentParser, _: Sequence[str]) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to read it")
    _knows(parser)


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser, Sequence[str]], Any]]] = {
    "list": ("the tasks, or the runs in a folder", _list),
    **{name: (words, _trainer) for name, words in TRAINERS.items()},
    "show": ("what a run or a sweep came to, or how far it is", _one_run("folder of a run or of a sweep", json=True)),
    "finish": ("make an interrupted run a finished one, as it is", _one_run("folder of a run", json=True)),
    "compare": ("table and figure of finished runs or sweeps", _compare),
    "cite": ("BibTeX entries of what a run or a sweep used", _one_run("folder of a run or of a sweep", json=False)),
    "completion": ("a script by which a shell completes commands, tasks and options", _completion),
}
"""What each command says of itself, and what adds its options, given the command line if it is the one asked for."""
