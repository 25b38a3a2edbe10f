"""Specs from words."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ..console import literal
from ..errors import RefusedError
from ..registry import find_spec
from .sentence import sentence
from .spec import RunSpec


def build(spec: type[RunSpec], values: Mapping[str, Any]) -> RunSpec:
    """A spec from words.

    Raises:
        RefusedError: one sentence about the first value that is wrong.
    """
    for name, value in values.items():
        if any(
            "\ud800" <= sign <= "\udfff" for sign in (value if isinstance(value, str) else "")
        ):  # bytes of a command line that are no text
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
    return spec.restored(record)
