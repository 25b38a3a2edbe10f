"""Parts of a spec: each is chosen by a word, and has options of its own."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, model_validator

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

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: Any) -> Any:
        if cls.contents is None or cls.contents[0] in values:
            return values
        option, read = cls.contents
        return values | {option: read(values["name"])}


class Only(NamedTuple):
    """In the type of an option: it is of use only where the option `choice` is one of `users`, and None elsewhere."""

    choice: str
    users: tuple[str, ...]
