"""Tables of which one column is a response to the others."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from qnat.experiment.errors import RefusedError

from .headers import BUNDLED
from .tables import Columns, table

TARGET = "target"
"""The response of a table that comes with scikit-learn."""


class Responses(NamedTuple):
    """x: (N, d) inputs and their names; y: (N,) the response and what it is called."""

    x: Float[np.ndarray, "N d"]
    names: tuple[str, ...]
    y: Float[np.ndarray, " N"]
    called: str


def responses(name: str, *, target: str | None = None, columns: str | None = None) -> Responses:
    """A table by name or path, as inputs and a response.

    Args:
        name: as of `classical.data.tables.table`. target: the column of the response; None takes what comes with a
            table of scikit-learn, or the last column. columns: the inputs, with commas between them; None takes all
            others.

    Raises:
        RefusedError: as of `table`, or an entry is missing, or a column is input and response.
    """
    found = table(name, ordered=True)
    values, names = found.values, found.names
    if name in BUNDLED:
        from sklearn import datasets

        response = getattr(datasets, f"load_{name}")().target.astype(float)
        values, names = np.column_stack([values, response]), (*names, TARGET)
    known = Columns(name, names)
    place = len(names) - 1 if target is None else known.place(target)
    chosen = [i for i in range(len(names)) if i != place and not (name in BUNDLED and names[i] == TARGET)]
    if columns is not None:
        chosen = known.places(columns)
    if twice := [names[i] for i in chosen if chosen.count(i) > 1 or i == place]:
        raise RefusedError(f"Column {twice[0]} is asked for twice, or is the target; name it once.")
    if not chosen:
        raise RefusedError("The data have no column left beside the target; give more columns.")
    for i in (*chosen, place):
        if (lacking := np.flatnonzero(np.isnan(values[:, i]))).size:
            raise RefusedError(
                f"Column {names[i]} lacks a value in row {lacking[0] + 1}; give whole rows, or leave the column out."
            )
    return Responses(values[:, chosen], tuple(names[i] for i in chosen), values[:, place], names[place])


def series(name: str, column: str | None) -> tuple[Float[np.ndarray, " N"], str]:
    """One column of a table, in the order of its rows, and its name.

    Raises:
        RefusedError: there are several and none is chosen, or a value is missing.
    """
    found = table(name, columns=column, ordered=True)
    if len(found.names) != 1:
        raise RefusedError(f"A series is one column, and the data have {len(found.names)}; choose one with columns.")
    values = found.values[:, 0]
    if (lacking := np.flatnonzero(np.isnan(values))).size:
        raise RefusedError(f"Column {found.names[0]} lacks a value in row {lacking[0] + 1}; a series has all of them.")
    return values, found.names[0]
