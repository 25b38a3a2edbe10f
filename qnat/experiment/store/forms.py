"""What run.json, table.json and the account of a checkpoint hold, so that nothing of another type is read on."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ..measures import Measure, Panel

FOLDER_OF_TRIALS = "tuning"

_Count = Annotated[int, Field(ge=0)]
_Number = float | Literal["nan", "inf", "-inf"]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _inside(name: str) -> str:
    """The name of a folder in the folder of a sweep, or of a trial in its folder of trials; never of one elsewhere."""
    parts = name.split("/")
    own = len(parts) == 1 or (len(parts) == 2 and parts[0] == FOLDER_OF_TRIALS)
    if not own or any(part in ("", ".", "..") or "\0" in part or len(os.fsencode(part)) > 255 for part in parts):
        raise ValueError("this is not the name of a folder in it")
    return name


_Inside = Annotated[str, AfterValidator(_inside)]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Spec(_Form):
    steps: _Count = 0
    seeds: _Count = 1


class _Reference(_Form):
    value: _Number
    source: str
    tolerance: _Number


class _Run(_Form):
    task: str
    status: Literal["running", "interrupted", "failed", "finished"]
    spec: _Spec
    citations: list[str] = []
    ladder: str | None = None
    measures: list[Measure] | None = None
    panels: list[Panel] = []
    costs: list[str] = []
    units: dict[str, str] = {}
    files: dict[str, str] = {}


class _FinishedRun(_Run):
    steps: _Count
    final: dict[str, _Number | list[_Number]]
    reference: dict[str, _Reference]
    seconds: _Seconds
    compile_seconds: _Seconds
    write_seconds: _Seconds = 0.0
    draw_seconds: _Seconds = 0.0


class _Row(_Form):
    folder: _Inside
    status: Literal["pending", "finished", "failed", "skipped"]
    previous: _Inside | None = None


class _RunRow(_Row):
    start: str


class _Trials(_Form):
    seed: int
    runs: list[_Row]


class _Table(_Form):
    task: str
    runs: list[_RunRow]
    swept: list[str] = []
    drawn: list[_Inside] = []
    tuning: _Trials | None = None


class _Environment(_Form):
    versions: dict[str, str]
    threads: int
    device: str


class _Account(_Form):
    step: _Count
    log_bytes: _Count
    draws_bytes: _Count = 0
    seconds: dict[str, _Seconds]
    spec: _Spec
    environment: _Environment


def check_run(document: Mapping[str, Any]) -> None:
    """Does nothing to run.json of a run.

    Raises:
        ValueError: it is none.
    """
    _check(_FinishedRun if document.get("status") == "finished" else _Run, document)
    if document["spec"].get("task") != document["task"]:
        raise ValueError("its task is not that of its spec")


def check_table(document: Mapping[str, Any]) -> None:
    """Does nothing to table.json of a sweep.

    Raises:
        ValueError: it is none.
    """
    _check(_Table, document)


def check_account(document: Mapping[str, Any]) -> None:
    """Does nothing to the account of a checkpoint.

    Raises:
        ValueError: it is none.
    """
    _check(_Account, document)
    if document["step"] > document["spec"].get("steps", document["step"]):
        raise ValueError("its step is beyond those of its spec")


def _check(form: type[_Form], document: Mapping[str, Any]) -> None:
    try:
        form.model_validate(document)
    except ValidationError as error:
        place = ".".join(map(str, error.errors(include_url=False, include_input=False)[0]["loc"]))
        raise ValueError(f"its {place} is not what it should be") from None
