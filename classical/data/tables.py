"""Tables of numbers with names, in which entries may be missing: four that come with scikit-learn, and one's own.

A file is a text of one row an item, its values apart by commas, semicolons, tabs or blanks, below a line of names or
not, or a .npy file of two axes; both also gzipped. What is empty, NA, NaN or ? is missing. Columns without names are
called 0, 1, …
"""

import csv
import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from qnat.experiment.errors import RefusedError
from qnat.experiment.reading import opened, reading, shown, text_lines

from .headers import THE_DATA, Source, table_source

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-nan"})
_DELIMITERS = (",", ";", "\t")
_LARGEST = 1e100
_NUMPY = b"\x93NUMPY"


class Table(NamedTuple):
    """N rows of d columns. Those of `table` are read-only.

    Attributes:
        values: (N, d), NaN where an entry is missing. names: of the columns.
        weights: (N,) of the rows, not negative; None if they count alike.
        sequence: (N,) the number 0, 1, … of the sequence that a row belongs to; None if rows are independent.
        dropped: how many rows were left out because nothing is known of them, or they have weight 0.
    """

    values: Float[np.ndarray, "N d"]
    names: tuple[str, ...]
    weights: Float[np.ndarray, " N"] | None = None
    sequence: Int[np.ndarray, " N"] | None = None
    dropped: int = 0


def table(
    name: str,
    *,
    columns: str | None = None,
    weight: str | None = None,
    sequence: str | None = None,
    ordered: bool = False,
) -> Table:
    """A table by name or path, or some of its columns.

    Args:
        name: iris, wine, diabetes, breast_cancer, or a path. columns: names or numbers of columns, with commas between
            them; None takes all but the two others. weight: the column of weights. sequence: the column that says to
            which sequence a row belongs. ordered: whether rows follow each other in time: they stay also where nothing
            is known of them, and have the weight of their sequence.

    Raises:
        RefusedError: there is no such file or column; a value is no number, too large or not finite; a column has no
            value; weights are negative, missing, sum to zero, or differ in a sequence.
    """
    found = table_source(name)
    names, values = _read(found, found.stamps())
    known = Columns(name, names)
    given = {each: known.place(each) for each in (weight, sequence) if each is not None}
    chosen = [i for i in range(len(names)) if i not in given.values()]
    if columns is not None:
        chosen = [known.place(each.strip()) for each in columns.split(",")]
    if twice := [names[i] for i in chosen if chosen.count(i) > 1 or i in given.values()]:
        raise RefusedError(f"Column {twice[0]} is asked for twice; name it once.")
    if not chosen:
        raise RefusedError(f"The data in {shown(name, 4096)} have no column left; name other columns.")
    kept = values[:, chosen]
    weights = None if weight is None else _weights(values[:, given[weight]], names[given[weight]])
    of = None if sequence is None else _sequence(values[:, given[sequence]], names[given[sequence]])
    if ordered and weights is not None:
        _check_alike(weights, np.zeros(len(kept), int) if of is None else of)
    there = np.ones(len(kept), bool) if ordered else ~np.isnan(kept).all(axis=1)
    if weights is not None:
        there &= weights > 0
        weights = weights[there]
    kept = kept[there]
    _check(kept, [names[i] for i in chosen], name)
    kept.setflags(write=False)
    # sequences are counted once those of weight 0 are left out
    of = None if of is None else _numbered(of[there])
    return Table(kept, tuple(names[i] for i in chosen), weights, of, int((~there).sum()))


class Columns(NamedTuple):
    """The names of the columns of a table, asked for by name or number."""

    data: str
    names: Sequence[str]

    def place(self, asked: str) -> int:
        if asked in self.names:
            return list(self.names).index(asked)
        if asked in (numbers := [str(i) for i in range(len(self.names))]):
            return numbers.index(asked)
        few = ", ".join(shown(name, 40) for name in self.names[:20]) + (", …" if len(self.names) > 20 else "")
        raise RefusedError(
            f"The data in {shown(self.data, 4096)} have no column '{shown(asked, 60)}'; they have {few}."
        )


def _check(values: Float[np.ndarray, "N d"], names: Sequence[str], data: str) -> None:
    where = f"of the data in {shown(data, 4096)}"
    for i, name in enumerate(names):
        column = values[:, i]
        seen = column[~np.isnan(column)]
        if not seen.size:
            raise RefusedError(f"Column {name} {where} has no value at all; leave it out with columns.")
        if np.isinf(seen).any():
            raise RefusedError(f"Column {name} {where} holds a value that is not finite; mark it as missing, NA.")
        if np.abs(seen).max() > _LARGEST:
            raise RefusedError(f"Column {name} {where} holds values above {_LARGEST:.0e}; scale it.")


