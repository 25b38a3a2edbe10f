"""Folders of runs that an older version wrote: they are read, compared, cited and resumed."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from qnat.cli import main
from qnat.experiment import RefusedError, Run, load_runs
from qnat.experiment.show.cost import main_curve

OLD = pathlib.Path(__file__).parents[1] / "golden" / "runs"
FINISHED = sorted(path.parent.relative_to(OLD).as_posix() for path in OLD.rglob("result.nc"))


@pytest.fixture
def old(tmp_path, monkeypatch):
    """The folders, copied to where the command runs."""
    shutil.copytree(OLD, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", FINISHED)
def test_a_finished_run_is_read_without_its_task(name, monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: pytest.fail("The task was asked."))
    run = Run.load(OLD / name)
    document = json.loads((OLD / name / "run.json").read_text())
    assert run.spec == document["spec"]
    assert run.measures is None
    assert not run.panels
    assert not run.labels  # older arrays have axes without names
    for curve, value in run.final.items():
        np.testing.assert_array_equal(run.curves[curve][:, -1], value)
    assert run.artifacts
    assert all(np.isfinite(array).all() for array in run.artifacts.values())
    assert "seed" not in run.artifacts


@pytest.mark.parametrize("name", FINISHED)
def test_a_finished_run_is_cited(name, capsys):
    assert main(["cite", str(OLD / name)]) == 0
    printed = capsys.readouterr().out
    for key in json.loads((OLD / name / "run.json").read_text())["citations"]:
        assert f"{{{key}," in printed


@pytest.mark.parametrize(
    ("names", "wanted"), [("gibbs shots boltzmann learning", "exact.txt"), ("network helmholtz", "loss.txt")]
)
def test_a_comparison_says_what_it_said(names, wanted, old, capsys):
    assert main(["compare", *names.split()]) == 0
    assert capsys.readouterr().out == (OLD / wanted).read_text()
    printed = [pathlib.Path(line) for line in (OLD / wanted).read_text().split() if line.endswith(".png")]
    assert all(figure.read_bytes().startswith(b"\x89PNG") for figure in printed)


def test_tasks_tell_what_older_runs_measured():
    judges = {name: main_curve(entry.run)[0] for name in FINISHED for entry in load_runs([OLD / name])}
    assert {name: judge.name for name, judge in judges.items() if not judge.exact} == {
        "helmholtz": "test_negative_log_likelihood",
        "network": "test_loss",
    }
    assert {judge.name for judge in judges.values() if judge.exact} == {"relative_entropy"}


def test_an_older_sequence_is_compared(old, capsys):
    assert main(["compare", "sequence"]) == 0
    printed = capsys.readouterr().out
    assert "true relative entropy" in printed.splitlines()[1]
    assert "0.342                   0.27" in printed


def test_a_run_whose_task_is_not_installed_shows_its_loss(old, capsys):
    for name in ("gibbs", "shots"):
        document = (old / name / "run.json").read_text().replace('"task": "gibbs"', '"task": "absent"')
        (old / name / "run.json").write_text(document)
    assert main(["compare", "gibbs", "shots"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("from before there were checksums; it is read as it is, unverified.\n") == 2
    assert printed.err.count("\n") == 3
    assert "runs of 'absent' do not say what it measures" in printed.err
    assert "Unknown task 'absent'" in printed.err
    assert printed.out.startswith("loss at the first and the last step\n")


def resumed(command, capsys):
    assert main([*command.split(), "--resume"]) == 0, capsys.readouterr().err


def test_an_unfinished_run_goes_on(old, capsys):
    with pytest.raises(RefusedError, match="is interrupted, not finished; --resume continues it"):
        Run.load("unfinished")
    resumed("run gibbs --n 2 --steps 20 --out unfinished", capsys)
    run = Run.load("unfinished")
    assert run.final["relative_entropy"] < 1e-12
    assert run.measures


def test_a_finished_sequence_is_drawn_again(old, capsys):
    options = "--n 2 --kind open --trajectories 20 --elements 2 --steps 3"
    resumed(f"run sequence {options} --out sequence", capsys)
    assert "true relative entropy" in capsys.readouterr().out
    assert pathlib.Path("sequence/figure.png").read_bytes().startswith(b"\x89PNG")
