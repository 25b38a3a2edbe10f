"""Which files a data set is made of, and what they say of themselves: shapes, read without the arrays.

A refusal therefore answers at once. The formats are those of `classical.data.sets`.
"""

import functools
import hashlib
import math
import pathlib
from collections.abc import Callable
from typing import Literal, NamedTuple

from qnat.experiment.errors import RefusedError
from qnat.experiment.reading import present_memory, reading, shown

from .formats import flattened, idx_shape, numpy_shape, text_shape
from .matlab import matlab_shapes

Format = Literal["digits", "mnist", "matlab", "density", "numeric", "numpy", "table"]
THE_DATA = "the data in"
NO_LABELS = "The data have no labels to classify; choose kind autoencode or regress, or other data."
_HELD_OUT = 0.2
"""The part of a set without a split of its own that is kept for testing: its last rows."""


class Source(NamedTuple):
    """The files of a data set, in the order in which its format is read; none for the digits."""

    name: str
    format: Format
    files: tuple[pathlib.Path, ...]

    def stamps(self) -> tuple[tuple[int, int], ...]:
        """When each file was last written, and its length: what was read of it is good as long as they stay."""
        found = [path.stat() for path in self.files]
        return tuple((each.st_mtime_ns, each.st_size) for each in found)


class Header(NamedTuple):
    """The shape of a data set: how many items it has to train on and to test with, their values, whether labelled."""

    train: int
    test: int
    width: int
    labelled: bool

    def inputs(self, kind: str) -> int:
        """Values of an item that a network is shown; regression without labels keeps the last one for its target."""
        return self.width - (kind == "regress" and not self.labelled)


BUNDLED = ("iris", "wine", "diabetes", "breast_cancer")
"""Tables that come with scikit-learn."""
DIGITS = Header(1500, 297, 64, labelled=True)


def source(name: str) -> Source:
    """Finds a data set by name ("digits") or by path.

    Raises:
        RefusedError: there is no such set, or it lacks a file.
    """
    if name == "digits":
        return Source(name, "digits", ())
    with reading(name, THE_DATA):
        path = pathlib.Path(name).absolute()
    finders: tuple[tuple[Format, Callable[[pathlib.Path], tuple[pathlib.Path, ...]]], ...] = (
        ("mnist", _mnist_files),
        ("matlab", _matlab_files),
        ("density", _density_files),
        ("numeric", _numeric_files),
        ("numpy", _numpy_files),
    )
    with reading(name, THE_DATA):
        for form, find in finders:
            if files := find(path):
                return Source(name, form, files)
    raise RefusedError(
        f"Unknown data set '{shown(name, 4096)}'; use digits, or a path: a folder of MNIST (IDX files) or binarised "
        "MNIST (.mat), FOLDER/NAME of NAME.train.data and NAME.test.data, german.data-numeric, or a .npy file."
    )


def table_source(name: str) -> Source:
    """The file of a table; none for one that is bundled.

    Raises:
        RefusedError: there is no such file.
    """
    if name in BUNDLED:
        return Source(name, "table", ())
    with reading(name, THE_DATA):
        path = pathlib.Path(name).absolute()
        if path.is_file():
            return Source(name, "table", (path,))
    raise RefusedError(
        f"Unknown data '{shown(name, 4096)}'; use {', '.join(BUNDLED)}, or the path of a text of one row an item "
        "(commas, tabs or blanks between values) or of a .npy file."
    )


def header(name: str) -> Header:
    """The shape of a data set by name or path.

    Raises:
        RefusedError: there is no such set, or its files are no rows of items.
    """
    found = source(name)
    return _header(found, found.stamps())


def check_batch(batch: int, items: int) -> None:
    """Refuses a batch larger than the data."""
    if batch > items:
        raise RefusedError(f"batch is {batch}, and the data have {items} items to train on; choose a smaller batch.")


def split(items: int) -> int:
    """How many rows of a set without a split of its own are trained on: the first ones."""
    return items - math.ceil(_HELD_OUT * items)


