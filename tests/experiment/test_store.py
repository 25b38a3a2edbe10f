"""A run as a folder: what it holds, who may touch it, what survives."""

import json
import resource
import shutil
import signal
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr

from qnat.experiment import RefusedError, Run, StorageError, run
from qnat.experiment.store.files import read_run, write_json
from qnat.experiment.store.place import locked, next_free
from qnat.experiment.store.seal import sealed

# made once: the compiled loop knows an optax optimiser by its identity
ADAM, SGD = optax.adam(0.1), optax.sgd(0.1)
_SIZE = {"steps": 20, "seed": 1, "every": 3}


@pytest.fixture
def folder(quadratic, tmp_path, paced):
    """A finished run with several checkpoints behind it."""
    paced(6)
    run(quadratic(), ADAM, **_SIZE, out=tmp_path / "run")
    return tmp_path / "run"


def _again(quadratic, folder, **changes):
    return run(quadratic(), ADAM, **(_SIZE | {"out": folder, "resume": True} | changes))


def test_what_a_folder_holds(folder):
    names = {path.name for path in folder.iterdir()}
    assert names - {".lock"} == {
        "run.json",
        "metrics.jsonl",
        "result.nc",
        "figure.png",
        "checkpoint.npz",
        "checkpoint.previous.npz",
    }
    document = json.loads((folder / "run.json").read_text())
    assert document["status"] == "finished"
    assert document["spec"]["task"] == "quadratic"
    assert set(document["versions"]) == {"python", "qnat", "jax", "jaxlib", "numpy", "optax", "equinox", "lineax"}
    assert document["threads"] >= 1
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(21))
    assert [row["step"] for row in rows if "norm" in row] == [0, 3, 6, 9, 12, 15, 18, 20]
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_result_reads_back_bit_for_bit(quadratic, folder):
    memory, loaded = run(quadratic(), ADAM, **_SIZE), Run.load(folder)
    for name, curve in memory.curves.items():
        np.testing.assert_array_equal(curve, loaded.curves[name])
    np.testing.assert_array_equal(memory.params["x"], loaded.params["x"])
    np.testing.assert_array_equal(memory.artifacts["outer"], loaded.artifacts["outer"])
    assert loaded.artifacts["outer"].dtype == np.complex128
    assert loaded.final == memory.final
    with xr.open_dataset(folder / "result.nc", engine="h5netcdf") as dataset:
        assert dataset["loss"].dims == ("seed", "step")
        assert dataset["seed"].values.tolist() == [1]
        assert json.loads(dataset.attrs["spec"])["steps"] == 20


def test_numbers_that_json_lacks_survive(tmp_path, quadratic):
    class Infinite(type(quadratic())):
        def evaluate(self, params):
            return {"gap": jnp.asarray(jnp.inf)}

    task = Infinite(jnp.ones(2), jnp.zeros(()))
    run(task, SGD, steps=2, seed=0, out=tmp_path / "r")
    assert Run.load(tmp_path / "r").final["gap"] == np.inf
    json.loads((tmp_path / "r" / "run.json").read_text(), parse_constant=pytest.fail)


# the resume matrix


def test_resume_without_a_folder_starts(quadratic, tmp_path):
    assert _again(quadratic, tmp_path / "new").steps == 20


def test_resume_without_a_checkpoint_starts(quadratic, folder):
    expected = (folder / "metrics.jsonl").read_bytes()
    _unfinished(folder)
    for name in ("checkpoint.npz", "checkpoint.previous.npz"):
        (folder / name).unlink()
    assert _again(quadratic, folder).steps == 20
    assert (folder / "metrics.jsonl").read_bytes() == expected


def test_resume_of_a_finished_run_returns_it_untouched(quadratic, folder):
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != ".lock"}
    assert _again(quadratic, folder).final == Run.load(folder).final
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != ".lock"}


def test_more_steps_continue_to_the_bits_of_a_longer_run(quadratic, folder, tmp_path):
    longer = run(quadratic(), ADAM, **(_SIZE | {"steps": 33}), out=tmp_path / "longer")
    more = _again(quadratic, folder, steps=33)
    np.testing.assert_array_equal(more.params["x"], longer.params["x"])
    assert (folder / "metrics.jsonl").read_bytes() == (tmp_path / "longer" / "metrics.jsonl").read_bytes()
    assert Run.load(folder).steps == 33


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"steps": 19}, "steps"), ({"seed": 2}, "seed"), ({"every": 2}, "every"), ({"seeds": 2}, "seeds")],
)
def test_any_other_difference_is_refused_by_name(quadratic, folder, changes, name):
    with pytest.raises(RefusedError, match=rf"holds another run: its {name} is"):
        _again(quadratic, folder, **changes)


def test_another_task_is_refused(quadratic, folder):
    with pytest.raises(RefusedError, match="its problem is"):
        run(quadratic(curvature=(1.0,)), ADAM, **_SIZE, out=folder, resume=True)


