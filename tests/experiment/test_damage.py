"""What is stored is verified: one flipped bit anywhere is told or does no harm, and what is told is one sentence."""

import hashlib
import io
import json
import pathlib
import random
import shutil
import zipfile

import jax
import numpy as np
import optax
import pytest

from qnat.experiment import Keep, RefusedError, Run, run
from qnat.experiment.store.files import read_run, write_json
from qnat.experiment.store.seal import sealed
from qnat.inference import langevin

ADAM = optax.adam(0.1)
_SIZE = {"seed": 3, "every": 3}


@pytest.fixture
def undrawn(monkeypatch):
    """Figures take most of the time of such runs."""
    monkeypatch.setattr(
        "qnat.experiment.runs._draw", lambda result, path, *_: (path / "figure.png").write_bytes(b"picture")
    )


@pytest.fixture
def train(quadratic, paced, undrawn):
    """Trains in a folder, in chunks of six steps with a checkpoint after each: a descent, or a chain with its draws."""
    task = quadratic()
    chain, keep = langevin(task.value_and_grad, 0.05), Keep(2, burn_in=3)

    def on(folder, steps=20, *, draws=False, **options):
        paced(6)
        more = {"keep": keep} if draws else {}
        return run(task, chain if draws else ADAM, steps=steps, out=folder, **_SIZE, **more, **options)

    return on


def _same(found, wanted):
    assert found.final == wanted.final
    pairs = (
        (found.curves, found.params, found.artifacts, found.draws),
        (
            wanted.curves,
            wanted.params,
            wanted.artifacts,
            wanted.draws,
        ),
    )
    jax.tree.map(np.testing.assert_array_equal, *pairs)


