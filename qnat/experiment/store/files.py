"""Files that a crash cannot tear, and what ours are called.

This module imports the standard library only, so that a command line refuses a folder before it loads anything.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import IO, Any

from ..errors import RefusedError, StorageError

RUN, LOG, DRAWS, RESULT, FIGURE = "run.json", "metrics.jsonl", "draws.bin", "result.nc", "figure.png"
OBSERVABLES = "observables.png"
FORMATS = ("png", "pdf", "svg")
"""Of figures; the names above are those of the first."""
CHECKPOINT, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"
TABLE = "table.json"
TUNING, RATE, DRAWN = "tuning", "learning_rate", "drawn"  # keys of table.json, and the option that tuning chooses
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
        with part.open("wb") as file:
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
    """A JSON file, replaced whole."""
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    replace_file(path, lambda file: file.write(text.encode()))


def read_json(path: pathlib.Path, *keys: str) -> dict[str, Any]:
    """A JSON file of ours, which has these keys."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RefusedError(f"Cannot read {path} ({error}); give the folder of a run.") from None
    if not isinstance(document, dict) or not document.keys() >= set(keys):
        raise RefusedError(f"{path} was not written by qnat; give the folder of a run.")
    return document


def figure_files(path: pathlib.Path, name: str, formats: Collection[str] = ()) -> list[pathlib.Path]:
    """The files of a figure: in these formats, and in those in which it stands there and would else be old."""
    files = {kind: path / pathlib.PurePath(name).with_suffix(f".{kind}") for kind in FORMATS}
    return [file for kind, file in files.items() if kind in formats or file.exists()]


def read_run(path: pathlib.Path) -> dict[str, Any]:
    """run.json of the folder of a run."""
    if not (path / RUN).exists():
        raise RefusedError(f"{path} is not the folder of a run (it has no {RUN}).")
    return read_json(path / RUN, "task", "status", "spec")


def jsonable(value: Any) -> Any:
    """Nested values with numbers that JSON lacks (nan, inf) as strings, which `float` reads back."""
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and value - value != 0.0:
        return str(value)
    return value
