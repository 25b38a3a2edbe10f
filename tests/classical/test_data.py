"""Readers of the usual file formats, and what becomes of the data; every file is made here."""

import gzip
import io
import os

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from classical.data import matlab
from classical.data.headers import check_batch, digest, header
from classical.data.sets import Data, load
from classical.data.targets import bits, pairs
from qnat.experiment import RefusedError

RNG = np.random.default_rng(0)
BITS = np.random.default_rng(1).integers(0, 2, (6, 4))
GREY = RNG.integers(0, 256, (6, 2, 2)).astype(np.uint8)


def idx(array):
    """An IDX file of unsigned bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_mnist(folder, *, suffix="", pack=bytes):
    for part, items in (("train", GREY[:4]), ("t10k", GREY[4:])):
        (folder / f"{part}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(items)))
        (folder / f"{part}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(np.arange(len(items), dtype=np.uint8))))


def test_the_digits_are_there():
    data = load("digits")
    assert (data.train.shape, data.test.shape, data.image) == ((1500, 64), (297, 64), (8, 8))
    assert (data.train.min(), data.train.max()) == (0, 1)
    assert set(data.train_labels) == set(range(10))


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress)])
def test_idx_files(tmp_path, suffix, pack):
    write_mnist(tmp_path, suffix=suffix, pack=pack)
    data = load(str(tmp_path))
    np.testing.assert_array_equal(data.train, GREY[:4].reshape(4, 4) / 255)
    np.testing.assert_array_equal(data.test, GREY[4:].reshape(2, 4) / 255)
    np.testing.assert_array_equal(data.train_labels, range(4))


def test_matlab_files(tmp_path):
    items = RNG.integers(0, 2, (5, 3))
    for part, rows in (("train", items[:3]), ("test", items[3:])):
        scipy.io.savemat(tmp_path / f"binarized_{part}.mat", {"X": rows})
    data = load(str(tmp_path))
    np.testing.assert_array_equal(np.concatenate([data.train, data.test]), items)
    assert data.is_binary


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress)])
def test_density_estimation_files(tmp_path, suffix, pack):
    (tmp_path / f"toy.train.data{suffix}").write_bytes(pack(b"0,1,1\n1,0,0\n"))
    (tmp_path / f"toy.test.data{suffix}").write_bytes(pack(b"1,1,1\n"))
    data = load(str(tmp_path / "toy"))
    np.testing.assert_array_equal(data.train, [[0, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(data.test, [[1, 1, 1]])


def test_numeric_columns_are_standardised_by_the_training_rows(tmp_path):
    table = np.column_stack([RNG.normal(5, 3, 20), np.full(20, 7.0), np.tile([1, 2], 10)])
    np.savetxt(tmp_path / "toy.data-numeric", table)
    data = load(str(tmp_path / "toy.data-numeric"))
    assert (len(data.train), len(data.test)) == (16, 4)
    np.testing.assert_allclose(data.train.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.train.std(axis=0), [1, 0], atol=1e-12)
    np.testing.assert_array_equal(data.test_labels, [0, 1, 0, 1])


@pytest.mark.parametrize("dtype", [np.uint8, float])
def test_numpy_files(tmp_path, dtype):
    items = (GREY.reshape(6, 4) if dtype is np.uint8 else RNG.normal(size=(6, 4))).astype(dtype)
    np.save(tmp_path / "toy.npy", items)
    data = load(str(tmp_path / "toy.npy"))
    scale = 255 if dtype is np.uint8 else 1
    np.testing.assert_array_equal(np.concatenate([data.train, data.test]) * scale, items)
    assert len(data.test) == 2


def make(folder, form):
    """Writes a small set; returns the name that finds it."""
    if form == "mnist":
        write_mnist(folder, suffix=".gz", pack=gzip.compress)
        return folder
    if form == "matlab":
        for part, rows in (("train", 5), ("test", 2)):
            scipy.io.savemat(
                folder / f"toy_{part}.mat", {"other": np.ones(9), "X": np.eye(rows, 3)}, do_compression=True
            )
        return folder
    if form == "density":
        (folder / "toy.train.data").write_text("# bits\n0,1,1\n\n1,0,0\n")
        (folder / "toy.test.data").write_text("1,1,1")
        return folder / "toy"
    if form == "numeric":
        np.savetxt(folder / "toy.data-numeric", np.column_stack([RNG.normal(size=(7, 2)), np.arange(7) % 2]))
        return folder / "toy.data-numeric"
    with gzip.open(folder / "toy.npy.gz", "wb") as file:
        np.save(file, RNG.random((7, 4)))
    return folder / "toy.npy.gz"


@pytest.mark.parametrize("form", ["digits", "mnist", "matlab", "density", "numeric", "numpy"])
def test_headers_say_what_is_loaded(tmp_path, form):
    name = "digits" if form == "digits" else str(make(tmp_path, form))
    data, found = load(name), header(name)
    shapes = {(len(part), part.shape[1]) for part in (data.train, data.test)}
    assert shapes == {(found.train, found.width), (found.test, found.width)}
    assert found.labelled == (data.train_labels is not None)
    kinds = ["autoencode", "regress", *(["classify"] if found.labelled else [])]
    bounded = data._replace(train=np.clip(data.train, 0, 1), test=np.clip(data.test, 0, 1))
    assert all(pairs(bounded, kind).x.shape == (found.train, found.inputs(kind)) for kind in kinds)


def test_a_set_is_read_once_and_anew_when_its_file_has_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("toy.npy", np.zeros((5, 2)))
    first = load("toy.npy")
    assert load("toy.npy") is first
    with pytest.raises(ValueError, match="read-only"):  # others hold the same arrays
        first.train[0] = 1.0
    np.save("toy.npy", np.ones((6, 2)))
    assert header("toy.npy").train == 4
    assert load("toy.npy").train.sum() == 8
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    np.save("toy.npy", np.full((6, 2), 3.0))
    assert load("toy.npy").train.sum() == 24


def header_of(shape):
    """A NumPy file with a header and nothing else."""
    text = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("toy.train.data", b"0,1\n\n0,1,1\n", "line 3 of toy.train.data has 3 values, and those before 2"),
        ("toy.train.data", b"\n", r"have the shape \(0, 0\)"),
        ("toy.npy", b"\x93NUMPY", "Cannot read the data in toy.npy"),
        ("toy.npy", np.array(["a", "b"]), "its values are of the type <U1, not numbers"),
        ("toy.npy", np.array(1.0), r"have the shape \(\); one row an item is wanted"),
        ("toy.npy", np.ones((1, 3)), "hold one item; some are kept for testing, so give more"),
        ("toy.npy", b"\x93NUMPY\x01\x00\x08\x00{'descr':", "Cannot read the data in toy.npy"),
        (
            "toy.npy.gz",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + 20 * b"\xff",
            "Cannot read the data in toy.npy.gz",
        ),
        ("toy.npy", header_of((-1, 4)), r"have the shape \(-1, 4\)"),
        ("toy.npy", header_of((10**22, 4)), "its values end before the last item"),
        ("toy.data-numeric", b"1\n2\n1\n", r"have the shape \(3, 1\)"),
    ],
)
def test_headers_refuse_what_is_no_rows_of_numbers(tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.test.data").write_text("0,1\n")
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        np.save(name, content)
    with pytest.raises(RefusedError, match=message):
        header(name.removesuffix(".train.data"))


def test_unknown_and_damaged_files_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(RefusedError, match=r"Unknown data set 'nothing'; use digits, or a path: .*MNIST"):
        load("nothing")
    write_mnist(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RefusedError, match="t10k-images-idx3-ubyte is not an IDX file of unsigned bytes"):
        load(str(tmp_path))
    path.write_bytes(idx(np.zeros(2, np.uint8)))
    with pytest.raises(RefusedError, match=r"images of shape \(2,\) and labels of shape \(2,\); give MNIST's files"):
        header(str(tmp_path))
    path.unlink()
    with pytest.raises(RefusedError, match="lacks some of MNIST's four files"):
        load(str(tmp_path))
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(RefusedError, match="4 items and 3 labels"):
        load(str(tmp_path))
    (tmp_path / "toy.train.data").write_text("0,1\n1,x\n")
    with pytest.raises(RefusedError, match="needs both"):
        load(str(tmp_path / "toy"))
    (tmp_path / "toy.test.data").write_text("0,1\n")
    with pytest.raises(RefusedError, match="Cannot read the data in"):
        load(str(tmp_path / "toy"))
    (tmp_path / "toy.train.data").write_text("0,1,1\n")
    with pytest.raises(RefusedError, match="have 3 and 2 values"):
        load(str(tmp_path / "toy"))
    (tmp_path / "toy.train.data").write_text("0,nan\n")
    with pytest.raises(RefusedError, match="not finite"):
        load(str(tmp_path / "toy"))
    np.save(tmp_path / "toy.npy", np.zeros((3, 2, 2)))
    with pytest.raises(RefusedError, match="one row an item is wanted"):
        load(str(tmp_path / "toy.npy"))


UNIT = RNG.random((6, 4))


def test_complex_matrices_are_refused(tmp_path):
    for part in ("train", "test"):
        scipy.io.savemat(tmp_path / f"toy_{part}.mat", {"X": 1j * np.eye(3)})
    with pytest.raises(RefusedError, match="its values are complex"):
        load(str(tmp_path))


def write_matlab(folder, write):
    for part in ("train", "test"):
        write(folder / f"toy_{part}.mat")
    return str(folder)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"Y": np.eye(3)}, "it has no variable X"),
        ({"X": "text"}, "its X is of the type char, not of numbers"),
        ({"X": np.array([1, "a"], object)}, "its X is of the type cell, not of numbers"),
        ({"X": {"a": 1}}, "its X is of the type struct, not of numbers"),
        ({"X": np.zeros((2, 2, 2))}, r"have the shape \(2, 2, 2\); one row an item is wanted"),
    ],
)
def test_matrices_without_numbers_are_refused(tmp_path, found, message):
    with pytest.raises(RefusedError, match=message):
        load(write_matlab(tmp_path, lambda path: scipy.io.savemat(path, found)))


def test_sparse_matrices_and_other_integers_are_read(tmp_path):
    for made in (scipy.sparse.csc_matrix(BITS), BITS.astype(np.uint8), BITS.astype(np.float32), BITS.astype(bool)):
        data = load(write_matlab(tmp_path, lambda path, made=made: scipy.io.savemat(path, {"X": made})))
        np.testing.assert_array_equal(data.train, BITS)
        assert data.train.dtype == float


def write_hdf5(path, values):
    """A file as MATLAB writes it since version 7.3: HDF5 behind a block of text, axes in the order of Fortran."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["X"] = np.asarray(values).T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def test_matlab_files_of_version_7_3_are_read_or_refused(tmp_path):
    data = load(write_matlab(tmp_path, lambda path: write_hdf5(path, BITS)))
    np.testing.assert_array_equal(data.train, BITS)
    with pytest.raises(RefusedError, match="its values are no real numbers"):
        load(write_matlab(tmp_path, lambda path: write_hdf5(path, 1j * BITS)))
    with pytest.raises(RefusedError, match="Cannot read the data in"):
        load(write_matlab(tmp_path, lambda path: path.write_bytes(path.read_bytes()[:700])))


