"""Files that a crash cannot tear, and what ours are called.

This module imports pydantic and the standard library only, so that a command line refuses a folder before it loads
anything heavy.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import IO, Any

from ..errors import RefusedError, StorageError
from ..reading import reading
from .forms import FOLDER_OF_TRIALS, check_run, check_table
from .opened import content_of
from .seal import check_seal, sealed

RUN, LOG, DRAWS, RESULT, FIGURE = "run.json", "metrics.jsonl", "draws.bin", "result.nc", "figure.png"
OBSERVABLES = "observables.png"
FORMATS = ("png", "pdf", "svg")
"""Of figures; the names above are those of the first."""
CHECKPOINT, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"
TABLE = "table.json"
TUNING, RATE, DRAWN = FOLDER_OF_TRIALS, "learning_rate", "drawn"  # keys of table.json, and the option of tuning
LOCK, PART = ".lock", ".part"


def sync_folder(folder: pathlib.Path) -> None:
    """Makes renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: pathlib.Path, write: Callable[[IO[bytes]], object], *, keep: pathlib.Path | None = None) -> None:
    """Writes a file whole beside its place, then renames it there; `keep` is where the old one goes."""
    part = path.with_name(path.name + PART)
    try:
        part.unlink(missing_ok=True)  # what a kill left, or a link that somebody put there
        with part.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            path.replace(keep)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def reported(path: pathlib.Path, where: str = "") -> Iterator[None]:
    """Turns a failed write into a sentence; `where` a resumed run continues."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"Cannot write to {path} ({error.strerror or error}); free some space, then --resume continues{where}."
        ) from error


def write_json(path: pathlib.Path, document: Mapping[str, Any]) -> None:
    """A JSON file with a checksum of itself, replaced whole."""
    text = json.dumps(sealed(document), indent=2) + "\n"
    replace_file(path, lambda file: file.write(text.encode()))


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {RUN: check_run, TABLE: check_table}


def read_json(path: pathlib.Path, *keys: str) -> dict[str, Any]:
    """run.json or table.json, which has these keys: as it was written, and of the types that are written.

    Raises:
        RefusedError: it is not ours, or it is damaged.
    """
    with reading(path, "the damaged file", "give another folder"):
        document = json.loads(content_of(path).decode())
        ours = isinstance(document, dict) and document.keys() >= set(keys)
        if ours:
            check_seal(document)
            _CHECKS[path.name](document)
    if not ours:
        raise RefusedError(f"{path} was not written by qnat; give the folder of a run.")
    return document


def figure_files(path: pathlib.Path, name: str, formats: Collection[str] = ()) -> list[pathlib.Path]:
    """The files of a figure: in these formats, and in those in which it stands there and would else be old."""
    files = {kind: path / pathlib.PurePath(name).with_suffix(f".{kind}") for kind in FORMATS}
    return [file for kind, file in files.items() if kind in formats or file.exists()]


def read_run(path: pathlib.Path) -> dict[str, Any]:
    """run.json of the folder of a run."""
    if not os.path.lexists(path / RUN):
        raise RefusedError(f"{path} is not the folder of a run (it has no {RUN}).")
    return read_json(path / RUN, "task", "status", "spec")


def read_table(path: pathlib.Path) -> dict[str, Any]:
    """table.json of a folder that is not one of a run."""
    if not os.path.lexists(path / TABLE):
        raise RefusedError(f"{path} is not the folder of a run or a sweep (it has no {RUN} and no {TABLE}).")
    return read_json(path / TABLE, "task", "runs")


def jsonable(value: Any) -> Any:
    """Nested values with numbers that JSON lacks (nan, inf) as strings, which `float` reads back."""
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and value - value != 0.0:
        return str(value)
    return value
