"""The folder of a run: whose it is, and who may write it."""

import contextlib
import fcntl
import json
import os
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from ..errors import RefusedError
from .files import (
    CHECKPOINT,
    DRAWS,
    FIGURE,
    LOCK,
    LOG,
    PART,
    PREVIOUS,
    RESULT,
    RUN,
    figure_files,
    jsonable,
    read_run,
    sync_folder,
)

_OURS = (RUN, LOG, DRAWS, RESULT, FIGURE, CHECKPOINT, PREVIOUS)


Standing = Literal["new", "unfinished", "finished"]


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
    if foreign := [name for name in found if name.removesuffix(PART) not in (*ours, LOCK)]:
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
        file = (path / LOCK).open("wb")
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
    for name in (*_OURS, *(file.name for file in figure_files(path, FIGURE))):
        for file in (path / name, path / (name + PART)):
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
