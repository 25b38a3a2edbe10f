"""Parts of a spec: each is chosen by a word, and has options of its own."""

import contextlib
import functools
import pathlib
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from pydantic.fields import FieldInfo

from .values import unsigned

CONFIG = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Part(BaseModel):
    """A choice and its options, which are its fields: frozen, and free of arrays until its `build` makes its object.

    A spec has a field whose type is a union of parts, `optimizer: Adam | Sgd = Field(Adam(), description=…)`. To the
    command line the field is a word, and the options of all members are words beside it.

    Attributes:
        name: the word, `name: Literal["adam"] = "adam"`; a part with `name: str` takes every other one, such as a path.
        cites: keys in references.bib. added: options younger than runs that are to be resumed: a record has them where
            they differ from their defaults only.
        contents: the option that keeps what a file said, which is recorded and no word of the command line, and what
            reads the file.
    """

    model_config = CONFIG
    cites: ClassVar[tuple[str, ...]] = ()
    added: ClassVar[tuple[str, ...]] = ()
    contents: ClassVar[tuple[str, Callable[[str], Any]] | None] = None
    name: str

    _unsigned = field_validator("*")(unsigned)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: Any) -> Any:
        if isinstance(values, Mapping):  # or else a part, which was judged when it was made
            check_numbers(cls.model_fields, values)
        if cls.contents is None or cls.contents[0] in values:
            return values
        option, read = cls.contents
        return values | {option: _once(read, values["name"], _stamp(values["name"]))}


def kinds(field: FieldInfo) -> tuple[Any, ...]:
    """The types of a field, without None."""
    annotation = field.annotation
    union = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    members = typing.get_args(annotation) if union else (annotation,)
    return tuple(member for member in members if member is not type(None))


def check_numbers(fields: Mapping[str, FieldInfo], values: Mapping[str, Any]) -> None:
    """Refuses true and false where a number is wanted; pydantic takes them for 1 and 0."""
    for name, value in values.items():
        if isinstance(value, bool) and name in fields and {int, float}.intersection(kinds(fields[name])):
            raise ValueError(f"{name} is {str(value).lower()}; it must be a number.")


def _stamp(path: str) -> tuple[int, int]:
    """When a file was last written, and its length: what was read of it is good as long as they stay."""
    with contextlib.suppress(OSError, ValueError):
        return (found := pathlib.Path(path).stat()).st_mtime_ns, found.st_size
    return 0, 0


@functools.lru_cache(maxsize=16)
def _once(read: Callable[[str], Any], path: str, _stamp: tuple[int, int]) -> Any:
    return read(path)


class Only(NamedTuple):
    """In the type of an option: it is of use only where the option `choice` is one of `users`, and None elsewhere."""

    choice: str
    users: tuple[str, ...]