@pytest.mark.parametrize(("end", "message"), [("os.abort()", "it is damaged"), ("raise ValueError('odd')", r"\(odd\)")])
def test_a_crash_of_the_reader_harms_nobody(tmp_path, monkeypatch, end, message):
    write_matlab(tmp_path, lambda path: scipy.io.savemat(path, {"X": BITS}))
    (tmp_path / "child.py").write_text(f"import os\n{end}\n")
    monkeypatch.setattr(matlab, "CHILD", tmp_path / "child.py")
    with pytest.raises(RefusedError, match=message):
        load(str(tmp_path))


def test_a_file_that_crashes_the_reader_of_scipy_is_one_sentence(tmp_path):
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"X": np.random.default_rng(1).integers(0, 2, (12, 4))})
    content, rng = np.frombuffer(stream.getvalue(), np.uint8).copy(), np.random.default_rng(318)
    places = rng.integers(124, len(content), size=3)
    content[places] = rng.integers(256, size=3)
    with pytest.raises(RefusedError, match=r"Cannot read the data in .* \(it is damaged\); give a whole file"):
        load(write_matlab(tmp_path, lambda path: path.write_bytes(content.tobytes())))


def pack(content):
    stream = io.BytesIO()
    np.savez(stream, content)
    return stream.getvalue()


