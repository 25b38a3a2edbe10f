"""Data sets: the digits that come with scikit-learn, and files in the formats in which the usual ones are kept.

Nothing is downloaded. `load("digits")` needs no file; everything else is a path:

- a folder with MNIST's IDX files (`train-images-idx3-ubyte`, …, also with `.gz`),
- a folder with the MATLAB files of binarised MNIST (`*_train.mat`, `*_test.mat`),
- `FOLDER/NAME` for a density-estimation set kept as `NAME.train.data`, `NAME.test.data` (text, `0,1,…`, also `.gz`),
- `german.data-numeric`: blank-separated columns, the last the class, as UCI keeps German credit,
- a NumPy file `.npy` (also `.gz`) of one row an item.
"""

import functools
import math
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from qnat.experiment.errors import RefusedError
from qnat.experiment.reading import opened, reading, shown, text_lines

from .formats import idx_shape
from .headers import DIGITS, THE_DATA, Source, header, source, split
from .matlab import matlab_values


class Data(NamedTuple):
    """Items in rows, in two parts. Those of `load` are read-only.

    Attributes:
        train, test: (N, D) and (M, D), values in [0, 1] if they are images or bits.
        train_labels, test_labels: (N,) and (M,) classes 0, 1, …; None if there are none.
    """

    train: Float[np.ndarray, "N D"]
    test: Float[np.ndarray, "M D"]
    train_labels: Int[np.ndarray, " N"] | None = None
    test_labels: Int[np.ndarray, " M"] | None = None

    @property
    def is_binary(self) -> bool:
        """Whether every value is 0 or 1."""
        return all(np.isin(part, (0.0, 1.0)).all() for part in (self.train, self.test))

    @property
    def image(self) -> tuple[int, int] | None:
        """Rows and columns of an item that is a square picture."""
        side = math.isqrt(self.train.shape[1])
        return (side, side) if side * side == self.train.shape[1] else None

    def binarised(self, threshold: float) -> "Data":
        """1 where a value is at least the threshold, else 0."""
        return self._replace(train=(self.train >= threshold) * 1.0, test=(self.test >= threshold) * 1.0)


_LARGEST = 1e100


def load(name: str) -> Data:
    """A data set by name ("digits") or by path; the formats are those of this module.

    The last two sets are remembered until their files change.

    Raises:
        RefusedError: there is no such set, or a file is not what its name says.
    """
    found = source(name)
    return _load(found, found.stamps())


@functools.lru_cache(maxsize=2)
def _load(found: Source, _stamps: tuple[tuple[int, int], ...]) -> Data:
    header(found.name)  # refuses shapes that do not fit
    if found.format == "digits":  # no file of somebody else
        data = _digits()
    else:
        with reading(found.name, THE_DATA):
            data = _READERS[found.format](*found.files)
    name = shown(found.name, 4096)
    if not all(np.isfinite(part).all() for part in (data.train, data.test)):
        raise RefusedError(f"The data in {name} hold values that are not finite; remove those items.")
    if any(np.abs(part).max(initial=0.0) > _LARGEST for part in (data.train, data.test)):
        raise RefusedError(f"The data in {name} hold values above {_LARGEST:.0e}, whose squares overflow; scale them.")
    for part in data:
        if part is not None:
            part.setflags(write=False)
    return data


def _digits() -> Data:
    from sklearn.datasets import load_digits

    digits, first = load_digits(), DIGITS.train
    pixels, labels = digits.data / 16.0, digits.target
    return Data(pixels[:first], pixels[first:], labels[:first], labels[first:])


def _idx(path: pathlib.Path) -> np.ndarray:
    shape = idx_shape(path)
    begin = 4 + 4 * len(shape)
    with opened(path) as file:
        content = file.read(begin + math.prod(shape) + 1)[begin:]
    if len(content) != math.prod(shape):
        raise ValueError(f"{path.name.removesuffix('.gz')} is not an IDX file of unsigned bytes")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _mnist(*paths: pathlib.Path) -> Data:
    train, train_labels, test, test_labels = map(_idx, paths)
    return Data(
        train.reshape(len(train), -1) / 255.0,
        test.reshape(len(test), -1) / 255.0,
        train_labels.astype(int),
        test_labels.astype(int),
    )


def _matlab(*paths: pathlib.Path) -> Data:
    return Data(*(np.asarray(part, float) for part in matlab_values(*paths)))


def _text(path: pathlib.Path, delimiter: str | None) -> Float[np.ndarray, "N D"]:
    with text_lines(path) as lines:
        return np.loadtxt(lines, delimiter=delimiter, ndmin=2)


def _density(*paths: pathlib.Path) -> Data:
    return Data(*(_text(path, ",") for path in paths))


def _numeric(path: pathlib.Path) -> Data:
    table = _text(path, None)
    items, classes, first = table[:, :-1], table[:, -1], split(len(table))
    if not np.isfinite(classes).all():
        raise ValueError("a class is not a number")
    spread = items[:first].std(axis=0)
    items = (items - items[:first].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    labels = np.unique(classes, return_inverse=True)[1]
    return Data(items[:first], items[first:], labels[:first], labels[first:])


def _numpy(path: pathlib.Path) -> Data:
    with opened(path) as file:
        items = np.lib.format.read_array(file, allow_pickle=False)
    scale = 255.0 if items.dtype == np.uint8 and items.max(initial=0) > 1 else 1.0
    values = items.astype(float) / scale
    return Data(values[: split(len(items))], values[split(len(items)) :])


_READERS: dict[str, Callable[..., Data]] = {
    "mnist": _mnist,
    "matlab": _matlab,
    "density": _density,
    "numeric": _numeric,
    "numpy": _numpy,
}
