"""Command-line options from the fields of a spec."""

import argparse
import tomllib
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic.fields import FieldInfo

from ..errors import RefusedError
from .flat import choices, kinds, literals
from .parts import Part
from .spec import RunSpec


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one sentence."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Refuses the command line."""
        raise RefusedError(f"{message[0].upper()}{message[1:]}; '{self.prog} --help' lists what there is.")


def add_fields(parser: argparse.ArgumentParser, spec: type[RunSpec]) -> None:
    """One option a word, in a group a part; values stay words, because the spec converts and judges them."""
    words = spec.options()
    own = [name for name in words if name not in RunSpec.model_fields]
    groups: dict[str, Any] = {}
    for name in (*own, *RunSpec.model_fields):
        choice, fields, _ = words[name]
        first = next(iter(fields.values()))
        alone: Any = {"nargs": "?", "const": "true"} if bool in kinds(first) else {}
        where = "" if len(fields) == len(choices(spec).get(choice, fields)) else choice
        text = _help(where, fields)
        metavar = _metavar(name, spec, fields)
        title = "run" if name in RunSpec.model_fields else choice or (name if name in choices(spec) else "task")
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        groups[title].add_argument(
            f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, metavar=metavar, help=text, **alone
        )


def _metavar(name: str, spec: type[RunSpec], fields: Mapping[str, FieldInfo]) -> str:
    words = choices(spec).get(name, dict.fromkeys(word for field in fields.values() for word in literals(field)))
    if "" in words:
        return "NAME"
    plain = {int: "N", float: "X", str: "NAME", bool: "true|false"}
    return "{" + ",".join(words) + "}" if words else plain.get(kinds(next(iter(fields.values())))[0], "VALUE")


def _help(choice: str, fields: Mapping[str, FieldInfo]) -> str:
    """Description, the members of the choice that have it if not all do, range and default."""
    symbols = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    first = next(iter(fields.values()))
    notes = [f"{symbols[k]} {getattr(m, k):.10g}" for m in first.metadata for k in symbols if hasattr(m, k)]
    defaults: dict[str, list[str]] = {}
    for word, field in fields.items():
        default = field.default.name if isinstance(field.default, Part) else field.default
        if default is not None:
            defaults.setdefault(f"{default:g}" if isinstance(default, float) else str(default), []).append(word)
    known = [word for words in defaults.values() for word in words]
    if defaults:
        alike = len(defaults) == 1 and len(known) == len(fields)
        told = ", ".join(default if alike else f"{default} ({', '.join(words)})" for default, words in defaults.items())
        notes.append(f"default {told}")
    if choice and (len(defaults) < 2 or len(known) < len(fields)):
        notes.insert(0, f"{choice} {', '.join(word or 'a file' for word in fields)}")
    text = next((field.description for field in fields.values() if field.description), "")
    return (text + (f" ({'; '.join(notes)})" if notes else "")).replace("%", "%%")


def values_of(chosen: argparse.Namespace, spec: type[RunSpec], *, many: bool = False) -> dict[str, Any]:
    """The values given: those of the TOML file, then those of the command line, which win; lists if `many`."""
    given = {name: getattr(chosen, name) for name in spec.options() if hasattr(chosen, name)}
    values = _read_toml(chosen) | given
    if not many:
        return values
    return {name: value.split(",") if isinstance(value, str) else _as_list(value) for name, value in values.items()}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _read_toml(chosen: argparse.Namespace) -> dict[str, Any]:
    if chosen.spec is None:
        return {}
    try:
        return tomllib.loads(chosen.spec.read_text(encoding="utf-8"))
    except OSError as error:
        raise RefusedError(f"Cannot read {chosen.spec} ({error.strerror}); give a TOML file of options.") from None
    except ValueError as error:
        raise RefusedError(f"{chosen.spec} is not valid TOML ({error}).") from None
