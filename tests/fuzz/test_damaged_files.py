"""Whatever files hold: an answer or one sentence. Legal commands end where they would train."""

import gzip
import io
import json
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import strategies as st

# the files of a failing case may be long
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

_HAMILTONIAN = b"# two spins\nZZ -1\nXI -0.5\nIX -0.5\n"
_OTHERS = (
    b"(-0.5+0j) [X0 Z1] +\n0.25 [Z0]\n",
    b'{"ZZ": -1, "XI": 0.5}',
    b'[["ZZ", -0.5]]',
    b"ZZ, -0.5\n",
    b"X0 Z1 -0.5\n",
)
_COUNTS = json.dumps({"settings": {one: {"shots": 9, "counts": {"00": 4, "11": 5}} for one in ("XX", "ZZ")}}).encode()
_TOML = b'n = 2\nbeta = 0.5\noptimizer = "adam"\nsteps = 3\nperiodic = true\n'
_ROWS = b"0,1,1\n1,1,0\n0,0,1\n1,0,1\n" * 5
_TABLE = b"a,b,n,w,id\n1.5,2,3,1,0\nNA,2.5,0,2,0\n3,?,9,0,0\n2,1,4,1,1\n,7,30,1,1\n-1,0.5,1,0.5,1\n1e-3,4,12,1,1\n"


def _bytes(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


_NUMPY = _bytes(lambda file: np.save(file, np.linspace(0, 1, 80).reshape(20, 4)))
_PACKED = _bytes(lambda file: np.savez(file, x=np.zeros((20, 4)), y=np.zeros(20)))
_IDX = b"\x00\x00\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (12, 2, 2)) + bytes(range(48))
_LABELS = b"\x00\x00\x08\x01" + (12).to_bytes(4, "big") + bytes(i % 10 for i in range(12))
_GERMAN = (
    b"\n".join(b" ".join(b"%d" % ((i * j) % 7) for j in range(1, 25)) + b" %d" % (1 + i % 2) for i in range(40)) + b"\n"
)


@st.composite
def mangled(draw: st.DrawFn, content: bytes, junk: st.SearchStrategy[bytes]) -> bytes:
    """Bytes, mostly damaged."""
    kind = draw(st.sampled_from(("whole", "flip", "cut", "insert", "repeat", "junk", "gzip", "mark", "swap")))
    place = draw(st.integers(0, max(len(content) - 1, 0)))
    if kind == "flip" and content:
        return content[:place] + bytes([content[place] ^ 1 << draw(st.integers(0, 7))]) + content[place + 1 :]
    if kind == "cut":
        return content[:place]
    if kind == "insert":
        return content[:place] + draw(junk) + content[place:]
    if kind == "repeat":
        return content * draw(st.integers(2, 4))
    if kind == "junk":
        return draw(junk)
    if kind == "gzip":
        packed = gzip.compress(content, mtime=0)
        return packed if draw(st.booleans()) else packed[: 10 + place]
    if kind == "mark":
        return draw(st.sampled_from((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))) + content
    if kind == "swap":
        return content.replace(
            *draw(st.sampled_from(((b"1", b"1e400"), (b"0", b"nan"), (b"Z", b"Q"), (b"\n", b"\r\n"))))
        )
    return content


_FILES = {
    "h.txt": st.sampled_from((_HAMILTONIAN, *_OTHERS)),
    "c.json": st.just(_COUNTS),
    "s.toml": st.just(_TOML),
    "d.npy": st.sampled_from((_NUMPY, _PACKED)),
    "rows.train.data": st.just(_ROWS),
    "rows.test.data": st.just(_ROWS),
    "mnist/train-images-idx3-ubyte": st.just(_IDX),
    "mnist/train-labels-idx1-ubyte": st.just(_LABELS),
    "mnist/t10k-images-idx3-ubyte": st.just(_IDX),
    "mnist/t10k-labels-idx1-ubyte": st.just(_LABELS),
    "german.data-numeric": st.just(_GERMAN),
    "t.csv": st.sampled_from((_TABLE, _TABLE.replace(b",", b";"), _TABLE.replace(b",", b"\t"), _NUMPY)),
}
_READERS = (
    ("run gibbs --hamiltonian h.txt", ("h.txt",)),
    ("sweep gibbs --hamiltonian h.txt --beta 1,2", ("h.txt",)),
    ("run learning --data c.json --n 2", ("c.json",)),
    ("run gibbs --spec s.toml", ("s.toml",)),
    ("sweep gibbs --spec s.toml", ("s.toml",)),
    ("run network --data d.npy --batch 2", ("d.npy",)),
    ("run network --data d.npy --batch 2 --kind regress", ("d.npy",)),
    ("run helmholtz --data d.npy --threshold 0.5 --batch 2", ("d.npy",)),
    ("run boltzmann --data rows", ("rows.train.data", "rows.test.data")),
    ("run helmholtz --data rows --batch 2", ("rows.train.data", "rows.test.data")),
    ("run network --data mnist --batch 2", tuple(name for name in _FILES if name.startswith("mnist"))),
    ("run network --data german.data-numeric --kind classify --batch 2", ("german.data-numeric",)),
    ("run density --data t.csv --columns 0,1 --components 2", ("t.csv",)),
    ("run density --data t.csv --columns 0,1 --weight 3 --density fa --dimension 1", ("t.csv",)),
    ("run density --data t.csv --columns 1 --sequence 2 --density hmm --emission diagonal", ("t.csv",)),
    ("run density --data t.csv --columns 2 --sequence id --density hmm --emission categorical", ("t.csv",)),
    ("run density --data t.csv --columns 2 --density negative_binomial", ("t.csv",)),
)


@st.composite
def read_files(draw: st.DrawFn, junk: st.SearchStrategy[bytes]) -> tuple[list[str], dict[str, bytes]]:
    """A command that reads files, one of which is damaged."""
    line, names = draw(st.sampled_from(_READERS))
    bad = draw(st.sampled_from(names))
    files = {name: draw(_FILES[name]) for name in names}
    return line.split(), files | {bad: draw(mangled(files[bad], junk))}


def write(here: pathlib.Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_bytes(content)


@pytest.mark.parametrize("examples", [18, pytest.param(4000, marks=pytest.mark.slow)])
def test_files(stopped, fuzz, junk, examples):
    fuzz(read_files(junk), examples, write)


@pytest.mark.slow
@pytest.mark.parametrize("examples", [100])
def test_processes(fuzz, junk, examples):
    fuzz(read_files(junk), examples, write, processes=True)
