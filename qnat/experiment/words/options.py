"""Command-line options from the fields of a spec."""

import argparse
import pathlib
import sys
import tomllib
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, NoReturn

from pydantic.fields import FieldInfo

from ..console import say
from ..errors import RefusedError
from ..reading import reading, shown, text_of
from .flat import choices, literals
from .parts import Part, kinds
from .spec import RunSpec


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one sentence."""

    def __init__(self, **options: Any) -> None:
        # from Python 3.14 on help is coloured, by signs that stand for themselves here
        plain: dict[str, Any] = {"color": False} if sys.version_info >= (3, 14) else {}
        super().__init__(**options, **plain, allow_abbrev=False)

    def print_help(self, file: object = None) -> None:
        """Prints the help as a result."""
        say(self.format_help().removesuffix("\n"))

    def error(self, message: str) -> NoReturn:
        """Refuses the command line."""
        raise RefusedError(f"{message[0].upper()}{message[1:]}; '{self.prog} --help' lists what there is.")


class Described(NamedTuple):
    """What is said of an option: its values, its description, for which words of its choice it is, range, default."""

    values: str
    text: str
    users: str
    range: str
    default: str


_DEEPEST = 8
"""Tables and lists within each other: a part, its options, values of a sweep, and some."""


def grouped(spec: type[RunSpec]) -> dict[str, list[str]]:
    """The words of a spec in groups: those of a part by its choice, what every run has in the last."""
    words = spec.options()
    own = [name for name in words if name not in RunSpec.model_fields]
    groups: dict[str, list[str]] = {}
    for name in (*own, *RunSpec.model_fields):
        choice = words[name].choice
        title = "run" if name in RunSpec.model_fields else choice or (name if name in choices(spec) else "task")
        groups.setdefault(title, []).append(name)
    return groups


def add_fields(parser: argparse.ArgumentParser, spec: type[RunSpec]) -> None:
    """One option a word, in a group a part; values stay words, because the spec converts and judges them."""
    for title, names in grouped(spec).items():
        group = parser.add_argument_group(title)
        for name in names:
            fields = spec.options()[name].fields
            alone: Any = {"nargs": "?", "const": "true"} if bool in kinds(next(iter(fields.values()))) else {}
            values, text, users, within, default = described(spec, name)
            notes = "; ".join(filter(None, (users, within, default and f"default {default}")))
            group.add_argument(
                f"--{name.replace('_', '-')}",
                default=argparse.SUPPRESS,
                metavar=values,
                help=(text + (f" ({notes})" if notes else "")).replace("%", "%%"),
                **alone,
            )


def _metavar(name: str, spec: type[RunSpec], fields: Mapping[str, FieldInfo]) -> str:
    words = choices(spec).get(name, dict.fromkeys(word for field in fields.values() for word in literals(field)))
    if "" in words:
        return "NAME"
    plain = {int: "N", float: "X", str: "NAME", bool: "true|false"}
    return "{" + ",".join(words) + "}" if words else plain.get(kinds(next(iter(fields.values())))[0], "VALUE")


def described(spec: type[RunSpec], name: str) -> Described:
    """Values and description of an option, the members of its choice that have it if not all do, range, default."""
    choice, fields, _ = spec.options()[name]
    symbols = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    first = next(iter(fields.values()))
    bounds = [f"{symbols[k]} {getattr(m, k):.10g}" for m in first.metadata for k in symbols if hasattr(m, k)]
    defaults: dict[str, list[str]] = {}
    for word, field in fields.items():
        default = field.default.name if isinstance(field.default, Part) else field.default
        if default is not None:
            defaults.setdefault(f"{default:g}" if isinstance(default, float) else str(default), []).append(word)
    known = [word for words in defaults.values() for word in words]
    alike = len(defaults) == 1 and len(known) == len(fields)
    told = (default if alike else f"{default} ({', '.join(words)})" for default, words in defaults.items())
    users = ""
    if len(fields) < len(choices(spec).get(choice, fields)) and (len(defaults) < 2 or len(known) < len(fields)):
        users = f"{choice} {', '.join(word or 'a file' for word in fields)}"
    text = next((field.description for field in fields.values() if field.description), "")
    return Described(_metavar(name, spec, fields), text, users, "; ".join(bounds), ", ".join(told))


def values_of(chosen: argparse.Namespace, spec: type[RunSpec], *, many: bool = False) -> dict[str, Any]:
    """The values given: those of the TOML file, then those of the command line, which win; lists if `many`."""
    given = {name: getattr(chosen, name) for name in spec.options() if hasattr(chosen, name)}
    values = read_toml(chosen.spec, spec, many=many) | given
    if not many:
        return values
    return {name: value.split(",") if isinstance(value, str) else _as_list(value) for name, value in values.items()}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def read_toml(path: pathlib.Path | None, spec: type[RunSpec], *, many: bool) -> dict[str, Any]:
    """The options in a TOML file, none if there is no file; lists of values if `many`."""
    if path is None:
        return {}
    with reading(path, instead="give a TOML file of options"):
        text = text_of(path)
        try:
            found = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RefusedError(f"{shown(path, 4096)} is not valid TOML ({shown(error)}).") from None
        if _depth(found) > _DEEPEST:
            raise ValueError(f"it is nested deeper than {_DEEPEST} tables and lists")
    for name, value in found.items():
        for each in _as_list(value) if many else [value]:
            _check_toml(spec, name, each)
    return found


def _depth(value: Any) -> int:
    """How deep tables and lists are nested in each other."""
    depth, level = 0, [value]
    while level := [inner for each in level if isinstance(each, dict | list) for inner in _inside(each)]:
        depth += 1
    return depth


def _inside(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _check_toml(spec: type[RunSpec], name: str, value: Any) -> None:
    """Refuses a value of TOML whose type is not that of the option: there a number has no quotes."""
    if name in choices(spec) and isinstance(value, dict):  # a part as a table
        for option, its in value.items():
            _check_toml(spec, option, its)
        return
    if name not in (known := spec.options()):
        return  # the spec names those that there are
    wanted = {kind for field in known[name].fields.values() for kind in kinds(field)}
    words = [word for kind in wanted if typing.get_origin(kind) is Literal for word in typing.get_args(kind)]
    numeric = not wanted.isdisjoint((int, float))
    if isinstance(value, bool):
        right = bool in wanted
    elif isinstance(value, str):
        right = value in words or not (numeric or bool in wanted)
    else:
        right = isinstance(value, int | float) and numeric
    if not right:
        advice = "a number, without quotes" if numeric else "true or false" if bool in wanted else "a word in quotes"
        raise RefusedError(f"{shown(name, 60)} is {shown(repr(value), 60)}; in TOML it must be {advice}.")


def check_once(arguments: Sequence[str]) -> None:
    """Refuses an option that stands twice in a command line, of which argparse would take the last."""
    given = [word.partition("=")[0] for word in arguments if word.startswith("--") and len(word) > 2]
    for name in given:
        if given.count(name) > 1:
            raise RefusedError(f"{shown(name, 60)} is given twice; give it once.")
