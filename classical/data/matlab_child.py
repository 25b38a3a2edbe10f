"""Reads MATLAB files in a process of its own, `python matlab_child.py shapes|values BYTES FILE...`; see `matlab`.

It stands alone, so that it starts at once, and writes to standard output: shapes as JSON, or arrays as NumPy stores
them. What goes wrong is the last line on standard error.
"""

import io
import json
import resource
import sys
from typing import Any

import numpy as np

_HDF5, _BLOCKS = b"\x89HDF\r\n\x1a\n", 4
_NUMBERS = {
    "double",
    "single",
    "logical",
    "sparse",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


def _matrix(path: str, *, values: bool) -> Any:
    """The shape of the matrix X, or X."""
    with open(path, "rb") as file:  # noqa: PTH123
        begin = file.read(_BLOCKS * 512 + len(_HDF5))
    if _HDF5 in (begin[512 * block :][: len(_HDF5)] for block in range(_BLOCKS)):  # version 7.3
        import h5py

        with h5py.File(path, "r") as file:
            if not isinstance(found := file.get("X"), h5py.Dataset):
                raise ValueError("it has no variable X, a dense matrix")
            if found.dtype.kind not in "biuf":
                raise ValueError("its values are no real numbers")
            return found[()].T if values else found.shape[::-1]  # axes stand in the order of Fortran
    import scipy.io

    known = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}
    if "X" not in known:
        raise ValueError("it has no variable X")
    shape, kind = known["X"]
    if kind not in _NUMBERS:
        raise ValueError(f"its X is of the type {kind}, not of numbers")
    if not values:
        return tuple(shape)
    found = scipy.io.loadmat(path, variable_names=["X"])["X"]
    found = found.toarray() if kind == "sparse" else np.asarray(found)
    if np.iscomplexobj(found):
        raise ValueError("its values are complex")
    return found


def _main(how: str, most: str, *paths: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (int(most), int(most)))
    found = [_matrix(path, values=how == "values") for path in paths]
    if how == "shapes":
        sys.stdout.write(json.dumps([[int(length) for length in shape] for shape in found]))
        return
    for matrix in found:
        stored = io.BytesIO()  # a pipe has no positions, which NumPy asks for
        np.lib.format.write_array(stored, matrix, allow_pickle=False)
        sys.stdout.buffer.write(stored.getbuffer())


if __name__ == "__main__":
    _main(*sys.argv[1:])