def _flip(path: pathlib.Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def _flipped_bits(train, tmp_path, flips: int, seed: int, *, draws: bool) -> dict[str, int]:
    """Flips bits of copies of a folder, one each; returns how often it was noticed, and how often it did no harm."""
    whole, chance = tmp_path / "whole", random.Random(seed)
    loaded = train(whole, draws=draws)
    longer = train(None, 27, draws=draws)
    files = [path for path in sorted(whole.iterdir()) if path.stat().st_size and path.suffix != ".png"]
    count = {"refused": 0, "harmless": 0, "refused to go on": 0, "went on": 0}
    for number in range(flips):
        copy = tmp_path / "copy"
        shutil.copytree(whole, copy)
        file = copy / files[number % len(files)].name
        _flip(file, chance.randrange(8 * file.stat().st_size))
        try:
            _same(Run.load(copy), loaded)
            count["harmless"] += 1
        except RefusedError:
            count["refused"] += 1
        try:
            _same(train(copy, 27, draws=draws, resume=True), longer)
            count["went on"] += 1
        except RefusedError:
            count["refused to go on"] += 1
        shutil.rmtree(copy)
    return count


@pytest.mark.parametrize("draws", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_flipped_bit_is_noticed_or_harmless(train, tmp_path, draws):
    count = _flipped_bits(train, tmp_path, 40, 0, draws=draws)
    assert min(count.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("draws", [False, True])
def test_flipped_bits_are_noticed_or_harmless(train, tmp_path, draws):
    count = _flipped_bits(train, tmp_path, 500, 1, draws=draws)
    assert min(count.values()) > 0


def test_a_damaged_log_goes_back_to_the_checkpoint_before(train, tmp_path, capsys):
    train(tmp_path / "r")
    first = (tmp_path / "r" / "metrics.jsonl").read_bytes().index(b'{"step": 18')
    _flip(tmp_path / "r" / "metrics.jsonl", 8 * (first + 25))
    _same(train(tmp_path / "r", 27, resume=True), train(None, 27))
    said = capsys.readouterr().err
    assert (
        "checkpoint.npz is damaged (metrics.jsonl is not what it was); continuing from the one before, step 18" in said
    )


@pytest.mark.parametrize("draws", [False, True])
def test_a_copy_by_hard_links_stays_as_it_is(train, tmp_path, draws):
    train(tmp_path / "r", draws=draws)
    (tmp_path / "copy").mkdir()
    for file in (tmp_path / "r").iterdir():
        (tmp_path / "copy" / file.name).hardlink_to(file)
    before = {file.name: file.read_bytes() for file in (tmp_path / "copy").iterdir()}
    _same(train(tmp_path / "r", 27, draws=draws, resume=True), train(None, 27, draws=draws))
    assert {file.name: file.read_bytes() for file in (tmp_path / "copy").iterdir()} == before


def test_a_foreign_file_under_the_name_of_the_log_stays_as_it_is(train, tmp_path):
    train(tmp_path / "r")
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "r" / "metrics.jsonl").unlink()
    (tmp_path / "r" / "metrics.jsonl").hardlink_to(tmp_path / "precious")
    with pytest.raises(RefusedError, match="is damaged"):
        train(tmp_path / "r", 27, resume=True)
    _same(train(tmp_path / "r", 27, force=True), train(None, 27))
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_damaged_result_is_made_again(train, tmp_path, capsys):
    wanted = train(tmp_path / "r")
    _flip(tmp_path / "r" / "result.nc", 1000)
    with pytest.raises(RefusedError, match=r"result\.nc is missing or damaged; --force runs it again"):
        Run.load(tmp_path / "r")
    _same(train(tmp_path / "r", resume=True), wanted)
    assert "result.nc is missing or damaged; it is made again from the last checkpoint" in capsys.readouterr().err
    _same(Run.load(tmp_path / "r"), wanted)


def test_a_damaged_log_of_a_finished_run_is_said(train, tmp_path, capsys):
    wanted = train(tmp_path / "r")
    _flip(tmp_path / "r" / "metrics.jsonl", 1000)
    _same(Run.load(tmp_path / "r"), wanted)
    assert "metrics.jsonl is missing or damaged; result.nc, which is read, is whole." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["run.json", "result.nc", "metrics.jsonl", "checkpoint.npz", "draws.bin"])
def test_a_file_of_another_run_is_noticed(train, tmp_path, name, capsys):
    wanted, longer = train(tmp_path / "r", draws=True), train(None, 27, draws=True)
    before = dict(_SIZE)
    _SIZE["seed"] = 4
    try:
        train(tmp_path / "other", draws=True)
    finally:
        _SIZE.update(before)
    shutil.copy(tmp_path / "other" / name, tmp_path / "r" / name)
    if name in ("metrics.jsonl", "draws.bin", "checkpoint.npz"):
        _same(Run.load(tmp_path / "r"), wanted)
    else:
        with pytest.raises(RefusedError, match="missing or damaged"):
            Run.load(tmp_path / "r")
    capsys.readouterr()
    if name == "checkpoint.npz" or name == "result.nc":
        _same(train(tmp_path / "r", 27, draws=True, resume=True), longer)
        told = {"checkpoint.npz": "of a run with another seed", "result.nc": "result.nc is missing or damaged"}[name]
        assert told in capsys.readouterr().err
    else:
        told = "its seed is 4, not 3" if name == "run.json" else f"{name} is not what it was"
        with pytest.raises(RefusedError, match=told):
            train(tmp_path / "r", 27, draws=True, resume=True)


_DEEP = "[" * 100_000
_WRONG = {
    "text": b"nonsense",
    "nothing": b"",
    "bytes": b"\xff\xfe{}",
    "a list": b"[]",
    "nested": _DEEP.encode(),
    "nested in it": b'{"task": "x", "status": "finished", "spec": ' + _DEEP.encode(),
    "a long number": b'{"task": "x", "status": "finished", "spec": {"task": "x", "steps": ' + b"9" * 5000 + b"}}",
    "nothing in it": b"{}",
}


@pytest.mark.parametrize("wrong", _WRONG)
def test_a_run_json_of_another_kind_is_one_sentence(train, tmp_path, wrong):
    train(tmp_path / "r")
    (tmp_path / "r" / "run.json").write_bytes(_WRONG[wrong])
    before = {path: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    for choice in ({"resume": True}, {"force": True}, {}):
        with pytest.raises(RefusedError, match=r"damaged file|not written by qnat"):
            train(tmp_path / "r", **choice)
    with pytest.raises(RefusedError, match=r"damaged file|not written by qnat"):
        Run.load(tmp_path / "r")
    assert before == {path: path.read_bytes() for path in (tmp_path / "r").iterdir()}


@pytest.mark.parametrize("seal", [True, False])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("task", 1),
        ("status", "resting"),
        ("spec", []),
        ("spec", {"task": "quadratic", "steps": "20"}),
        ("steps", "20"),
        ("steps", -1),
        ("steps", 10**12),
        ("final", [1.0]),
        ("final", {"loss": "small"}),
        ("final", {"loss": {}}),
        ("reference", {"loss": 1.0}),
        ("seconds", "long"),
        ("seconds", None),
        ("measures", [{"name": "loss", "colour": "red"}]),
        ("measures", [1]),
        ("panels", [{"kind": "opera", "artifact": "x"}]),
        ("costs", [1]),
        ("ladder", 1),
        ("files", {"result.nc": 1}),
        ("citations", {}),
    ],
)
def test_a_wrong_type_in_run_json_is_one_sentence(train, tmp_path, key, value, seal):
    train(tmp_path / "r")
    path = tmp_path / "r" / "run.json"
    document = read_run(tmp_path / "r") | {key: value}
    if seal:
        write_json(path, document)
    else:
        path.write_text(json.dumps({name: one for name, one in document.items() if name not in ("sha256", "format")}))
    with pytest.raises(RefusedError, match="damaged"):
        Run.load(tmp_path / "r")


