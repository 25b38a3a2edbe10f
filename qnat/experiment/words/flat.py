"""Flat words to the parts of a spec, and back; which options a choice leaves without use is told by the types."""

import copy
import functools
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..suggest import suggestion
from .parts import Only, Part, check_numbers, kinds


class Option(NamedTuple):
    """A word: the field of the spec whose parts have it, or "" for a field of the spec itself; the fields by part."""

    choice: str
    fields: dict[str, FieldInfo]
    hidden: bool = False


@functools.cache
def choices(spec: type[BaseModel]) -> dict[str, dict[str, type[Part]]]:
    """The fields that hold a part: its possible types by their words, "" for one that takes every other word."""
    found = {name: [kind for kind in kinds(field) if _is_part(kind)] for name, field in spec.model_fields.items()}
    return {name: {_word(part): part for part in parts} for name, parts in found.items() if parts}


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Part)


def _word(part: type[Part]) -> str:
    field = part.model_fields["name"]
    return "" if field.is_required() else str(field.default)


def literals(field: FieldInfo) -> list[Any]:
    """The values of a field that takes certain ones only."""
    members = kinds(field)
    closed = all(typing.get_origin(kind) is Literal for kind in members)
    return [value for kind in members if closed for value in typing.get_args(kind)]


@functools.cache
def options(spec: type[BaseModel]) -> dict[str, Option]:
    """All words of a spec: a choice, then what its parts have; a field of one type of part is no choice."""
    found: dict[str, Option] = {}
    for name, field in spec.model_fields.items():
        parts = choices(spec).get(name, {})
        if len(parts) != 1:
            found[name] = Option("", {"": field if field.description or not parts else _described(field, parts)})
        for word, part in parts.items():
            for option, its in part.model_fields.items():
                if option != "name":
                    found.setdefault(option, Option(name, {}, option == (part.contents or [""])[0])).fields[word] = its
    return found


def _described(field: FieldInfo, parts: Mapping[str, type[Part]]) -> FieldInfo:
    """A choice without a description has those of its parts: the first lines of their docstrings."""
    texts = {word: (part.__doc__ or "").strip().partition("\n")[0].rstrip(".") for word, part in parts.items()}
    one = copy.copy(field)
    one.description = "; ".join(f"{word or 'a path'}: {text}" for word, text in texts.items())
    return one


def _chosen(spec: type[BaseModel], values: Mapping[str, Any]) -> dict[str, tuple[Any, type[Part]]]:
    """The word of every choice, given or by default, and its part; without words that nothing knows."""
    found = {}
    for choice, parts in choices(spec).items():
        word = values.get(choice)
        default = spec.model_fields[choice].default
        word = getattr(default, "name", None) if word is None else word
        part = parts.get(word, parts.get("")) if isinstance(word, str) else None
        if part is not None:
            found[choice] = (word, part)
    return found


def unused(spec: type[BaseModel], values: Mapping[str, Any]) -> dict[str, str]:
    """The options for which these values, completed by the defaults, have no use, and why, in a sentence."""
    chosen, known = _chosen(spec, values), options(spec)
    reasons: dict[str, str] = {}

    def field(name: str) -> FieldInfo | None:
        choice = known[name].choice
        return (chosen[choice][1] if choice else spec).model_fields.get(name)

    def said(name: str) -> Any:
        if name in chosen:
            return chosen[name][0]
        return default.default if (given := values.get(name)) is None and (default := field(name)) else given

    def refuse(name: str, choice: str, users: Iterable[str]) -> None:
        advice = f"leave it out, or choose {choice} {' or '.join(user or 'a file' for user in users)}"
        reasons.setdefault(name, f"{name} is not used with {choice} {said(choice)}; {advice}.")

    for name, option in known.items():
        if option.choice and option.choice not in chosen:
            continue
        if (its := field(name)) is None:
            refuse(name, option.choice, option.fields)
            continue
        for only in its.metadata:
            if isinstance(only, Only) and only.choice not in reasons and said(only.choice) not in only.users:
                refuse(name, only.choice, only.users)
    return reasons


def fold(spec: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Flat words, or parts, to the fields of a spec.

    Raises:
        ValueError: a word that no part has, an option without use; pydantic's of a value that an option cannot have.
    """
    check_numbers(spec.model_fields, given)
    values = dict(given)
    for choice, parts in choices(spec).items():
        part = values.get(choice)
        if isinstance(part, Part):
            if type(part) not in parts.values():
                alike = [parts[part.name]] if part.name in parts else parts.values()
                names = " or ".join(f"{one.__module__}.{one.__qualname__}" for one in alike)
                raise ValueError(f"{choice} is a {type(part).__module__}.{type(part).__qualname__}; give a {names}.")
            part = {name: getattr(part, name) for name in part.model_fields_set | {"name"}}
        if isinstance(part, Mapping):
            if twice := [name for name in part if name in given and name != choice]:
                raise ValueError(f"{twice[0]} is given beside {choice} and in it; give it once.")
            values |= {choice: part.get("name"), **{name: value for name, value in part.items() if name != "name"}}
    reasons, chosen = unused(spec, values), _chosen(spec, values)
    for name, reason in reasons.items():
        if values.pop(name, None) is not None:
            raise ValueError(reason)
    for choice, parts in choices(spec).items():
        if choice not in chosen:
            wanted = f"one of {', '.join(map(repr, parts))}" if "" not in parts else "a word"
            said = f"is {values[choice]!r}; it" if values.get(choice) is not None else "is missing; it"
            raise ValueError(f"{choice} {said} must be {wanted}{suggestion(values.get(choice, ''), parts)}.")
        word, part = chosen[choice]
        own = {name: values.pop(name) for name in part.model_fields if name != "name" and name in values}
        _check_taken(spec, choice, word, own)
        idle = {name: None for name in reasons if name in part.model_fields}
        values[choice] = part(name=word, **own, **idle)
    return values


def _check_taken(spec: type[BaseModel], choice: str, word: str, values: Mapping[str, Any]) -> None:
    """Refuses a value of an option that other parts of the choice take, and the chosen one does not."""
    for name, value in values.items():
        taken = {key: literals(field) for key, field in options(spec)[name].fields.items()}
        mine = taken.get(word, taken.get("", []))
        if mine and value not in mine and any(value in each for each in taken.values()):
            raise ValueError(f"{name} {value} is not used with {choice} {word}; choose {' or '.join(mine)}.")


def flat(spec: Any, *, young: bool = True) -> dict[str, Any]:
    """The words of a spec, as JSON has them; without options that are `added`, at their defaults, unless young."""
    found: dict[str, Any] = {}
    kind: type[BaseModel] = type(spec)
    for name, value in spec.model_dump(mode="json").items():
        part = getattr(spec, name)
        if not isinstance(part, Part):
            if young or name not in spec.added or value != kind.model_fields[name].default:
                found[name] = value
            continue
        found |= {name: part.name} if len(choices(kind)[name]) > 1 else {}
        fields = type(part).model_fields
        silent = {"name"} | {each for each in part.added if not young and value[each] == fields[each].default}
        found |= {each: value[each] for each in fields if each not in silent}
    return found
