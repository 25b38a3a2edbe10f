"""Files that are not ours: read within bounds, and whatever is wrong with one becomes a sentence.

This module imports the standard library only, so that a command line refuses a file before it loads anything.
"""

import codecs
import contextlib
import gzip
import io
import json
import os
import pathlib
import stat
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any, NoReturn

from .console import literal
from .errors import RefusedError

LARGEST_TEXT = 2**26
"""Bytes of a text that is read in whole: 64 MiB, some million terms of a Hamiltonian."""

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (lambda _: True, "a device"),
)


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], what: str = "", instead: str = "give a whole file") -> Iterator[None]:
    """Turns whatever goes wrong with a file into one sentence that names it; a `RefusedError` passes as it is.

    Args:
        path: the file. what: in words, such as "the data in". instead: what to do.

    Raises:
        RefusedError: nothing else leaves this context, but for what ends the process.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # what is wrong is said below, what is not needs no words
            yield
    except RefusedError:
        raise
    except Exception as error:  # parsers of several libraries, on files that may be damaged in any way
        named = f"{what} {shown(path, 4096)}".strip()
        raise RefusedError(f"Cannot read {named} ({_told(error)}); {instead}.") from error


def _told(error: Exception) -> str:
    """What went wrong, in a few words."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeError):
        return "it is not text in UTF-8"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError) and not str(error):
        return "it does not fit into memory"
    return shown(str(error).strip().partition("\n")[0]) or type(error).__name__


def shown(text: object, most: int = 200) -> str:
    """Words of someone else as they stand in a sentence: on one line, without control characters, not too long."""
    short = str(text)
    short = short if len(short) <= most else short[: most - 3] + "..."
    return literal(short)


def present_memory() -> int:
    """The bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def opened(path: str | os.PathLike[str], most: int | None = None) -> IO[bytes]:
    """A regular file, unpacked as it is read if it is gzipped.

    Args:
        path: the file. most: bytes that may be read of it, unpacked ones; None for as many as fit into memory twice.

    Raises:
        OSError: it is not there, or no regular file: a pipe would wait for ever, a device never end.
        ValueError: while it is read: there are more bytes.
    """
    place = pathlib.Path(path)
    mode = place.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(f"it is {next(name for is_one, name in _KINDS if is_one(mode))}, not a regular file")
    inner = gzip.open(place) if is_packed(place) else place.open("rb", buffering=0)  # noqa: SIM115 (what is returned closes it)
    return io.BufferedReader(_Bounded(inner, present_memory() // 2 if most is None else most))


def is_packed(path: pathlib.Path) -> bool:
    """Whether a file is gzipped, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


class _Bounded(io.RawIOBase):
    """The first bytes of a file; to ask for more than those is an error."""

    def __init__(self, file: Any, most: int) -> None:
        self._file, self._most, self._left = file, most, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            found = self._file.read(len(view))
            self._left -= len(found)
            if self._left < 0:
                raise ValueError(f"it holds more than {self._most / 2**20:.4g} MiB")
            view[: len(found)] = found
        return len(found)

    def tell(self) -> int:
        return self._most - self._left

    def close(self) -> None:
        self._file.close()
        super().close()


def text_of(path: str | os.PathLike[str]) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark, also gzipped.

    Raises:
        OSError, ValueError: it cannot be read, is too large, or is no such text; for `reading` to say.
    """
    with opened(path, LARGEST_TEXT) as file:
        content = file.read()
    _check_encoding(content)
    text = content.decode("utf-8-sig")
    if "\0" in text:
        raise ValueError("it is not text in UTF-8: it holds zero bytes")
    return text


@contextlib.contextmanager
def text_lines(path: str | os.PathLike[str]) -> Iterator[IO[str]]:
    """The lines of a text as of `text_of`, of any size that fits into memory."""
    with opened(path) as file:
        _check_encoding(file.read(4))
    with opened(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig") as lines:
        yield lines


def _check_encoding(content: bytes) -> None:
    for mark, name in _MARKS:
        if content.startswith(mark):
            raise ValueError(f"it is not text in UTF-8, but in {name}")


def json_of(text: str) -> Any:
    """The value of a JSON text, in which no object has a key twice.

    Raises:
        ValueError: it is not valid JSON, with the line, or has a key twice, which the standard library would pass over.
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: this is not valid JSON, {error.msg}") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = max(Counter(name for name, _ in pairs).items(), key=lambda item: item[1])[0]
        raise ValueError(f"'{shown(twice, 40)}' stands twice in one object; add up what belongs together")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")
