"""Files in a folder of ours, opened so that nothing outside of it is read or written."""

import os
import pathlib
import stat

from ..errors import RefusedError

LARGEST_DOCUMENT = 2**28
"""Bytes of a JSON file that is read in whole: a sweep of half a million runs has less."""


def open_ours(path: pathlib.Path, flags: int = os.O_RDONLY) -> int:
    """The descriptor of a regular file; no link is followed, no pipe waited for.

    Raises:
        RefusedError: something else stands there, or it cannot be read. OSError: it cannot be written.
    """
    check_regular(path)
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if flags != os.O_RDONLY:
            raise
        raise RefusedError(f"Cannot read {path} ({error.strerror}); give a folder that you may read.") from None
    return descriptor


def check_regular(path: pathlib.Path) -> None:
    """Refuses a link, a folder, a pipe or a device where a file of ours stands or will stand."""
    try:
        mode = path.lstat().st_mode
    except OSError:  # nothing there; or nothing to be seen, which opening it tells
        return
    if not stat.S_ISREG(mode):
        what = "a symbolic link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise RefusedError(f"{path} is {what}, which is not followed; give another folder, or put a file in its place.")


def content_of(path: pathlib.Path) -> bytes:
    """All bytes of a document.

    Raises:
        RefusedError: it is no regular file, or cannot be read. ValueError: it is too large to be one.
    """
    with os.fdopen(open_ours(path), "rb") as file:
        if os.fstat(file.fileno()).st_size > LARGEST_DOCUMENT:
            raise ValueError("it is too large")
        return file.read()
