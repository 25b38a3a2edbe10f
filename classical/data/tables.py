"""Tables of numbers with names, in which entries may be missing: four that come with scikit-learn, and one's own."""

import csv
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from qnat.experiment.errors import RefusedError
from qnat.experiment.reading import shown

from .headers import table_source
from .table_files import Words, read

_LARGEST = 1e100


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
    names, values, words = read(found, found.stamps())
    known = Columns(name, names)
    given = {each: known.place(each) for each in (weight, sequence) if each is not None}
    chosen = [i for i in range(len(names)) if i not in given.values()]
    if columns is not None:
        chosen = known.places(columns)
    if twice := [names[i] for i in chosen if chosen.count(i) > 1 or i in given.values()]:
        raise RefusedError(f"Column {twice[0]} is asked for twice; name it once.")
    if not chosen:
        raise RefusedError(f"The data in {shown(name, 4096)} have no column left; name other columns.")
    _check_numbers(words, names, [*chosen, *([] if weight is None else [given[weight]])], name)
    kept = values[:, chosen]
    weights = None if weight is None else _weights(values[:, given[weight]], names[given[weight]])
    of = None if sequence is None else _sequence(given[sequence], names, values, words)
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

    def places(self, asked: str) -> list[int]:
        """Of several with commas between them; a name that has one stands in quotes."""
        return [self.place(each.strip()) for each in next(csv.reader([asked], skipinitialspace=True), [""])]

    def place(self, asked: str) -> int:
        if asked in self.names:
            return list(self.names).index(asked)
        if asked in (numbers := [str(i) for i in range(len(self.names))]):
            return numbers.index(asked)
        few = ", ".join(shown(name, 40) for name in self.names[:20]) + (", …" if len(self.names) > 20 else "")
        raise RefusedError(
            f"The data in {shown(self.data, 4096)} have no column '{shown(asked, 60)}'; they have {few}."
        )


def _check_numbers(words: dict[int, Words], names: Sequence[str], asked: Sequence[int], data: str) -> None:
    if wrong := [i for i in asked if i in words]:
        line, word = words[wrong[0]][1:]
        more = "; choose others with columns" if len(names) > 1 else ""
        raise RefusedError(
            f"Line {line} of the data in {shown(data, 4096)}: '{shown(word, 40)}' in column {names[wrong[0]]} is not a "
            f"number; NA marks what is missing{more}."
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


def _sequence(
    place: int, names: Sequence[str], values: Float[np.ndarray, "N d"], words: dict[int, Words]
) -> Int[np.ndarray, " N"]:
    column = words[place].codes if place in words else values[:, place]
    if not np.isfinite(column).all():
        raise RefusedError(
            f"Column {names[place]}, of sequences, lacks a value; say of every row which sequence it is of."
        )
    return _numbered(column)


def _numbered(column: np.ndarray[Any, Any]) -> Int[np.ndarray, " N"]:
    """Sequences in the order in which they begin."""
    _, first, of = np.unique(column, return_index=True, return_inverse=True)
    order = np.empty(len(first), int)
    order[np.argsort(first)] = np.arange(len(first))
    return order[of.reshape(-1)]
