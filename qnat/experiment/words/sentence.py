"""Pydantic's complaints in one sentence."""

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..reading import shown
from ..suggest import suggestion


def sentence(error: ValidationError, names: Sequence[str]) -> str:
    """What was given and what is wanted, in one sentence, of the first of pydantic's errors."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    kind, given = first["type"], first["input"]
    if kind == "value_error":
        text = shown(first["ctx"]["error"], 2000)
        return f"{name}: {text}" if name else text
    if kind == "extra_forbidden":
        return f"Unknown key '{shown(name, 60)}'{suggestion(name, names)}; the keys are {', '.join(names)}."
    if kind == "missing":
        return f"{name} is missing; give a value."
    return f"{name} is {shown(repr(given), 60)}; it must be {_wanted(first)}."


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
        bound = error["ctx"][key]
        return f"{words} {bound if isinstance(bound, int) else format(bound, '.10g')}"
    if kind == "literal_error":
        words = error["ctx"]["expected"].replace(" or ", ", ")
        return f"one of {words}{suggestion(error['input'], words.replace(chr(39), '').split(', '))}"
    return _KINDS.get(kind, error["msg"])
