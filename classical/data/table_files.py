"""What stands in the file of a table.

A file is a text of one row an item, its values apart by commas, semicolons, tabs or blanks, below a line of names or
not, or a .npy file of two axes; both also gzipped. What is empty, NA, NaN or ? is missing. Columns without names are
called 0, 1, … A column of words can say which sequence a row belongs to, and is left out otherwise.
"""

import csv
import functools
import itertools
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from qnat.experiment.reading import opened, reading, shown, text_lines

from .headers import THE_DATA, Source

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-nan"})
_DELIMITERS = (",", ";", "\t")
_NUMPY = b"\x93NUMPY"
_QUOTED = re.compile('"[^"]*"')


class Words(NamedTuple):
    """A column that is none of numbers.

    Attributes:
        codes: (N,) equal where entries are, NaN where one is missing. line, word: of the first that is no number.
    """

    codes: Float[np.ndarray, " N"]
    line: int
    word: str


class Read(NamedTuple):
    """A file. values: (N, d), NaN where an entry is missing or a word. words: of the columns that hold some."""

    names: tuple[str, ...]
    values: Float[np.ndarray, "N d"]
    words: dict[int, Words]


@functools.lru_cache(maxsize=2)
def read(found: Source, _stamps: tuple[tuple[int, int], ...]) -> Read:
    """The file or bundled table of a source; kept as long as the stamps of its file are the same.

    Raises:
        RefusedError: it is no table, named with the line where that shows.
    """
    if not found.files:
        return _bundled(found.name)
    with reading(found.name, THE_DATA):
        (path,) = found.files
        with opened(path) as file:
            begins = file.read(len(_NUMPY))
        made = _numpy(path) if begins == _NUMPY else _text(path)
    made.values.setflags(write=False)
    return made


def _bundled(name: str) -> Read:
    from sklearn import datasets

    # as measured: scikit-learn's default is one length for all columns
    found = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    names = tuple(each.removesuffix(" (cm)").replace(" ", "_").replace("/", "_") for each in found.feature_names)
    return Read(names, np.array(found.data, float), {})


def _numpy(path: pathlib.Path) -> Read:
    with opened(path) as file:
        values = np.lib.format.read_array(file, allow_pickle=False)
    if values.ndim != 2 or values.dtype.kind not in "biuf" or not values.size:
        raise ValueError(f"it holds an array of shape {values.shape} and type {values.dtype}, not rows of numbers")
    return Read(tuple(map(str, range(values.shape[1]))), values.astype(float), {})


def _text(path: pathlib.Path) -> Read:
    with text_lines(path) as lines:
        cells = _cells(lines)
        head = next(cells, None)
        if head is None:
            raise ValueError("it has no rows")
        _, first = head
        named = _named(first)
        names = tuple((named and shown(word, 60)) or str(i) for i, word in enumerate(first))
        if len(set(names)) < len(names):
            raise ValueError(f"two columns are called {next(n for n in names if names.count(n) > 1)}")
        at: list[int] = []
        rows: list[list[float | str]] = []
        for pair in itertools.chain([] if named else [head], cells):
            at.append(pair[0])
            rows.append(_row(pair, len(names)))
    if not rows:
        raise ValueError("it has names of columns and no rows")
    columns = ([row[i] for row in rows] for i in range(len(names)))
    words = {i: _words(column, at) for i, column in enumerate(columns) if any(map(_is_word, column))}
    values = [[np.nan if _is_word(each) else each for each in row] for row in rows]
    return Read(names, np.array(values), words)


def _named(first: list[str]) -> bool:
    """Whether the values of the first line are names. Numbers among them are, as years, where they are whole."""
    numbers = [_number(word) for word in first]
    if None not in numbers:
        return False
    if broken := [word for word, number in zip(first, numbers, strict=True) if number is not None and number % 1 > 0]:
        word = first[numbers.index(None)]
        raise ValueError(
            f"the first line has the number {shown(broken[0], 40)} and '{shown(word, 40)}', which is none; mend it, or "
            "put a line of names above"
        )
    return True


def _cells(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """The number of a line and its values; comments behind # and empty lines left out."""
    delimiter: str | None = None
    empty = 0
    for number, line in enumerate(lines, start=1):
        if not (text := line.partition("#")[0].strip("\r\n ")):
            empty = number if delimiter and "#" not in line else empty
            continue
        if delimiter is None:
            delimiter = next((each for each in _DELIMITERS if each in _QUOTED.sub("", text)), " ")
        if delimiter == " ":
            text = " ".join(text.split())
        words = [word.strip() for word in next(csv.reader([text], delimiter=delimiter))]
        if empty and len(words) == 1:  # of which an empty one may be one that is missing
            raise ValueError(f"line {empty} is empty; write NA for a value that is missing, or take the line out")
        yield number, words


def _number(word: str) -> float | None:
    if word.lower() in _MISSING:
        return np.nan
    if "_" in word:  # which Python's numbers may have
        return None
    try:
        return float(word)
    except ValueError:
        return None


def _is_word(entry: float | str) -> bool:
    return isinstance(entry, str)


def _words(column: list[float | str], lines: list[int]) -> Words:
    first = next(i for i, entry in enumerate(column) if _is_word(entry))
    codes = np.unique([str(entry) for entry in column], return_inverse=True)[1].reshape(-1).astype(float)
    missing = np.array([not _is_word(entry) and np.isnan(entry) for entry in column])
    return Words(np.where(missing, np.nan, codes), lines[first], str(column[first]))


def _row(pair: tuple[int, list[str]], width: int) -> list[float | str]:
    """The numbers of a row, words where they are none."""
    line, words = pair
    if len(words) != width:
        raise ValueError(f"line {line} has {len(words)} values, and the first one {width}")
    return [word if (number := _number(word)) is None else number for word in words]
