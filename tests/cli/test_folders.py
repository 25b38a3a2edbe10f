"""Folders as commands find them: listed, shown again, finished as they are."""

import fcntl
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from qnat.cli import main
from qnat.experiment import Run
from qnat.experiment.show.tables import duration
from qnat.experiment.store.files import write_json
from qnat.quantum.tasks.gibbs import GibbsSpec

SMALL = {"n": 2, "layers": 1, "optimizer": "sgd"}
WORDS = ["--n", "2", "--layers", "1", "--optimizer", "sgd"]


@pytest.fixture(scope="module")
def made(stops, tmp_path_factory):
    """A finished run, one that was stopped at step 20 of 50, a sweep, and what cannot be read."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["run", "gibbs", *WORDS, "--steps", "3", "--seeds", "2", "--out", "runs/done"]) == 0
        assert main(["sweep", "gibbs", *WORDS, "--steps", "3", "--beta", "0.5,1", "--out", "runs/sweep"]) == 0
        patch.setattr("qnat.experiment.loop.iterate.Pace.length", lambda _self, first, remaining: min(10, remaining))
        with pytest.raises(KeyboardInterrupt):
            GibbsSpec(**SMALL, steps=50, every=5).run("runs/stopped", callbacks=[stops(2)])
    (folder / "runs" / "broken").mkdir()
    (folder / "runs" / "broken" / "run.json").write_text("{")
    (folder / "runs" / "odd").mkdir()
    (folder / "runs" / "odd" / "run.json").write_text('{"task": "gibbs", "status": "finished", "spec": []}')
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of them, where the command runs."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_are_listed_and_what_cannot_be_read_is_named(here, capsys):
    assert main(["list", "runs"]) == 0
    printed = capsys.readouterr()
    rows = [line.split() for line in printed.out.splitlines()]
    assert rows[0] == ["folder", "task", "status", "steps", "measure"]
    known = {row[0]: row[1:] for row in rows[1:]}
    assert set(known) == {"runs/done", "runs/stopped", "runs/sweep/beta=0.5", "runs/sweep/beta=1.0"}
    values = Run.load("runs/done").final["relative_entropy"]
    assert known["runs/done"] == ["gibbs", "finished", "3", "relative", "entropy", f"{np.mean(values):.3g}", "nats"]
    # the measure is that of step 15: it is evaluated at every fifth
    row = next(
        json.loads(line) for line in reversed(pathlib.Path("runs/stopped/metrics.jsonl").read_text().splitlines())
    )
    assert known["runs/stopped"][:5] == ["gibbs", "interrupted", "20", "of", "50"]
    assert "relative_entropy" not in row
    assert known["runs/stopped"][5:7] == ["relative", "entropy"]
    errors = printed.err.splitlines()
    assert len(errors) == 2
    assert "runs/broken/run.json" in errors[0]
    assert "the damaged file runs/odd/run.json" in errors[1]


def test_an_empty_folder_has_no_runs(tmp_path, capsys):
    assert main(["list", "runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"No runs in {tmp_path}.\n"


def test_links_are_not_followed(here, capsys):
    (here / "elsewhere").mkdir()
    (here / "elsewhere" / "link").symlink_to(here / "runs")
    assert main(["list", "runs", "elsewhere"]) == 0
    assert "No runs" in capsys.readouterr().out


def test_show_prints_a_finished_run_again(here, capsys):
    assert main(["run", "gibbs", *WORDS, "--steps", "3", "--out", "r"]) == 0
    before = capsys.readouterr().out.split(" s; ")[0]
    assert main(["show", "r"]) == 0
    printed, times = capsys.readouterr().out.split(" s; ")
    assert printed == before
    spent = Run.load("r").spent
    assert times.splitlines()[0] == ", ".join(f"{part} {spent[part]:.1f}" for part in spent)  # of the run, not of show
    assert main(["show", "r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == Run.load("r").final["loss"]


def test_show_prints_a_sweep_again_and_says_what_is_left(here, capsys):
    assert main(["show", "runs/sweep"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "gibbs, tfim, n = 2, qhbm, sgd, seed 0"
    assert printed.splitlines()[2].startswith("relative entropy at the first and the last step")
    assert "--resume" not in printed
    assert " in all" not in printed  # that would be the time of this command
    table = json.loads(pathlib.Path("runs/sweep/table.json").read_text())
    table["runs"][1]["status"] = "pending"
    write_json(pathlib.Path("runs/sweep/table.json"), table)
    assert main(["show", "runs/sweep"]) == 0
    assert "Of 2 runs: 1 finished, 1 pending." in capsys.readouterr().out


def test_show_says_how_far_a_run_is(here, capsys):
    assert main(["show", "runs/stopped"]) == 0
    printed = capsys.readouterr().out
    assert "runs/stopped is interrupted at step 20 of 50." in printed
    assert "'qnat finish runs/stopped' ends it here" in printed
    assert main(["show", "runs/stopped", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["steps"]) == ("interrupted", 20)
    document = json.loads(pathlib.Path("runs/stopped/run.json").read_text())
    write_json(pathlib.Path("runs/stopped/run.json"), document | {"status": "running"})
    assert main(["show", "runs/stopped"]) == 0
    assert "is interrupted at step 20" in capsys.readouterr().out  # nobody writes it: its process was killed
    with pathlib.Path("runs/stopped/.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["show", "runs/stopped"]) == 0
        assert "is running at step 20 of 50.\n" in capsys.readouterr().out
        assert main(["finish", "runs/stopped"]) == 2
        assert "Another process is writing runs/stopped" in capsys.readouterr().err


@pytest.mark.parametrize("log", ["foreign", "edited", "cut"])
def test_the_log_of_an_unfinished_run_is_verified(here, log, capsys):
    place = pathlib.Path("runs/stopped/metrics.jsonl")
    lines = place.read_bytes()
    foreign = pathlib.Path("runs/done/metrics.jsonl").read_bytes()
    edited = lines.replace(b'"loss": -', b'"loss": -9')
    place.write_bytes({"foreign": foreign, "edited": edited, "cut": lines[:-200]}[log])
    assert main(["show", "runs/stopped"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Cannot read the damaged run in runs/stopped (metrics.jsonl is" in printed.err
    assert main(["list", "runs"]) == 0
    printed = capsys.readouterr()
    assert "runs/stopped" not in printed.out
    assert "the damaged run in runs/stopped" in printed.err


def test_a_damaged_checkpoint_does_not_hide_how_far_a_run_is(here, capsys):
    pathlib.Path("runs/stopped/checkpoint.npz").write_bytes(b"PK")
    assert main(["show", "runs/stopped"]) == 0
    assert "interrupted at step 20 of 50" in capsys.readouterr().out


def test_a_sweep_cites_what_those_of_its_runs_used_that_have_begun(here, capsys):
    sweep = pathlib.Path("runs/sweep")
    document = json.loads((sweep / "beta=1.0" / "run.json").read_text())
    write_json(sweep / "beta=1.0" / "run.json", document | {"status": "running", "citations": ["Kingma2015"]})
    (sweep / "tuning" / "one").mkdir(parents=True)
    write_json(sweep / "tuning" / "one" / "run.json", document | {"citations": ["You2017", "Kingma2015"]})
    table = json.loads((sweep / "table.json").read_text())
    pending = {"folder": "later", "status": "pending", "start": "cold"}
    trials = {"seed": 1000, "runs": [{"folder": "tuning/one", "status": "finished"}]}
    write_json(sweep / "table.json", table | {"runs": [*table["runs"], pending], "tuning": trials})
    assert main(["cite", "runs/sweep/beta=0.5"]) == 0
    first = capsys.readouterr().out
    assert main(["cite", "runs/sweep"]) == 0
    cited = capsys.readouterr().out
    assert cited.startswith(first.rstrip())
    assert [cited.count(f"{{{key},") for key in ("Kingma2015", "You2017", "Bradbury2018")] == [1, 1, 1]
    (sweep / "beta=0.5" / "run.json").write_text("{")
    assert main(["cite", "runs/sweep"]) == 2
    assert "beta=0.5/run.json" in capsys.readouterr().err
    write_json(sweep / "table.json", table | {"runs": [pending]})
    assert main(["cite", "runs/sweep"]) == 2
    assert "has no run yet" in capsys.readouterr().err


def test_showing_loads_no_jax(here):
    code = "import sys; from qnat.cli import main; main(['show', 'runs/done']); main(['show', 'runs/stopped']); "
    code += "main(['show', 'runs/sweep']); print(sorted({'jax', 'jaxlib', 'matplotlib'} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"


def test_an_interrupted_run_is_finished_as_it_is(here, capsys):
    assert main(["finish", "runs/stopped"]) == 0
    printed = capsys.readouterr()
    assert "Ended after 20 of 50 steps." in printed.out
    assert printed.err == ""
    found, whole = Run.load("runs/stopped"), GibbsSpec(**SMALL, steps=20, every=5).run()
    assert (found.status, found.steps) == ("finished", 20)
    assert found.final == whole.final
    for name in whole.curves:
        np.testing.assert_array_equal(found.curves[name], whole.curves[name])
    document = json.loads(pathlib.Path("runs/stopped/run.json").read_text())
    assert (document["status"], document["steps"], document["spec"]["steps"]) == ("finished", 20, 50)
    assert main(["list", "runs", "runs"]) == 0
    assert "finished  20 of 50" in capsys.readouterr().out
    assert main(["finish", "runs/stopped"]) == 2
    assert "has finished; 'qnat show runs/stopped' prints it" in capsys.readouterr().err
    # the same command finds it finished; with more steps it goes on, to the same bits
    given = ["run", "gibbs", *WORDS, "--every", "5", "--out", "runs/stopped", "--resume", "--json"]
    assert main([*given, "--steps", "50"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 20
    assert main([*given, "--steps", "60"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == GibbsSpec(**SMALL, steps=60, every=5).run().final["loss"]


def test_ctrl_c_show_and_finish_count_the_same_steps(here, monkeypatch, capsys):
    monkeypatch.setattr("qnat.experiment.loop.iterate.Pace.length", lambda _self, first, remaining: min(10, remaining))
    monkeypatch.setattr("qnat.experiment.loop.iterate.Interrupt.__init__", lambda self: setattr(self, "asked", True))
    given = ["run", "gibbs", *WORDS, "--steps", "25", "--out", "r"]
    for made in (10, 20):
        assert main([*given, "--resume"]) == 130
        assert capsys.readouterr().err.startswith(f"qnat: Stopped at step {made} of 25. ")
        assert main(["show", "r", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["steps"] == made
    assert main(["finish", "r"]) == 0
    assert "\nEnded after 20 of 25 steps.\n\n20 steps " in capsys.readouterr().out
    assert Run.load("r").steps == 20


def test_a_run_of_several_processes_tells_what_all_of_them_took(here, capsys):
    commands = [
        ["finish", "runs/stopped"],
        ["run", "gibbs", *WORDS, "--every", "5", "--steps", "60", "--out", "runs/stopped", "--resume"],
        ["run", "gibbs", *WORDS, "--steps", "3", "--seeds", "2", "--out", "runs/done", "--resume"],
    ]
    for command in commands:
        assert main(command) == 0
        printed = capsys.readouterr().out
        spent = Run.load(command[1] if command[0] == "finish" else command[-2]).spent
        told = ", ".join(f"{part} {spent[part]:.1f}" for part in spent)
        assert f" in {duration(spent['train'])} s; {told}\n" in printed
        assert " in all" not in printed  # that would be the time of this process
    assert main(["sweep", "gibbs", *WORDS, "--steps", "3", "--beta", "0.5,1", "--out", "runs/sweep", "--resume"]) == 0
    assert " in all" not in capsys.readouterr().out


def test_no_folder_that_is_a_link_is_written(here, capsys):
    places = {"run": here / "runs" / "done", "sweep": here / "runs" / "sweep", "empty": here / "empty"}
    places["empty"].mkdir()
    before = {path: path.lstat().st_mtime_ns for path in here.rglob("*")}
    for name, place in places.items():
        link = here / f"link-{name}"
        link.symlink_to(place)
        for command in ("run", "sweep"):
            for more in ([], ["--force"], ["--resume"]):
                given = [command, "gibbs", *WORDS, "--steps", "3", "--seeds", "2", "--out", f"{link}/", *more]
                assert main(given) == 2
                said = capsys.readouterr().err
                assert "is a symbolic link, which is not followed; give the folder that it names." in said
    (here / "dangling").symlink_to(here / "nowhere")
    assert main(["run", "gibbs", *WORDS, "--out", "dangling"]) == 2
    assert "is a symbolic link" in capsys.readouterr().err
    assert {path: path.lstat().st_mtime_ns for path in here.rglob("*") if path in before} == before
    assert not (here / "nowhere").exists()


def test_a_tolerance_ends_a_run_and_says_so(here, capsys):
    given = ["run", "gibbs", "--n", "2", "--tolerance", "1e-2", "--out", "r"]
    assert main(given) == 0
    printed = capsys.readouterr().out
    run = Run.load("r")
    assert 0 < run.steps < 100
    assert f"Stopped at step {run.steps}: relative entropy " in printed
    assert printed.count("is below 0.01.") == 1
    assert main([*given, "--resume"]) == 0
    assert f"Stopped at step {run.steps}: " in capsys.readouterr().out
    assert main([*given[:-3], "1e-3", "--out", "r", "--resume"]) == 2
    assert "its tolerance is 0.01, not 0.001" in capsys.readouterr().err


def test_an_older_folder_has_no_tolerance(here, capsys):
    document = json.loads(pathlib.Path("runs/stopped/run.json").read_text())
    del document["spec"]["tolerance"]
    write_json(pathlib.Path("runs/stopped/run.json"), document)
    given = ["run", "gibbs", *WORDS, "--every", "5", "--steps", "50", "--out", "runs/stopped", "--resume"]
    assert main([*given, "--tolerance", "1"]) == 2
    assert "its tolerance is null, not 1.0" in capsys.readouterr().err
    assert main(given) == 0


def test_the_version_is_printed(capsys):
    import qnat

    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"qnat {qnat.__version__}\n"
