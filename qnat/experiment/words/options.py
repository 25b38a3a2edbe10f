"""Command-line options from the fields of a spec."""

import argparse
import tomllib
import types
import typing
from typing import Any, Literal, NoReturn

from pydantic.fields import FieldInfo

from ..errors import RefusedError
from .spec import RunSpec


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one sentence."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Refuses the command line."""
        raise RefusedError(f"{message[0].upper()}{message[1:]}; '{self.prog} --help' lists what there is.")


def add_fields(parser: argparse.ArgumentParser, spec: type[RunSpec]) -> None:
    """One option a field, the task's own first; values stay words, because the spec converts and judges them."""
    own = [name for name in spec.model_fields if name not in RunSpec.model_fields]
    for name in (*own, *RunSpec.model_fields):
        field = spec.model_fields[name]
        alone: Any = {"nargs": "?", "const": "true"} if bool in _kinds(field) else {}
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, default=argparse.SUPPRESS, metavar=_metavar(field), help=_help(field), **alone)


def _kinds(field: FieldInfo) -> tuple[Any, ...]:
    """The types of a field, without None."""
    annotation = field.annotation
    union = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    members = typing.get_args(annotation) if union else (annotation,)
    return tuple(member for member in members if member is not type(None))


def _choices(field: FieldInfo) -> tuple[str, ...]:
    return tuple(
        choice for kind in _kinds(field) if typing.get_origin(kind) is Literal for choice in typing.get_args(kind)
    )


def _metavar(field: FieldInfo) -> str:
    choices = _choices(field)
    words = {int: "N", float: "X", str: "NAME", bool: "true|false"}
    return "{" + ",".join(choices) + "}" if choices else words.get(_kinds(field)[0], "VALUE")


def _help(field: FieldInfo) -> str:
    """Description, range and default."""
    symbols = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    ranges = [f"{symbols[k]} {getattr(m, k):.10g}" for m in field.metadata for k in symbols if hasattr(m, k)]
    notes = [*ranges, *([] if field.default is None else [f"default {field.default}"])]
    text = (field.description or "") + (f" ({', '.join(notes)})" if notes else "")
    return text.replace("%", "%%")


def values_of(chosen: argparse.Namespace, spec: type[RunSpec], *, many: bool = False) -> dict[str, Any]:
    """The values given: those of the TOML file, then those of the command line, which win; lists if `many`."""
    given = {name: getattr(chosen, name) for name in spec.model_fields if hasattr(chosen, name)}
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
