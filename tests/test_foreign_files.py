"""Every reader of files that are not ours, and the same damaged inputs for each: a value, or one sentence."""

import bz2
import functools
import gzip
import io
import json
import lzma
import pathlib
import pickle
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.io

from classical.data.sets import load
from qnat.experiment import RefusedError
from qnat.experiment.words.options import read_toml
from qnat.quantum.measure.counts_file import read_counts
from qnat.quantum.operators.hamiltonian_file import read_terms
from qnat.quantum.operators.pauli import PauliSum
from qnat.quantum.tasks.gibbs import GibbsSpec

COUNT = 200


class Reader(NamedTuple):
    """What reads a file: its call, the file's name, a whole file, and what else stands beside it."""

    call: Callable[[pathlib.Path], Any]
    name: str
    whole: bytes
    beside: dict[str, bytes] = {}  # noqa: RUF012 (never changed)


def stored(write, *arguments, **options) -> bytes:
    stream = io.BytesIO()
    write(stream, *arguments, **options)
    return stream.getvalue()


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


BITS = np.random.default_rng(1).integers(0, 2, (12, 4))
LINES = "\n".join(",".join(map(str, row)) for row in BITS).encode()
COLUMNS = "\n".join(" ".join(map(str, row)) for row in BITS).encode()
COUNTS = json.dumps(
    {"settings": {"XZ": {"shots": 7, "counts": {"00": 3, "01": 4}}, "ZZ": {"shots": 1, "counts": {"11": 1}}}}
)
MATLAB = stored(lambda stream: scipy.io.savemat(stream, {"X": BITS, "other": np.ones(3)}, do_compression=True))
PICTURES = {
    f"{part}-{kind}": idx(values)
    for part in ("train", "t10k")
    for kind, values in (("images-idx3-ubyte", BITS.reshape(12, 2, 2)), ("labels-idx1-ubyte", BITS[:, 0]))
}

READERS = {
    "Hamiltonian text": Reader(read_terms, "h", b"# chain\nZZI -1.0\nIZZ -1.0\nXII 0.5\nIXI 0.5 # field\n"),
    "Hamiltonian sparse": Reader(PauliSum.from_file, "h", b"(-0.5+0j) [X0 Z3] +\n0.25 [] +\n(1e-3-1e-19j) [Y1 Y2]\n"),
    "Hamiltonian JSON": Reader(read_terms, "h", b'{"terms": [["ZZI", -1.0], ["IZZ", -1], ["XII", 5e-1]]}'),
    "Hamiltonian gzip": Reader(read_terms, "h.gz", gzip.compress(b'{"ZZI": -1.0, "IXX": 2}', mtime=0)),
    "counts": Reader(read_counts, "c.json", COUNTS.encode()),
    "TOML": Reader(
        lambda path: read_toml(path, GibbsSpec, many=True), "s.toml", b'n = 2\nbeta = [0.5, 1.0]\noptimizer = "adam"\n'
    ),
    "NumPy": Reader(lambda path: load(str(path)), "x.npy", stored(np.save, BITS.astype(float))),
    "NumPy gzip": Reader(lambda path: load(str(path)), "x.npy.gz", gzip.compress(stored(np.save, BITS), mtime=0)),
    "density text": Reader(
        lambda path: load(str(path).removesuffix(".train.data")), "x.train.data", LINES, {"x.test.data": b"0,1,1,0\n"}
    ),
    "numeric text": Reader(lambda path: load(str(path)), "x.data-numeric", COLUMNS),
    "images": Reader(
        lambda path: load(str(path.parent)), "train-images-idx3-ubyte", PICTURES["train-images-idx3-ubyte"], PICTURES
    ),
    "labels": Reader(
        lambda path: load(str(path.parent)), "t10k-labels-idx1-ubyte", PICTURES["t10k-labels-idx1-ubyte"], PICTURES
    ),
    "MATLAB": Reader(lambda path: load(str(path.parent)), "x_train.mat", MATLAB, {"x_test.mat": MATLAB}),
}
IN_ANOTHER_PROCESS = {"MATLAB"}


