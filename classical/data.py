"""Data sets: the digits that come with scikit-learn, and files in the formats in which the usual ones are kept.

Nothing is downloaded. `load("digits")` needs no file; everything else is a path:

- a folder with MNIST's IDX files (`train-images-idx3-ubyte`, …, also with `.gz`),
- a folder with the MATLAB files of binarised MNIST (`*_train.mat`, `*_test.mat`),
- `FOLDER/NAME` for a density-estimation set kept as `NAME.train.data`, `NAME.test.data` (text, `0,1,…`, also `.gz`),
- `german.data-numeric`: blank-separated columns, the last the class, as UCI keeps German credit,
- a NumPy file `.npy` (also `.gz`) of one row an item.
"""

import gzip
import math
import pathlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from qnat.experiment.errors import RefusedError

DIGITS_TRAIN = 1500
_HELD_OUT = 0.2
"""The part of a set without a split of its own that is kept for testing: its last rows."""


class Data(NamedTuple):
    """Items in rows, in two parts.

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


def load(name: str) -> Data:
    """A data set by name ("digits") or by path; the formats are those of this module.

    Raises:
        RefusedError: there is no such set, or a file is not what its name says.
    """
    if name == "digits":
        return _digits()
    path = pathlib.Path(name)
    for find in (_mnist, _matlab, _density, _numeric, _numpy):
        try:
            found = find(path)
        except (OSError, ValueError, EOFError) as error:
            if isinstance(error, RefusedError):
                raise
            raise RefusedError(f"Cannot read the data in {path} ({error}); give a whole file.") from None
        if found is not None:
            return _checked(path, found)
    raise RefusedError(
        f"Unknown data set '{name}'; use digits, or a path: a folder of MNIST (IDX files) or binarised MNIST (.mat), "
        "FOLDER/NAME of NAME.train.data and NAME.test.data, german.data-numeric, or a .npy file."
    )


def _checked(path: pathlib.Path, data: Data) -> Data:
    for part, labels in ((data.train, data.train_labels), (data.test, data.test_labels)):
        if part.ndim != 2 or not part.size:
            raise RefusedError(f"The data in {path} have the shape {part.shape}; one row an item is wanted, (N, D).")
        if labels is not None and len(labels) != len(part):
            raise RefusedError(f"{path} has {len(part)} items and {len(labels)} labels; give one label an item.")
        if not np.isfinite(part).all():
            raise RefusedError(f"The data in {path} hold values that are not finite; remove those items.")
    if data.train.shape[1] != data.test.shape[1]:
        raise RefusedError(
            f"Training and test items in {path} have {data.train.shape[1]} and {data.test.shape[1]} values; "
            "give files of one set."
        )
    return data


def _digits() -> Data:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels, labels = digits.data / 16.0, digits.target
    return Data(pixels[:DIGITS_TRAIN], pixels[DIGITS_TRAIN:], labels[:DIGITS_TRAIN], labels[DIGITS_TRAIN:])


def _bytes(path: pathlib.Path) -> bytes | None:
    """The content of a file or of its gzipped form; None if there is neither."""
    zipped = path if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    if zipped.is_file():
        return gzip.decompress(zipped.read_bytes())
    return path.read_bytes() if path.is_file() else None


def _idx(path: pathlib.Path) -> np.ndarray | None:
    """An IDX file: two zeros, a type (8: unsigned bytes), the number of axes, their lengths, the values."""
    content = _bytes(path)
    if content is None:
        return None
    axes = content[3] if len(content) > 3 else 0
    lengths = np.frombuffer(content[4 : 4 + 4 * axes], ">u4").astype(int)
    if content[:3] != b"\0\0\x08" or len(content) != 4 + 4 * axes + math.prod(lengths):
        raise ValueError(f"{path.name} is not an IDX file of unsigned bytes")
    return np.frombuffer(content[4 + 4 * axes :], np.uint8).reshape(lengths)


def _mnist(path: pathlib.Path) -> Data | None:
    parts = [
        _idx(path / f"{part}-{kind}-ubyte") for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    ]
    if all(part is None for part in parts):
        return None
    train, train_labels, test, test_labels = parts
    if train is None or train_labels is None or test is None or test_labels is None:
        raise RefusedError(f"{path} lacks some of MNIST's four files; give images and labels of train and t10k.")
    return Data(
        train.reshape(len(train), -1) / 255.0,
        test.reshape(len(test), -1) / 255.0,
        train_labels.astype(int),
        test_labels.astype(int),
    )


def _matlab(path: pathlib.Path) -> Data | None:
    files = [sorted(path.glob(f"*_{part}.mat")) for part in ("train", "test")] if path.is_dir() else [[], []]
    if not all(files):
        return None
    import scipy.io

    train, test = (np.asarray(scipy.io.loadmat(found[0])["X"], float) for found in files)
    return Data(train, test)


def _density(path: pathlib.Path) -> Data | None:
    parts = [_bytes(path.with_name(f"{path.name}.{part}.data")) for part in ("train", "test")]
    if parts[0] is None and parts[1] is None:
        return None
    if parts[0] is None or parts[1] is None:
        raise RefusedError(f"{path} needs both {path.name}.train.data and {path.name}.test.data (or .gz).")
    train, test = (np.loadtxt(part.decode().splitlines(), delimiter=",", ndmin=2) for part in parts if part is not None)
    return Data(train, test)


def _numeric(path: pathlib.Path) -> Data | None:
    if not path.name.endswith(".data-numeric"):
        return None
    content = _bytes(path)
    if content is None:
        return None
    table = np.loadtxt(content.decode().splitlines(), ndmin=2)
    items, classes = table[:, :-1], table[:, -1]
    first = len(table) - math.ceil(_HELD_OUT * len(table))
    spread = items[:first].std(axis=0)
    items = (items - items[:first].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    labels = np.unique(classes, return_inverse=True)[1]
    return Data(items[:first], items[first:], labels[:first], labels[first:])


def _numpy(path: pathlib.Path) -> Data | None:
    if not path.name.endswith((".npy", ".npy.gz")):
        return None
    content = _bytes(path)
    if content is None:
        return None
    import io

    items = np.load(io.BytesIO(content), allow_pickle=False)
    scale = 255.0 if items.dtype == np.uint8 and items.max(initial=0) > 1 else 1.0
    first = len(items) - math.ceil(_HELD_OUT * len(items))
    return Data(items[:first] / scale, items[first:] / scale)