WHOLE = RNG.random((6, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.array(["a", "b"]), "its values are of the type <U1, not numbers"),
        (np.array([[1, None]], object), "its values are of the type object, not numbers"),
        (np.array(1.0), r"have the shape \(\)"),
        (WHOLE.astype(np.longdouble), "its values are of the type float128, not numbers of at most 64 bits"),
        (WHOLE * 1j, "its values are of the type complex128, not numbers"),
        (np.full((6, 4), 1e308), r"hold values above 1e\+100, whose squares overflow"),
        (pack(WHOLE), "the magic string is not correct"),
        (gzip.compress(idx(GREY), mtime=0)[:-9], "ended before the end-of-stream marker"),
    ],
)
@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_numpy_files_of_no_numbers_are_refused(tmp_path, content, message, packed):
    if not isinstance(content, bytes):
        stream = io.BytesIO()
        np.save(stream, content)
        content = stream.getvalue()
    (tmp_path / "x.npy").write_bytes(packed(content))
    with pytest.raises(RefusedError, match=message if packed is bytes or "ended" not in message else "Cannot read"):
        load(str(tmp_path / "x.npy"))


@pytest.mark.parametrize("dtype", ["f2", ">f4", "i8", "?", "u2"])
def test_numbers_of_every_size_become_double(tmp_path, dtype):
    np.save(tmp_path / "x.npy", BITS.astype(dtype))
    data = load(str(tmp_path / "x.npy"))
    assert data.train.dtype == float
    np.testing.assert_array_equal(np.concatenate([data.train, data.test]), BITS)


