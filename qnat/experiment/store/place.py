"""The folder of a run: whose it is, and who may write it."""

import contextlib
import fcntl
import json
import os
import pathlib
import stat
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from ..errors import RefusedError
from ..reading import reading
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
    read_json,
    read_run,
    sync_folder,
)
from .opened import check_regular, content_of, open_ours
from .seal import hash_of

_OURS = (LOG, DRAWS, RESULT, FIGURE, CHECKPOINT, PREVIOUS, RUN)


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
    if not is_taken(path, "run", RUN):
        return "new"
    for name in _OURS:
        check_regular(path / name)
        check_regular(path / (name + PART))
    if force:
        return "new"
    if not resume:
        raise RefusedError(f"{path} already holds a run; --resume continues it, --force replaces it.")
    stored = read_run(path)
    if (other := difference(stored["spec"], record)) is not None:
        before, now = stored["spec"].get(other), jsonable(dict(record)).get(other)
        raise RefusedError(
            f"{path} holds another run: its {other} is {_brief(before)}, not {_brief(now)}; "
            "a run is resumed with the same options (only steps may grow)."
        )
    ended = stored["status"] == "finished" and stored["spec"]["steps"] == record["steps"]
    return "finished" if ended and (is_whole(path, stored) or not _has_checkpoint(path)) else "unfinished"


def difference(old: Mapping[str, Any], record: Mapping[str, Any]) -> str | None:
    """The first word of a stored record that is another in this one; steps may grow."""
    new = json.loads(json.dumps(jsonable(dict(record))))
    # what a file said is told apart by its digest: records of version 0.1 have nothing else; a digest that an older
    # record lacks tells nothing, and then the name of the file does
    young = {name for name in new if name.endswith("_sha256") and name not in old}
    names = [name for name in new if name not in young and (f"{name}_sha256" not in new or f"{name}_sha256" in young)]
    for name in [*names, *(key for key in old if key not in new)]:
        before, now = old.get(name), new.get(name)
        if before != now and not (name == "steps" and before is not None and now > before):
            return name
    return None


def is_whole(path: pathlib.Path, stored: Mapping[str, Any]) -> bool:
    """Whether the result of a finished run is the one that it wrote; whether there is one, if no checksum is known."""
    if not (path / RESULT).exists():
        return False
    known = stored.get("files", {}).get(RESULT)
    return known is None or hash_of(path / RESULT).hexdigest() == known


def _has_checkpoint(path: pathlib.Path) -> bool:
    return any((path / name).exists() for name in (CHECKPOINT, PREVIOUS))


_BEGINS = b'{\n  "task": '
"""How run.json and table.json begin."""


def is_taken(path: pathlib.Path, what: str, marker: str) -> bool:
    """Whether a run or a sweep of ours stands here, told by what its file `marker` says; False if the place is free.

    Raises:
        RefusedError: something else stands here, a link among them, or nothing can be written here.
    """
    _check_no_link(path)
    if os.path.lexists(path / marker):
        read_json(path / marker, "task")
        return True
    found = list(path.iterdir()) if check_writable(path) else []
    if foreign := sorted(item.name for item in found if not _is_trace(item, marker)):
        raise RefusedError(f"{path} is not the folder of a {what} (it holds {foreign[0]}); give an empty or a new one.")
    return False


def _is_trace(item: pathlib.Path, marker: str) -> bool:
    """Whether a file is all that a run left which was killed before its folder said whose it is."""
    if item.name not in (LOCK, marker + PART) or not stat.S_ISREG(item.lstat().st_mode):
        return False
    with reading(item, instead="give another folder"):
        found = content_of(item)
    return found == b"" if item.name == LOCK else found[: len(_BEGINS)] == _BEGINS[: len(found)]


def inside(path: pathlib.Path, folder: str) -> pathlib.Path:
    """The folder of a run in that of a sweep.

    Raises:
        RefusedError: it, or the folder on the way, is a link to somewhere else.
    """
    place = path
    for part in folder.split("/"):
        place /= part
        _check_no_link(place)
    return place


def _check_no_link(place: pathlib.Path) -> None:
    if place.is_symlink():
        raise RefusedError(f"{place} is a symbolic link, which is not followed; give the folder that it names.")


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
        file = os.fdopen(open_ours(path / LOCK, os.O_RDWR | os.O_CREAT), "r+b")
    except OSError as error:
        raise RefusedError(f"Cannot write to {path} ({error.strerror}); give a folder that you may write.") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(f"Another process is writing {path}; wait for it, or give another folder.") from None
        yield


def is_held(path: pathlib.Path) -> bool:
    """Whether a process writes the folder now."""
    if not (path / LOCK).exists():
        return False
    with os.fdopen(open_ours(path / LOCK), "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def clear(path: pathlib.Path) -> None:
    """Removes the files of a run, and nothing else; run.json last, by which the folder is known as ours."""
    for name in (*(file.name for file in figure_files(path, FIGURE)), *_OURS):
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
