"""MATLAB files, read by another process: on a damaged one SciPy's reader may end the process that it runs in."""

import io
import json
import pathlib
import subprocess
import sys
from typing import TYPE_CHECKING

from qnat.experiment.reading import opened, present_memory

if TYPE_CHECKING:
    import numpy as np

CHILD = pathlib.Path(__file__).with_name("matlab_child.py")
_SECONDS = 600


def matlab_shapes(*paths: pathlib.Path) -> list[tuple[int, ...]]:
    """The shape of the matrix X of each file."""
    return [tuple(shape) for shape in json.loads(_asked("shapes", paths))]


def matlab_values(*paths: pathlib.Path) -> "list[np.ndarray]":
    """The matrix X of each file."""
    import numpy as np

    stream = io.BytesIO(_asked("values", paths))
    return [np.lib.format.read_array(stream, allow_pickle=False) for _ in paths]


def _asked(how: str, paths: tuple[pathlib.Path, ...]) -> bytes:
    for path in paths:
        opened(path).close()  # refuses what is no regular file
    command = [sys.executable, "-I", str(CHILD), how, str(present_memory() // 2), *map(str, paths)]
    try:
        done = subprocess.run(  # noqa: S603 (a program of ours)
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"it is not read within {_SECONDS} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ValueError(said.partition(": ")[2] or said or "it is damaged")
    return done.stdout