def test_texts_with_a_mark_are_read_and_other_encodings_refused(tmp_path):
    (tmp_path / "x.test.data").write_bytes(b"\xef\xbb\xbf0,1\n")
    (tmp_path / "x.train.data").write_bytes(b"\xef\xbb\xbf0,1\n1,1\n")
    np.testing.assert_array_equal(load(str(tmp_path / "x")).train, [[0, 1], [1, 1]])
    (tmp_path / "x.train.data").write_bytes("0,1\n1,1\n".encode("utf-16"))
    with pytest.raises(RefusedError, match="it is not text in UTF-8, but in UTF-16"):
        load(str(tmp_path / "x"))


def test_pipes_are_no_data(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(RefusedError, match="Unknown data set"):
        load(str(tmp_path / "x.npy"))


def test_a_digest_knows_data_by_their_bytes(tmp_path):
    np.save(tmp_path / "a.npy", BITS)
    np.save(tmp_path / "b.npy", BITS)
    first = digest(str(tmp_path / "a.npy"))
    assert digest(str(tmp_path / "b.npy")) == first
    assert len(first["data_sha256"]) == 64
    np.save(tmp_path / "a.npy", 1 - BITS)
    assert digest(str(tmp_path / "a.npy")) != first
    assert digest("digits") == {}


def test_targets_of_every_kind():
    labels = np.array([0, 1, 2, 0]), np.array([2, 1])
    data = Data(UNIT[:4], UNIT[4:], *labels)
    found = pairs(data, "autoencode")
    assert found.y is found.x
    np.testing.assert_array_equal(pairs(data, "classify").test_y, [[0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(pairs(data, "regress").y, [[0], [1], [2], [0]])
    found = pairs(Data(UNIT[:4], UNIT[4:]), "regress")
    np.testing.assert_array_equal(np.hstack([found.x, found.y]), UNIT[:4])
    assert found.test_x.shape == (2, 3)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (Data(UNIT[:2], UNIT[2:4], np.eye(2), np.eye(2)), "classify", r"Labels of shape \(2, 2\) do not fit 2 items"),
        (Data(UNIT[:2], UNIT[2:4], np.eye(2), np.eye(2)), "regress", r"Labels of shape \(2, 2\) do not fit 2 items"),
        (
            Data(UNIT[:2], UNIT[2:4], np.array([0, 1]), np.array([0])),
            "classify",
            r"Labels of shape \(1,\) do not fit 2",
        ),
        (Data(UNIT[:2], UNIT[2:4], np.array(["a", "b"]), np.array([0, 1])), "regress", "Labels are not numbers"),
        (Data(UNIT[:4], UNIT[4:]), "classify", "no labels to classify"),
        (Data(2 * UNIT, UNIT), "autoencode", "outside"),
        (Data(UNIT[:2], UNIT[2:4], np.array([0, 9]), np.array([0, 9])), "classify", "2 classes go from 0 to 9"),
        (Data(UNIT[:2], UNIT[2:4], np.array([0, 1]), np.array([0, 2])), "classify", "test item has 2"),
        (Data(UNIT[:2], UNIT[2:4], np.array([-1, 0]), np.array([0, 0])), "classify", "2 classes go from -1 to 0"),
    ],
)
def test_bad_targets_are_refused(data, kind, message):
    with pytest.raises(RefusedError, match=message):
        pairs(data, kind)


def test_bits_and_batches():
    data = Data(UNIT[:4], UNIT[4:])
    with pytest.raises(RefusedError, match="--threshold"):
        bits(data, None)
    found = bits(data, 0.5)
    np.testing.assert_array_equal(found.train, UNIT[:4] >= 0.5)
    assert bits(found, None) is found
    check_batch(4, 4)
    with pytest.raises(RefusedError, match="batch is 5, and the data have 4"):
        check_batch(5, 4)
