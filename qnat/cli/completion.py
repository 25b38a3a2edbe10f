"""Scripts by which shells complete commands, tasks, options and their choices.

A script holds every word, so that completing starts no Python; after installing further tasks, make it anew.
"""

import argparse
import pathlib
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from qnat.experiment.errors import RefusedError
from qnat.experiment.registry import find_spec, task_names
from qnat.experiment.words.flat import choices

from .parser import COMMANDS, SHELLS, TRAINERS, folder, options_of

FILES = "<files>"
"""Stands for any path."""


class _Option(NamedTuple):
    """values: what may follow it, FILES among them where a path may; none after a switch. text: its help."""

    values: tuple[str, ...]
    text: str


def script(shell: str) -> str:
    """The script for bash, zsh or fish."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _options(command: str, task: str = "") -> dict[str, _Option]:
    """The options of a command, of `run` and `sweep` with their task."""
    parts = choices(find_spec(task)) if task else {}
    found: dict[str, _Option] = {}
    for action in options_of(command, task):
        values, text = _values(action, parts.get(action.dest, ())), (action.help or "").partition(" (")[0]
        found |= {
            word: _Option(values, textwrap.shorten(text.replace("%%", "%"), 72, placeholder=" …"))
            for word in action.option_strings
            if word[:2] == "--"
        }
    return found


def _values(action: argparse.Action, parts: Iterable[str]) -> tuple[str, ...]:
    metavar = str(action.metavar or "")
    if action.type in (pathlib.Path, folder) or metavar == "NAME":
        return (*filter(None, parts), FILES)
    words = metavar.strip("{}") if metavar.startswith("{") else "true|false" if metavar == "true|false" else ""
    return tuple(word for word in words.replace("|", ",").split(",") if word)


def _tasks() -> Iterator[str]:
    """The tasks that can be loaded."""
    for name in task_names():
        try:
            options_of("run", name)
        except RefusedError:
            continue
        yield name


_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "list": ("tasks", "runs", FILES),
    "show": (FILES,),
    "finish": (FILES,),
    "compare": (FILES,),
    "cite": (FILES,),
    "completion": SHELLS,
}
"""What follows a command that is no option."""


def _bash() -> str:
    tasks = list(_tasks())
    words, values = [], []
    for command in COMMANDS:
        for task in tasks if command in TRAINERS else [""]:
            known, arguments = _options(command, task), _ARGUMENTS.get(command, ())
            words.append(f'    "{command} {task}") {_offered((*known, *arguments))} ;;')
            values += [
                f'    "{command} {task} {option}") {_offered(follows)} ;;'
                for option, (follows, _) in known.items()
                if follows
            ]
    lines = [
        '# bash completion of qnat: eval "$(qnat completion bash)"',
        "_qnat() {",
        '  local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
        '  local command="${COMP_WORDS[1]}" task="" words="" files=0 listed="" trains=0',
        f'  case "$command" in {"|".join(TRAINERS)}) trains=1; task="${{COMP_WORDS[2]}}" ;; esac',
        '  if [ "$COMP_CWORD" -eq 1 ]; then',
        f"    {_offered((*COMMANDS, '--help', '--version'))}",
        '  elif [ "$COMP_CWORD" -eq 2 ] && [ "$trains" -eq 1 ]; then',
        f"    {_offered(tasks)}",
        "  else",
        '    case "$command $task" in',
        *words,
        "    esac",
        '    case "$command $task $before" in',
        *values,
        "    esac",
        "  fi",
        # a sweep takes several words with commas: the last one is completed
        '  if [[ "$command" == sweep && -n "$words" && "$current" == *,* ]]; then',
        '    listed="${current%,*},"; current="${current##*,}"',
        "  fi",
        '  COMPREPLY=( $(compgen -P "$listed" -W "$words" -- "$current") )',
        "  local IFS=$'\\n'",
        '  if [ "$files" -eq 1 ]; then COMPREPLY+=( $(compgen -P "$listed" -f -- "$current") ); fi',
        "}",
        "complete -o filenames -F _qnat qnat",
    ]
    return "\n".join(lines)


def _offered(words: Sequence[str]) -> str:
    return f"words={shlex.quote(_plain(words))}; files={int(FILES in words)}"


def _plain(words: Sequence[str]) -> str:
    return " ".join(word for word in words if word != FILES)


def _zsh() -> str:
    first = '# zsh completion of qnat: eval "$(qnat completion zsh)"'
    return f"{first}\nautoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{_bash()}"


def _fish() -> str:
    tasks = list(_tasks())
    lines = ["# fish completion of qnat: qnat completion fish | source", "complete -c qnat -f"]
    lines.append("complete -c qnat -n __fish_use_subcommand -l version -d 'print the version'")
    for command, (text, _) in COMMANDS.items():
        here = f"__fish_seen_subcommand_from {command}"
        lines.append(f"complete -c qnat -n __fish_use_subcommand -a {command} -d {shlex.quote(text)}")
        if command in TRAINERS:
            names = " ".join(tasks)
            lines.append(f"complete -c qnat -n '{here}; and not __fish_seen_subcommand_from {names}' -a '{names}'")
        arguments = _ARGUMENTS.get(command, ())
        lines += [f"complete -c qnat -n '{here}' {_taken(arguments)}"] if arguments else []
        for task in tasks if command in TRAINERS else [""]:
            place = f"{here}; and __fish_seen_subcommand_from {task}" if task else here
            for option, (values, help_text) in _options(command, task).items():
                takes = ("-r " if FILES in values else "-x ") + _taken(values) if values else ""
                lines.append(f"complete -c qnat -n '{place}' -l {option[2:]} {takes} -d {shlex.quote(help_text)}")
    return "\n".join(lines)


def _taken(words: Sequence[str]) -> str:
    plain = _plain(words)
    return " ".join([*(["-F"] if FILES in words else []), *([f"-a {shlex.quote(plain)}"] if plain else [])])
