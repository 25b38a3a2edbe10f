"""Specs from words, and pydantic's complaints in one sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..console import literal
from ..errors import RefusedError
from ..registry import find_spec
from .spec import RunSpec


def build(spec: type[RunSpec], values: Mapping[str, Any]) -> RunSpec:
    """A spec from words.

    Raises:
        RefusedError: one sentence about the first value that is wrong.
    """
    for name, value in values.items():
        if any("\ud800" <= sign <= "\udfff" for sign in str(value)):  # bytes of a command line that are no text
            raise RefusedError(f"{name} is '{literal(value)}', which is not text in UTF-8; give a name that is.")
    try:
        return spec(**values)
    except ValidationError as error:
        raise RefusedError(sentence(error, list(spec.options()))) from None


def rebuild(record: Mapping[str, Any]) -> RunSpec:
    """The spec of a record, such as `RunSpec.record` or run.json holds, also in another process.

    Raises:
        RefusedError: its task is not installed, or a value is not legal any more.
    """
    spec: type[RunSpec] = find_spec(record["task"])
    try:
        return spec.restored(record)
    except ValidationError as error:
        raise RefusedError(sentence(error, list(spec.options()))) from None


def sentence(error: ValidationError, names: Sequence[str]) -> str:
    """What was given and what is wanted, in one sentence, of the first of pydantic's errors."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    kind, given = first["type"], first["input"]
    if kind == "value_error":
        text = str(first["ctx"]["error"])
        return f"{name}: {text}" if name else text
    if kind == "extra_forbidden":
        return f"Unknown key '{name}'; the keys are {', '.join(names)}."
    if kind == "missing":
        return f"{name} is missing; give a value."
    return f"{name} is {given!r}; it must be {_wanted(first)}."


_KINDS = {
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a word",
}
_RANGES = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("greater than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def _wanted(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind in _RANGES:
        words, key = _RANGES[kind]
        return f"{words} {error['ctx'][key]:.10g}"
    if kind == "literal_error":
        return f"one of {error['ctx']['expected'].replace(' or ', ', ')}"
    return _KINDS.get(kind, error["msg"])
