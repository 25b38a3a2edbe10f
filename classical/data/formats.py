"""The shapes of arrays in files, from their first bytes or lines."""

import math
import pathlib
import struct

from qnat.experiment.errors import RefusedError
from qnat.experiment.reading import is_packed, opened, text_lines

_WIDEST = 8


def flattened(name: str, shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The shapes of the two sets of images, pixels in a row, after a look at those of the labels."""
    for images, labels in (shapes[:2], shapes[2:]):
        if len(images) != 3 or len(labels) != 1:
            raise RefusedError(f"{name} has images of shape {images} and labels of shape {labels}; give MNIST's files.")
        if labels != images[:1]:
            raise RefusedError(f"{name} has {images[0]} items and {labels[0]} labels; give one label an item.")
    return [(items, math.prod(pixels)) for items, *pixels in shapes[::2]]


def idx_shape(path: pathlib.Path) -> tuple[int, ...]:
    """The axes of an IDX file: two zeros, a type (8: unsigned bytes), the number of axes, their lengths, the values."""
    with opened(path) as file:
        head = file.read(4)
        axes = head[3] if len(head) == 4 else 0
        lengths = file.read(4 * axes)
    whole = head[:3] == b"\0\0\x08" and len(lengths) == 4 * axes
    shape = struct.unpack(f">{axes}I", lengths) if whole else ()
    if not whole or (not is_packed(path) and path.stat().st_size != 4 + 4 * axes + math.prod(shape)):
        raise ValueError(f"{path.name.removesuffix('.gz')} is not an IDX file of unsigned bytes")
    return shape


def text_shape(path: pathlib.Path, delimiter: str | None) -> tuple[int, int]:
    """Rows and columns of a text file, in one pass over its lines."""
    rows = columns = 0
    with text_lines(path) as lines:
        for number, line in enumerate(lines, start=1):
            if values := line.partition("#")[0].strip():
                width = len(values.split(delimiter))
                if rows and width != columns:
                    raise ValueError(f"line {number} of {path.name} has {width} values, and those before {columns}")
                rows, columns = rows + 1, width
    return rows, columns


def numpy_shape(path: pathlib.Path) -> tuple[int, ...]:
    """The shape that the header tells."""
    import numpy as np

    with opened(path) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        begin = file.tell()
    if dtype.kind not in "biuf" or dtype.itemsize > _WIDEST:
        raise ValueError(f"its values are of the type {dtype}, not numbers of at most 64 bits")
    if not is_packed(path) and path.stat().st_size < begin + math.prod(shape) * dtype.itemsize:
        raise ValueError("its values end before the last item")
    return tuple(shape)
