"""Tables as people write them: whatever the style, the numbers that stand there, or a sentence why not."""

import gzip
import math
import pathlib

import numpy as np
import pytest
from hypothesis import strategies as st

from classical.data.tables import table
from qnat.experiment import RefusedError

_LARGEST = 1e100


def _named(word: str) -> bool:
    return any(map(str.isalpha, word))


_WORDS = st.text("abzé(%)-./~ ", min_size=1, max_size=6).map(lambda word: " ".join(word.split())).filter(_named)
_COMMAND = ["run", "density", "--data", "t.csv", "--components", "1"]
_ENCODINGS = st.sampled_from(("utf-8", "utf-8-sig"))


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], bytes, np.ndarray, list[str] | None]:
    """A command, a file, the numbers in it and the names of its columns."""
    rows, width = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    delimiter = draw(st.sampled_from((",", ";", "\t", " ")))
    names = draw(st.none() | st.lists(_WORDS, min_size=width, max_size=width, unique=True))
    blank = delimiter == " " or width == 1  # which separates, where nothing else does
    numbers = st.floats(allow_infinity=False) | st.integers(-3, 9).map(float)
    values = np.array(draw(st.lists(numbers, min_size=rows * width, max_size=rows * width))).reshape(rows, width)
    # an empty line is none, or refused among rows of one entry, which therefore say that it is missing
    gaps = ["NA", "nan", "NaN", "?", "null", "N/A", *([] if blank else ["", " "])]

    def cell(word: str) -> str:
        return f'"{word}"' if (blank and " " in word) or draw(st.booleans()) else word

    def spelt(value: float) -> str:
        number = draw(st.sampled_from((str(value), f"{value:.17e}")))
        return draw(st.sampled_from(gaps)) if math.isnan(value) else number

    words = [] if names is None else [names]
    words += [[spelt(value) for value in row] for row in values]
    lines = [delimiter.join(map(cell, row)) for row in words]
    for _ in range(draw(st.integers(0, 2))):
        kinds = ("# a, b", "#", *(("", "  ") if width > 1 else ()))
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(kinds)))
    content = draw(st.sampled_from(("\n", "\r\n", "\r"))).join([*lines, ""]).encode(draw(_ENCODINGS))
    return _COMMAND, gzip.compress(content) if draw(st.booleans()) else content, values, names


def write(here: pathlib.Path, content: bytes, *_: object) -> None:
    (here / "t.csv").write_bytes(content)


def judge(
    here: pathlib.Path, _said: object, _line: list[str], _file: bytes, values: np.ndarray, names: list[str] | None
) -> None:
    """The table is what was written, less the rows of which nothing is known."""
    wrong = np.isnan(values).all(axis=0).any() or np.nanmax(np.abs(values)) > _LARGEST
    try:
        found = table(str(here / "t.csv"))
    except RefusedError:
        assert wrong
        return
    assert not wrong
    wanted = values[~np.isnan(values).all(axis=1)]
    np.testing.assert_array_equal(found.values, wanted)
    assert found.dropped == len(values) - len(wanted)
    assert list(found.names) == (list(map(str, range(values.shape[1]))) if names is None else names)


@pytest.mark.parametrize("examples", [20, pytest.param(2000, marks=pytest.mark.slow)])
def test_tables(stopped, fuzz, examples):
    fuzz(tables(), examples, write, judge)