def test_other_versions_or_threads_are_said(quadratic, folder, capsys):
    with np.load(folder / "checkpoint.npz") as file:
        arrays = dict(file)
    meta = json.loads(arrays["meta"].tobytes())
    meta["environment"]["threads"] += 1
    arrays["meta"] = np.frombuffer(json.dumps(sealed(meta)).encode(), np.uint8)
    np.savez(folder / "checkpoint.npz", **arrays)
    _again(quadratic, folder, steps=25)
    assert "threads differ from the run so far; last digits may differ" in capsys.readouterr().err


# whose folder


def test_a_run_is_not_overwritten_without_force(quadratic, folder):
    before = (folder / "run.json").read_bytes()
    with pytest.raises(RefusedError, match="already holds a run; --resume continues it, --force replaces it"):
        _again(quadratic, folder, resume=False, seed=9)
    assert (folder / "run.json").read_bytes() == before
    assert _again(quadratic, folder, resume=False, force=True, seed=9).spec["seed"] == 9


def test_what_is_not_a_run_is_refused_even_with_force(quadratic, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    for choice in ({}, {"resume": True}, {"force": True}):
        with pytest.raises(RefusedError, match=r"not the folder of a run \(it holds thesis.tex\)"):
            run(quadratic(), SGD, steps=1, seed=0, out=tmp_path, **choice)
    with pytest.raises(RefusedError, match="is a file"):
        run(quadratic(), SGD, steps=1, seed=0, out=tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_processes_do_not_write_one_folder(quadratic, folder):
    with locked(folder), pytest.raises(RefusedError, match="Another process is writing"):
        _again(quadratic, folder, steps=30)


def test_resume_and_force_exclude_each_other(quadratic, folder):
    with pytest.raises(RefusedError, match="exclude each other"):
        _again(quadratic, folder, force=True)
    with pytest.raises(ValueError, match="give out="):
        run(quadratic(), SGD, steps=1, seed=0, resume=True)


def test_free_names_are_taken_in_turn(tmp_path):
    assert [next_free(tmp_path / "runs", "x").name for _ in range(3)] == ["x-1", "x-2", "x-3"]


def test_an_unfinished_run_is_not_loaded(folder):
    write_json(folder / "run.json", read_run(folder) | {"status": "interrupted"})
    with pytest.raises(RefusedError, match="is interrupted, not finished"):
        Run.load(folder)


# damage


def _unfinished(folder):
    """As a kill during the last chunk would leave it."""
    write_json(folder / "run.json", read_run(folder) | {"status": "running"})
    (folder / "result.nc").unlink()


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(quadratic, folder, damage, capsys):
    expected, log = Run.load(folder), (folder / "metrics.jsonl").read_bytes()
    _unfinished(folder)
    newest = folder / "checkpoint.npz"
    data = bytearray(newest.read_bytes())
    if damage == "cut":
        newest.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        with np.load(newest) as file:
            place = bytes(data).index(file["leaf_00000"].tobytes())
        data[place] ^= 255
        newest.write_bytes(data)
    else:  # killed between the two renames
        newest.unlink()
    resumed = _again(quadratic, folder)
    np.testing.assert_array_equal(resumed.params["x"], expected.params["x"])
    assert (folder / "metrics.jsonl").read_bytes() == log
    said = capsys.readouterr().err
    assert ("is damaged" in said and "continuing from the one before, step 18" in said) == (damage != "missing")


def test_two_damaged_checkpoints_are_refused(quadratic, folder):
    _unfinished(folder)
    for name in ("checkpoint.npz", "checkpoint.previous.npz"):
        (folder / name).write_bytes(b"PK")
    with pytest.raises(RefusedError, match="no other is left; --force starts the run anew"):
        _again(quadratic, folder)


def test_a_torn_line_of_the_log_is_cut_off(quadratic, folder):
    log = (folder / "metrics.jsonl").read_bytes()
    _unfinished(folder)
    (folder / "metrics.jsonl").write_bytes(log + b'{"step": 21, "lo')
    _again(quadratic, folder)
    assert (folder / "metrics.jsonl").read_bytes() == log


_FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
from qnat.experiment.store.files import replace_file
import pathlib
try:
    replace_file(pathlib.Path(sys.argv[1]), lambda file: file.write(b"x" * 5000))
except OSError as error:
    print(error.strerror)
"""


def test_a_failed_write_leaves_the_old_file_whole(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    script = subprocess.run([sys.executable, "-c", _FULL, str(target)], capture_output=True, text=True, check=True)
    assert script.stdout.strip() == "File too large"
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_stops_the_run_and_leaves_a_folder_that_resumes(quadratic, tmp_path, paced):
    paced(6)
    whole = run(quadratic(), ADAM, **(_SIZE | {"steps": 200}))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))
    try:
        with pytest.raises(StorageError, match=r"Cannot write to .*free some space, then --resume continues from step"):
            _again(quadratic, tmp_path / "r", steps=200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    resumed = _again(quadratic, tmp_path / "r", steps=200)
    np.testing.assert_array_equal(resumed.params["x"], whole.params["x"])
    np.testing.assert_array_equal(resumed.curves["loss"], whole.curves["loss"])


def test_a_moved_folder_resumes(quadratic, folder, tmp_path):
    shutil.move(folder, tmp_path / "moved")
    assert _again(quadratic, tmp_path / "moved", steps=22).steps == 22