def _weights(column: Float[np.ndarray, " N"], name: str) -> Float[np.ndarray, " N"]:
    if (wrong := column[~((column >= 0) & (column <= _LARGEST))]).size:
        raise RefusedError(
            f"The weights in column {name} hold {wrong[0]:g}; weights are numbers from 0 to {_LARGEST:.0e}."
        )
    if not column.sum() > 0:
        raise RefusedError(f"The weights in column {name} sum to zero; give some row a weight.")
    return column


def _check_alike(weights: Float[np.ndarray, " N"], of: Int[np.ndarray, " N"]) -> None:
    first = weights[np.unique(of, return_index=True)[1]][of]
    if (wrong := np.flatnonzero(weights != first)).size:
        row = wrong[0]
        raise RefusedError(
            f"Row {row + 1} has weight {weights[row]:g} and another of its sequence {first[row]:g}; give all rows of a "
            "sequence the same weight."
        )


def _sequence(column: Float[np.ndarray, " N"], name: str) -> Int[np.ndarray, " N"]:
    if not np.isfinite(column).all():
        raise RefusedError(f"Column {name}, of sequences, lacks a value; say of every row which sequence it is of.")
    return _numbered(column)


def _numbered(column: np.ndarray[Any, Any]) -> Int[np.ndarray, " N"]:
    """Sequences in the order in which they begin."""
    _, first, of = np.unique(column, return_index=True, return_inverse=True)
    order = np.empty(len(first), int)
    order[np.argsort(first)] = np.arange(len(first))
    return order[of.reshape(-1)]


@functools.lru_cache(maxsize=2)
def _read(found: Source, _stamps: tuple[tuple[int, int], ...]) -> tuple[tuple[str, ...], Float[np.ndarray, "N d"]]:
    if not found.files:
        return _bundled(found.name)
    with reading(found.name, THE_DATA):
        (path,) = found.files
        with opened(path) as file:
            begins = file.read(len(_NUMPY))
        names, values = _numpy(path) if begins == _NUMPY else _text(path)
    values.setflags(write=False)
    return names, values


def _bundled(name: str) -> tuple[tuple[str, ...], Float[np.ndarray, "N d"]]:
    from sklearn import datasets

    # as measured: scikit-learn's default is one length for all columns
    found = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    names = tuple(each.removesuffix(" (cm)").replace(" ", "_").replace("/", "_") for each in found.feature_names)
    return names, np.array(found.data, float)


def _numpy(path: pathlib.Path) -> tuple[tuple[str, ...], Float[np.ndarray, "N d"]]:
    with opened(path) as file:
        values = np.lib.format.read_array(file, allow_pickle=False)
    if values.ndim != 2 or values.dtype.kind not in "biuf" or not values.size:
        raise ValueError(f"it holds an array of shape {values.shape} and type {values.dtype}, not rows of numbers")
    return tuple(map(str, range(values.shape[1]))), values.astype(float)


def _text(path: pathlib.Path) -> tuple[tuple[str, ...], Float[np.ndarray, "N d"]]:
    with text_lines(path) as lines:
        cells = _cells(lines)
        head = next(cells, None)
        if head is None:
            raise ValueError("it has no rows")
        _, first = head
        named = _named(first)
        names = tuple(shown(word, 60) for word in first) if named else tuple(map(str, range(len(first))))
        if len(set(names)) < len(names):
            raise ValueError(f"two columns are called {next(n for n in names if names.count(n) > 1)}")
        rows = [] if named else [_row(head, names)]
        rows.extend(_row(pair, names) for pair in cells)
    if not rows:
        raise ValueError("it has names of columns and no rows")
    return names, np.array(rows)


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
            delimiter = next((each for each in _DELIMITERS if each in text), " ")
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


def _row(pair: tuple[int, list[str]], names: Sequence[str]) -> list[float]:
    number, words = pair
    if len(words) != len(names):
        raise ValueError(f"line {number} has {len(words)} values, and the first one {len(names)}")
    values = [_number(word) for word in words]
    for name, word, value in zip(names, words, values, strict=True):
        if value is None:
            raise ValueError(
                f"line {number}: '{shown(word, 40)}' in column {name} is not a number; NA marks what is missing"
            )
    return [value for value in values if value is not None]