def _rewritten(path, change, *, kind=np.savez, seal=True):
    """A checkpoint whose account or arrays were changed."""
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(arrays.pop("meta").tobytes())
    meta = {name: one for name, one in meta.items() if name not in ("sha256", "format")}
    meta, arrays = change(meta, arrays)
    text = json.dumps(sealed(meta) if seal else meta) if not isinstance(meta, str) else meta
    kind(path, meta=np.frombuffer(text.encode(), np.uint8), **arrays)


def _without(names, name):
    return {key: value for key, value in names.items() if key != name}


_CHANGES = {
    "the step is a word": lambda meta, arrays: (meta | {"step": "18"}, arrays),
    "the step is beyond the end": lambda meta, arrays: (meta | {"step": 21}, arrays),
    "the length is negative": lambda meta, arrays: (meta | {"log_bytes": -1}, arrays),
    "the length is enormous": lambda meta, arrays: (meta | {"log_bytes": 10**18}, arrays),
    "seconds are a list": lambda meta, arrays: (meta | {"seconds": [1]}, arrays),
    "no environment": lambda meta, arrays: (_without(meta, "environment"), arrays),
    "another spec": lambda meta, arrays: (meta | {"spec": meta["spec"] | {"seed": 9}}, arrays),
    "no spec": lambda meta, arrays: (meta | {"spec": None}, arrays),
    "a list": lambda meta, arrays: ("[1, 2]", arrays),
    "nested": lambda meta, arrays: (_DEEP, arrays),
    "no array": lambda meta, arrays: (meta, {}),
    "arrays of words": lambda meta, arrays: (meta, {name: np.array(["a", "b"]) for name in arrays}),
    "arrays exchanged": lambda meta, arrays: (meta, dict(zip(arrays, reversed(arrays.values()), strict=True))),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_a_wrong_checkpoint_is_told_and_the_one_before_used(train, tmp_path, change, capsys):
    train(tmp_path / "r")
    _rewritten(tmp_path / "r" / "checkpoint.npz", _CHANGES[change])
    _same(train(tmp_path / "r", 27, resume=True), train(None, 27))
    assert "checkpoint.npz is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("seal", [True, False])
@pytest.mark.parametrize("change", _CHANGES)
def test_wrong_checkpoints_are_one_sentence(train, tmp_path, change, seal):
    train(tmp_path / "r")
    if not seal and change == "arrays exchanged":
        pytest.skip("without checksums nobody can tell")
    (tmp_path / "r" / "checkpoint.previous.npz").unlink()
    _rewritten(tmp_path / "r" / "checkpoint.npz", _CHANGES[change], seal=seal)
    with pytest.raises(RefusedError, match=r"damaged|The checkpoint holds"):
        train(tmp_path / "r", 27, resume=True)


def _array():
    """The bytes of a file of one array."""
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def _bomb(path):
    """A file of a megabyte whose one part says that it is a thousand times as large."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("meta.npy", bytes(10**9 // 4))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: _rewritten(path, lambda meta, arrays: (meta, arrays), kind=np.savez_compressed),
        _bomb,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(_array()),
        lambda path: zipfile.ZipFile(path, "w").close(),
    ],
    ids=["compressed", "a bomb", "empty", "one array", "no part"],
)
def test_a_checkpoint_of_another_kind_is_told_and_the_one_before_used(train, tmp_path, make, capsys):
    train(tmp_path / "r")
    path = tmp_path / "r" / "checkpoint.npz"
    make(path)
    _same(train(tmp_path / "r", 27, resume=True), train(None, 27))
    assert "checkpoint.npz is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", [b"[]\n", b'{"step": "x"}\n', b'{"step": 0, "loss": [1, 2]}\n', _DEEP.encode(), b"\xff"]
)
def test_a_wrong_log_of_the_version_before_is_one_sentence(train, tmp_path, text):
    train(tmp_path / "r")
    for name in ("checkpoint.npz", "checkpoint.previous.npz"):
        length = json.loads(np.load(tmp_path / "r" / name)["meta"].tobytes())["log_bytes"]
        _rewritten(tmp_path / "r" / name, lambda meta, arrays: (_without(meta, "files"), arrays), seal=False)
    (tmp_path / "r" / "metrics.jsonl").write_bytes(text.ljust(2 * length + 1000, b"\n"))
    with pytest.raises(RefusedError, match=r"damaged file .*metrics\.jsonl"):
        train(tmp_path / "r", 27, resume=True)


def test_a_checkpoint_does_not_read_the_log_again(train, tmp_path, monkeypatch):
    from qnat.experiment.store import log

    read = []
    monkeypatch.setattr(log, "hash_of", lambda path, length: read.append(length) or hashlib.sha256())
    train(tmp_path / "r", 60)
    assert read == [0]  # when it was opened


def test_a_kill_between_two_renames_leaves_a_run_that_goes_on(train, tmp_path):
    train(tmp_path / "r")
    (tmp_path / "r" / "checkpoint.npz").unlink()
    (tmp_path / "r" / "run.json.part").write_bytes(b"{")
    _same(train(tmp_path / "r", 27, resume=True), train(None, 27))


def test_a_folder_of_the_version_before_is_read_and_said_to_be_unverified(train, tmp_path, capsys):
    wanted = train(tmp_path / "r")
    path = tmp_path / "r" / "run.json"
    document = {name: one for name, one in read_run(path.parent).items() if name not in ("sha256", "format", "files")}
    path.write_text(json.dumps(document))
    _same(Run.load(path.parent), wanted)
    assert (
        capsys.readouterr().err
        == f"{path.parent} is from before there were checksums; it is read as it is, unverified.\n"
    )
    content = (path.parent / "result.nc").read_bytes()
    for length in (0, 10, 1000, len(content) // 2):
        (path.parent / "result.nc").write_bytes(content[:length])
        with pytest.raises(RefusedError, match="damaged"):
            Run.load(path.parent)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
