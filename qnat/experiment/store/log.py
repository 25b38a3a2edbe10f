"""Files that grow while a run lasts."""

import contextlib
import json
import os
import pathlib
from typing import Any

from .files import jsonable


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
