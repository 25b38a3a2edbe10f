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
    try:
        return spec(**values)
    except ValidationError as error:
        raise RefusedError(sentence(error, list(spec.options()))) from None
    except UnicodeEncodeError as error:  # bytes of a command line, or escapes of a file, that stand for no signs
        name = next((name for name, value in values.items() if _is_strange(value)), "A word")
        given = values.get(name, error.object)
        raise RefusedError(f"{name} is '{literal(given)}', which is not text in UTF-8; give a name that is.") from None


def _is_strange(value: Any) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in str(value))


def rebuild(record: Mapping[str, Any]) -> RunSpec:
    """The spec of a record, such as `RunSpec.record` or run.json holds, also in another process.

    Raises:
        RefusedError: its task is not installed, or a value is not legal any more.
    """
    spec: type[RunSpec] = find_spec(record["task"])
    return spec.restored(record)
