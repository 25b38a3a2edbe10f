"""What a task says of itself: which curves judge it, what its final arrays are called, what is drawn of them.

Data, written into run.json and result.nc: figures, tables and comparisons know no curve by its name. This module
imports the standard library only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

EXACT, ERROR = "exact_", "_error"
"""What stands before the name of an artifact's exact counterpart, and behind that of its standard errors."""


class Measure(NamedTuple):
    """A curve that tells how good a run is.

    Attributes:
        name: of the curve. unit: in words; "" for none.
        better: which values are good, the "lower" or the "higher" ones.
        exact: zero is the goal. The decades are then thresholds, the progress display shows it as the gap, and it is
            shown beside the measure that judges the run.
        of: what it is the value of, where one name stands for several losses; they are not compared with each other.
    """

    name: str
    unit: str = ""
    better: Literal["lower", "higher"] = "lower"
    exact: bool = False
    of: str = ""


class Artifact(NamedTuple):
    """A final array and what its axes and values mean.

    Attributes:
        value: the array; None where only its labels are meant.
        dims: a name for every axis; none if the axes have no meaning of their own.
        coords: by the name of an axis the numbers or strings along it, such as the Pauli string of each coupling.
            Arrays that share the name of an axis share its coordinates.
        unit: in words; "" for none. long_name: what a figure calls the values.
    """

    value: Any
    dims: tuple[str, ...] = ()
    coords: Mapping[str, Sequence[Any]] = {}
    unit: str = ""
    long_name: str = ""


class Panel(NamedTuple):
    """How an artifact is drawn. The figure of a run shows the panels whose arrays the run has, the first ones first.

    Attributes:
        kind: "levels": a vector and its exact counterpart, level by level. "points": estimates (P,), named by the
            coordinates along their axis, with their standard errors and their exact counterpart if there are any;
            they are also printed as a table. "images": pictures (count, rows, columns) side by side. "matrix": a real
            matrix; of a square one, sweeps along a ladder show the means over the pairs i, j of equal distance
            |i − j|, against the exact ones. "cloud": points (N, 2), named by the coordinates along their last
            axis, under one ellipse (K, 2, 3) each of those of `against`.
        artifact: its name; its exact counterpart is called `exact_` and that name, its standard errors that name and
            `_error`. title: "" takes the name in words.
        against: of levels, the artifact along the horizontal axis, such as their energies; "" numbers the levels. Of a
            cloud, ellipses [c, L]: the points c + Lu, |u| = 1 and 2, such as standard deviations of a distribution.
    """

    kind: Literal["levels", "points", "images", "matrix", "cloud"]
    artifact: str
    title: str = ""
    against: str = ""


def error_name(labels: Mapping[str, Artifact], name: str) -> str:
    """What the errors of an artifact are called: by a `long_name` of their own, or standard errors."""
    own, its = (labels.get(each, Artifact(None)).long_name for each in (name + ERROR, name))
    return own if own and own != its else "standard error"