def digest(name: str) -> dict[str, str]:
    """What a record knows a data set by: a hash of its files; nothing for the digits."""
    return digest_of(source(name))


def digest_of(found: Source) -> dict[str, str]:
    """As `digest`, of files that were found."""
    return {"data_sha256": _digest(found, found.stamps())} if found.files else {}


@functools.lru_cache(maxsize=32)
def _digest(found: Source, _stamps: tuple[tuple[int, int], ...]) -> str:
    whole = hashlib.sha256()
    with reading(found.name, THE_DATA):
        for path in found.files:
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _plain_or_zipped(path: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """The file or its gzipped form; empty if there is neither."""
    zipped = path if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    return tuple(each for each in (zipped, path) if each.is_file())[:1]


def _mnist_files(path: pathlib.Path) -> tuple[pathlib.Path, ...]:
    names = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    files = [file for name in names for file in _plain_or_zipped(path / name)]
    if files and len(files) < len(names):
        raise RefusedError(f"{path} lacks some of MNIST's four files; give images and labels of train and t10k.")
    return tuple(files)


def _matlab_files(path: pathlib.Path) -> tuple[pathlib.Path, ...]:
    found = [sorted(path.glob(f"*_{part}.mat"))[:1] for part in ("train", "test")] if path.is_dir() else []
    return tuple(file for files in found for file in files) if all(found) else ()


def _density_files(path: pathlib.Path) -> tuple[pathlib.Path, ...]:
    found = [_plain_or_zipped(path.with_name(f"{path.name}.{part}.data")) for part in ("train", "test")]
    if any(found) and not all(found):
        raise RefusedError(f"{path} needs both {path.name}.train.data and {path.name}.test.data (or .gz).")
    return tuple(file for files in found for file in files)


def _numeric_files(path: pathlib.Path) -> tuple[pathlib.Path, ...]:
    return _plain_or_zipped(path) if path.name.endswith(".data-numeric") else ()


def _numpy_files(path: pathlib.Path) -> tuple[pathlib.Path, ...]:
    return _plain_or_zipped(path) if path.name.endswith((".npy", ".npy.gz")) else ()


@functools.lru_cache(maxsize=32)  # a sweep asks for every spec
def _header(found: Source, _stamps: tuple[tuple[int, int], ...]) -> Header:
    if found.format == "digits":
        return DIGITS
    with reading(found.name, THE_DATA):
        single = _SHAPES.get(found.format)
        shapes = [single(file) for file in found.files] if single else matlab_shapes(*found.files)
    if found.format == "mnist":
        shapes = flattened(found.name, shapes)
    least = 2 if found.format == "numeric" else 1  # its last column is the class
    for shape in shapes:
        if len(shape) != 2 or shape[0] < 1 or shape[1] < least:
            raise RefusedError(f"The data in {found.name} have the shape {shape}; one row an item is wanted, (N, D).")
    counts, (width, *other) = zip(*shapes, strict=True)
    if other and other[0] != width:
        raise RefusedError(
            f"Training and test items in {found.name} have {width} and {other[0]} values; give files of one set."
        )
    if 8 * sum(counts) * width > present_memory() // 2:
        size = f"{sum(counts)} items of {width} values"
        raise RefusedError(f"The data in {shown(found.name, 4096)} are {size}, too many for this machine's memory.")
    train, test = counts if other else (split(counts[0]), counts[0] - split(counts[0]))
    if not train:
        raise RefusedError(f"The data in {found.name} hold one item; some are kept for testing, so give more.")
    return Header(train, test, width - (found.format == "numeric"), found.format in ("mnist", "numeric"))


_SHAPES: dict[str, Callable[[pathlib.Path], tuple[int, ...]]] = {
    "mnist": idx_shape,
    "density": lambda path: text_shape(path, ","),
    "numeric": lambda path: text_shape(path, None),
    "numpy": numpy_shape,
}
