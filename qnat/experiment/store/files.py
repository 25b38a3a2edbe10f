"""The folder of a run: whose it is, who may write it, and writes that a crash cannot tear.

This module imports the standard library only, so that a command line refuses a folder before it loads anything.
"""

import contextlib
import fcntl
import json
import os
import pathlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import IO, Any, Literal

from ..errors import RefusedError, StorageError

RUN, LOG, DRAWS, RESULT, FIGURE = "run.json", "metrics.jsonl", "draws.bin", "result.nc", "figure.png"
OBSERVABLES = "observables.png"
CHECKPOINT, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"
TABLE = "table.json"
TUNING, RATE, DRAWN = "tuning", "learning_rate", "drawn"  # keys of table.json, and the option that tuning chooses
_LOCK, _PART = ".lock", ".part"
_OURS = (RUN, LOG, DRAWS, RESULT, FIGURE, CHECKPOINT, PREVIOUS)

Standing = Literal["new", "unfinished", "finished"]


def sync_folder(folder: pathlib.Path) -> None:
    """Makes renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: pathlib.Path, write: Callable[[IO[bytes]], object], *, keep: pathlib.Path | None = None) -> None:
    """Writes a file whole beside its place, then renames it there; `keep` is where the old one goes."""
    part = path.with_name(path.name + _PART)
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


def standing(path: pathlib.Path, record: Mapping[str, Any], *, resume: bool, force: bool) -> Standing:
    """What a run with this record finds at `path`. Reads only.

    Args:
        path: the folder. record: the resolved spec. resume: continue what is there. force: replace what is there.

    Raises:
        RefusedError: the place is taken by something that this run may not touch or continue.
    """
    if resume and force:
        raise RefusedError("resume and force exclude each other: continue the run or replace it.")
    if not is_taken(path, "run", RUN, _OURS) or force:
        return "new"
    if not resume:
        raise RefusedError(f"{path} already holds a run; --resume continues it, --force replaces it.")
    stored = read_run(path)
    old, new = stored["spec"], json.loads(json.dumps(jsonable(dict(record))))
    # what a file said is told apart by its digest: records of version 0.1 have nothing else
    names = [name for name in new if f"{name}_sha256" not in new]
    for name in [*names, *(key for key in old if key not in new)]:
        before, now = old.get(name), new.get(name)
        if before != now and not (name == "steps" and before is not None and now > before):
            raise RefusedError(
                f"{path} holds another run: its {name} is {_brief(before)}, not {_brief(now)}; "
                "a run is resumed with the same options (only steps may grow)."
            )
    return "finished" if stored["status"] == "finished" and old["steps"] == new["steps"] else "unfinished"


def is_taken(path: pathlib.Path, what: str, marker: str, ours: Collection[str]) -> bool:
    """Whether a run or a sweep stands here, told by its file `marker`; False if the place is free.

    Raises:
        RefusedError: something else stands here, or nothing can be written here.
    """
    with contextlib.suppress(OSError):  # what cannot be looked at cannot be written either, and is refused below
        if (path / marker).exists():
            return True
    found = [item.name for item in path.iterdir()] if check_writable(path) else []
    if foreign := [name for name in found if name.removesuffix(_PART) not in (*ours, _LOCK)]:
        raise RefusedError(
            f"{path} is not the folder of a {what} (it holds {min(foreign)}); give an empty or a new one."
        )
    return False


def check_writable(path: pathlib.Path) -> bool:
    """Refuses what is not, or cannot become, a folder to write to; returns whether it exists."""
    try:
        there = next(place for place in (path, *path.absolute().parents) if place.exists())
    except OSError as error:
        raise RefusedError(f"Cannot use {path} ({error.strerror}); give a folder that you may write.") from None
    if not there.is_dir():
        raise RefusedError(f"{there} is a file; give a folder.")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise RefusedError(f"Cannot write to {there}; give a folder that you may write.")
    return there == path


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


@contextlib.contextmanager
def locked(path: pathlib.Path) -> Iterator[None]:
    """Holds the folder, made if need be, for this process; the lock dies with the process.

    Raises:
        RefusedError: another process holds it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / _LOCK).open("wb")
    except OSError as error:
        raise RefusedError(f"Cannot write to {path} ({error.strerror}); give a folder that you may write.") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(f"Another process is writing {path}; wait for it, or give another folder.") from None
        yield


def clear(path: pathlib.Path) -> None:
    """Removes the files of a run, and nothing else."""
    for name in _OURS:
        for file in (path / name, path / (name + _PART)):
            file.unlink(missing_ok=True)
    sync_folder(path)


def next_free(parent: pathlib.Path, stem: str) -> pathlib.Path:
    """Makes and returns the first of parent/stem-1, parent/stem-2, ... that does not exist."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = parent / f"{stem}-{number}"
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


class Appended:
    """A file that grows while a run lasts; what a checkpoint does not count is cut off when the run is resumed."""

    def __init__(self, path: pathlib.Path, length: int) -> None:
        self._file = path.open("ab")
        self._file.truncate(length)
        self._file.seek(0, os.SEEK_END)

    def append(self, data: bytes) -> None:
        """Adds bytes; they are in the hands of the system, though not yet on the disk, on return."""
        self._file.write(data)
        self._file.flush()

    def sync(self) -> int:
        """Puts the bytes on the disk; returns the length of the file."""
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Closes the file; what could not be written was reported when it was tried."""
        with contextlib.suppress(OSError):
            self._file.close()


def log_lines(rows: list[dict[str, Any]]) -> bytes:
    """Rows for metrics.jsonl: one JSON object a step, without wall time, so that a rerun writes the same bytes."""
    return "".join(json.dumps(jsonable(row)) + "\n" for row in rows).encode()


def read_log(path: pathlib.Path, length: int) -> list[dict[str, Any]]:
    """The rows in the first `length` bytes of a log."""
    with path.open("rb") as file:
        data = file.read(length)
    return [json.loads(line) for line in data.splitlines()]