@functools.cache
def others() -> tuple[bytes, ...]:
    """Files of other kinds, and texts that a parser may stumble over."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("x.npy", stored(np.save, BITS))
    arrays = [
        np.array(["a", "b"]),
        np.array([1, None], object),
        np.array(1.0),
        np.ones((3, 4), np.longdouble),
        np.ones((3, 4), complex),
        np.ones((3, 4), ">f4"),
        np.ones((3, 4), np.float16),
        np.zeros((0, 4)),
        np.zeros((4, 0)),
        np.full((4, 4), 1e308),
        np.array([[np.nan, 1.0], [np.inf, 0.0], [0, 0]]),
        np.array([(1, 2.0)], "i4,f8"),
        np.array(["2020-01-01"], "M8[D]"),
    ]
    texts = [
        "",
        " ",
        "\n" * 1000,
        "\0" * 100,
        "#",
        "// %",
        "0",
        "null",
        "true",
        '"ZZ"',
        "[]",
        "{}",
        "[[]]",
        "[" * 5000,
        '{"a":' * 5000,
        "a = " + "[" * 5000,
        "n = true\nbeta = '1'\n",
        "[n]\nx = 1\n",
        "n = 2\nn = 3\n",
        "beta = 1e999\nn = 1" + "0" * 5000,
        '{"ZZ": 1, "ZZ": 2}',
        '{"ZZ": 1' + "0" * 400 + "}",
        '{"ZZ": 1' + "0" * 5000 + "}",
        '{"terms": null}',
        '{"terms": [["ZZ", 1]], "settings": {}}',
        '{"settings": {"ZZ": null}}',
        '{"settings": {"ZZ": {"shots": 1e400, "counts": {"00": true}}}}',
        '{"settings": {"ZZ": {"shots": 1, "counts": {"00": 1}, "x": 1}, "Z": 3}}',
        '{"settings": {"X": {"shots": 1' + "0" * 400 + ', "counts": {"0": 1' + "0" * 400 + "}}}}",
        '[["\\ud800", NaN]]',
        "ZZ 1e308\nZZ 1e308\n",
        "ZZ 1e999",
        "Z999999999 1",
        "ZZ 1j",
        "ZZ " + "9" * 5000,
        "Z" * 100_000 + " 1",
        "X0 " * 10_000 + "1",
        "1," * 10_000,
        "1 " * 10_000,
        "0,1\n0,1,1\n",
        "0,1\n1,x\n",
        "nan,1\n1,0\n",
        "1e999,1\n1,0\n",
        "0;1\n1;0\n",
        "0,5;1\n",
        "a,b\n1,2\n",
        "\x1b[2J\x07",
        "ZZ\u2028 1",
        "<html><body>404</body></html>",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "n: 2\nbeta: 0.5\n",
    ]
    packed = [
        b"\x1f\x8b",
        gzip.compress(b"", mtime=0),
        gzip.compress(gzip.compress(b"ZZ 1", mtime=0), mtime=0),
        gzip.compress(LINES, mtime=0)[:-6],
        b"\x1f\x8b\x08\x00" + bytes(6) + b"\xff" * 30,
        bz2.compress(LINES),
        lzma.compress(LINES),
        zipped.getvalue(),
        pickle.dumps(BITS),
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        b"\x7fELF\x02\x01\x01" + bytes(60),
        b"\x89HDF\r\n\x1a\n" + bytes(600),
        b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + bytes(20),
        b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(99),
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x09\x09\x08\x00{'descr'",
        b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000,
        bytes([0, 0, 8, 255]) + b"\xff" * 1020,
        bytes([0, 0, 8, 3]) + b"\xff" * 12,
        bytes([0, 0, 13, 1, 0, 0, 0, 1]) + bytes(4),
        b"\xff\xfe\x00",
        "ZZ -1\n".encode("utf-16"),
        "ZZ -1\n".encode("utf-32-be"),
        "Zürich 1\n".encode("latin-1"),
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80 1",
        MATLAB,
        *PICTURES.values(),
    ]
    return (*(text.encode() for text in texts), *packed, *(stored(np.save, array) for array in arrays))


def damaged(whole: bytes, number: int) -> bytes:
    """The file of that number: another kind, or the whole one with something cut out, changed, or put in."""
    if number < len(others()):
        return others()[number]
    rng = np.random.default_rng(number)
    begin, end = sorted(rng.integers(0, len(whole) + 1, 2))
    content = np.frombuffer(whole, np.uint8).copy()
    match number % 6:
        case 0:
            return whole[:end]
        case 1 | 2:
            places = rng.integers(len(whole), size=1 + number % 3)
            content[places] ^= 1 << rng.integers(8, size=len(places)).astype(np.uint8)
            return content.tobytes()
        case 3:
            return whole[:begin] + whole[end:]
        case 4:
            return whole[:begin] + rng.bytes(1 + int(rng.integers(9))) + whole[begin:]
        case _:
            content[begin:end] = rng.integers(256, size=end - begin)
            return content.tobytes()


def check(reader: Reader, folder: pathlib.Path, number: int) -> bool:
    """Whether the damaged file of that number is refused; that it is in a sentence is checked."""
    folder.mkdir()
    for name, content in reader.beside.items():
        (folder / name).write_bytes(content)
    (folder / reader.name).write_bytes(damaged(reader.whole, number))
    try:
        reader.call(folder / reader.name)
    except RefusedError as error:
        said = str(error)
        assert said.isprintable()
        assert said.endswith(".")
        assert str(folder) in said or reader.name == "s.toml"
        return True
    return False


@pytest.mark.parametrize("kind", READERS)
def test_whole_files_are_read(kind, tmp_path):
    reader = READERS[kind]
    for name, content in (reader.beside | {reader.name: reader.whole}).items():
        (tmp_path / name).write_bytes(content)
    assert reader.call(tmp_path / reader.name) is not None


@pytest.mark.parametrize("kind", sorted(READERS.keys() - IN_ANOTHER_PROCESS))
def test_damaged_files_are_one_sentence(kind, tmp_path):
    assert len(others()) < COUNT / 1.5
    refused = sum(check(READERS[kind], tmp_path / str(number), number) for number in range(COUNT))
    assert refused > COUNT / 4


# the first crashes SciPy's reader
@pytest.mark.parametrize("number", [0, 13, len(others()) - 14, COUNT - 2])
def test_damaged_matlab_files_are_one_sentence(number, tmp_path):
    check(READERS["MATLAB"], tmp_path / "x", number)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(IN_ANOTHER_PROCESS))
def test_damaged_files_of_other_processes_are_one_sentence(kind, tmp_path):
    refused = sum(check(READERS[kind], tmp_path / str(number), number) for number in range(COUNT))
    assert refused > COUNT / 4
