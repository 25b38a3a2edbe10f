"""Files that grow while a run lasts."""

import contextlib
import json
import os
import pathlib
from typing import Any

from ..reading import reading
from .files import jsonable, replace_file
from .opened import open_ours
from .seal import hash_of

_TAIL = 2**16
"""Bytes at the end of a log in which its last row is looked for."""


class Appended:
    """A file that grows while a run lasts; what a checkpoint does not count is cut off when the run is resumed."""

    def __init__(self, path: pathlib.Path, length: int) -> None:
        _have_alone(path, length)
        self._file = os.fdopen(open_ours(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "ab")
        self._hash = hash_of(path, length)
        self._file.truncate(length)
        self._file.seek(0, os.SEEK_END)

    def append(self, data: bytes) -> None:
        """Adds bytes; they are in the hands of the system, though not yet on the disk, on return."""
        self._file.write(data)
        self._file.flush()
        self._hash.update(data)

    def sync(self) -> tuple[int, str]:
        """Puts the bytes on the disk; returns the length of the file and its checksum."""
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size, self.checksum

    @property
    def checksum(self) -> str:
        """That of all bytes so far."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Closes the file; what could not be written was reported when it was tried."""
        with contextlib.suppress(OSError):
            self._file.close()


def _have_alone(path: pathlib.Path, length: int) -> None:
    """Copies the first bytes of a file that has a second name, a hard link: what has that name stays as it is."""
    if not path.exists():
        return
    with os.fdopen(open_ours(path), "rb") as file:
        if os.fstat(file.fileno()).st_nlink > 1:
            content = file.read(length)
            replace_file(path, lambda copy: copy.write(content))


def log_lines(rows: list[dict[str, Any]]) -> bytes:
    """Rows for metrics.jsonl: one JSON object a step, without wall time, so that a rerun writes the same bytes."""
    return "".join(json.dumps(jsonable(row)) + "\n" for row in rows).encode()


def last_row(path: pathlib.Path) -> dict[str, Any]:
    """The last whole row of a log, with the last values of what it does not have; empty if there is none.

    Raises:
        RefusedError: it cannot be read.
    """
    row: dict[str, Any] = {}
    if not path.exists():
        return row
    with reading(path, "the damaged file"), os.fdopen(open_ours(path), "rb") as file:
        start = max(0, os.fstat(file.fileno()).st_size - _TAIL)
        file.seek(start)
        lines = file.read().split(b"\n")
        for line in reversed(lines[1 if start else 0 : -1]):
            row = json.loads(line) | row
    return row


def read_log(path: pathlib.Path, length: int, seeds: int) -> list[dict[str, Any]]:
    """The rows in the first `length` bytes of a log.

    Raises:
        RefusedError: it cannot be read, or holds something else than a row of numbers for every step.
    """
    with reading(path, "the damaged file", "--force starts the run anew"):
        with os.fdopen(open_ours(path), "rb") as file:
            rows = [json.loads(line) for line in file.read(length).splitlines()]
        for step, row in enumerate(rows):
            if row["step"] != step or any(_count(value) != seeds for name, value in row.items() if name != "step"):
                raise ValueError(f"line {step + 1} is not the row of step {step}")
    return rows


def _count(values: Any) -> int:
    """How many numbers these are."""
    each = values if isinstance(values, list) else [values]
    return len([float(value) for value in each])
