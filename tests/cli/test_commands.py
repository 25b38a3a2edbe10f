"""The command line: what it prints and what it writes."""

import json
import pathlib
import re

import pytest

from qnat.cli import main

_TINY = ["--n", "2", "--layers", "1", "--optimizer", "sgd", "--steps", "3"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every command runs in an empty folder."""
    monkeypatch.chdir(tmp_path)


def _files(folder: pathlib.Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_run_prints_its_numbers_and_its_place(capsys):
    assert main(["run", "gibbs", *_TINY]) == 0
    printed = capsys.readouterr()
    assert "relative entropy" in printed.out
    assert re.search(
        r"3 steps in [\d.]+ s; [\d.]+ s in all: import .*, compile .*, train .*, write .*, draw", printed.out
    )
    assert "runs/gibbs-1/figure.png" in printed.out
    assert printed.err == ""
    assert main(["run", "gibbs", *_TINY, "--seeds", "2"]) == 0
    assert "runs/gibbs-2/figure.png" in capsys.readouterr().out


@pytest.mark.slow
def test_figures_come_in_the_formats_asked_for(tmp_path, capsys):
    def formats(folder, name="figure"):
        return sorted(path.suffix for path in (tmp_path / folder).glob(f"{name}.*"))

    assert main(["run", "gibbs", *_TINY, "--out", "r", "--format", "pdf"]) == 0
    assert formats("r") == [".pdf"]
    assert capsys.readouterr().out.splitlines()[-1] == "r/figure.pdf"
    assert main(["run", "gibbs", *_TINY, "--out", "r", "--resume", "--format", "svg,png"]) == 0  # finished, and drawn
    assert formats("r") == [".pdf", ".png", ".svg"]
    assert main(["sweep", "gibbs", *_TINY, "--beta", "1,2", "--out", "s", "--format", "pdf"]) == 0
    assert formats("s") == formats("s/beta=1.0") == [".pdf"]
    assert capsys.readouterr().out.splitlines()[-2:] == ["s/table.json", "s/figure.pdf"]
    assert main(["sweep", "gibbs", *_TINY, "--beta", "1,2", "--out", "s", "--resume", "--format", "svg"]) == 0
    assert formats("s") == [".pdf", ".svg"]
    assert main(["compare", "r", "s", "--figure", "c.pdf"]) == 0
    assert pathlib.Path("c.pdf").read_bytes().startswith(b"%PDF")
    assert main(["compare", "r", "s", "--figure", "d.1", "--format", "png,svg"]) == 0
    assert formats(".", "d.1") == [".png", ".svg"]
    assert capsys.readouterr().err == ""


def test_systems_on_different_rungs_are_told_apart(capsys):
    assert main(["run", "gibbs", *_TINY, "--beta", "1", "--out", "a"]) == 0
    assert main(["run", "gibbs", *_TINY, "--beta", "2", "--hamiltonian", "xxz", "--out", "b"]) == 0
    capsys.readouterr()
    assert main(["compare", "a", "b"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["beta", "hamiltonian"]


def test_json_is_one_object_and_nothing_else(capfd):
    assert main(["run", "gibbs", *_TINY, "--json", "--out", "r"]) == 0
    printed = capfd.readouterr()
    found = json.loads(printed.out)
    assert printed.err == ""
    wanted = "loss relative_entropy fidelity trace_distance energy entropy free_energy beta_free_energy log_z_exact"
    for name in (*wanted.split(), "seconds", "compile_seconds"):
        assert isinstance(found[name], float), name
    assert (found["steps"], found["out"]) == (3, "r")
    assert found["beta_free_energy"] == pytest.approx(found["loss"], rel=1e-12)
    assert found["exact_beta_free_energy"] == -found["log_z_exact"]
    assert main(["run", "gibbs", *_TINY, "--json", "--out", "r", "--resume"]) == 0
    assert json.loads(capfd.readouterr().out) == found
    assert main(["run", "gibbs", *_TINY, "--json", "--seeds", "2"]) == 0
    several = json.loads(capfd.readouterr().out)
    assert all(len(several[name]) == 2 for name in wanted.split())
    assert several["loss"][0] == found["loss"]


def test_a_toml_file_gives_options_and_the_command_line_wins(capsys):
    pathlib.Path("spec.toml").write_text("n = 2\nlayers = 1\nsteps = 3\nbeta = 0.5\nperiodic = true\n")
    given = ["--beta", "2", "--periodic", "false", "--out", "r"]
    assert main(["run", "gibbs", "--spec", "spec.toml", *given]) == 0
    spec = json.loads(pathlib.Path("r/run.json").read_text())["spec"]
    assert (spec["n"], spec["beta"], spec["periodic"]) == (2, 2.0, False)


def test_sweep_compare_and_cite(capsys):
    tiny = [word if word != "sgd" else "natural,adam" for word in _TINY]
    sweep = ["sweep", "gibbs", *tiny, "--beta", "0.5,1", "--warm-start", "--out", "s"]
    assert main(sweep) == 0
    assert "s/table.json" in capsys.readouterr().out
    folders = {path.parent.name for path in pathlib.Path("s").glob("*/run.json")}
    assert "beta=1.0_optimizer=adam_start=scaled" in folders
    assert len(folders) == 4
    before = _files(pathlib.Path("s"))
    assert main(["compare", "s"]) == 0
    assert "natural" in capsys.readouterr().out
    assert pathlib.Path("compare.png").exists()
    assert _files(pathlib.Path("s")) == before
    assert main([*sweep, "--resume", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 4
    cited = {}
    for folder in ("s/beta=0.5_optimizer=adam", "s/beta=0.5_optimizer=natural", "s"):
        assert main(["cite", folder]) == 0
        cited[folder] = capsys.readouterr().out.strip().split("\n\n")
    adam, natural, both = map(set, cited.values())
    assert any(entry.startswith("@inproceedings{Kingma2015,") for entry in adam - natural)
    assert natural - adam
    assert both == adam | natural
    assert len(cited["s"]) == len(both)  # each once


@pytest.mark.slow
def test_a_tuned_sweep_is_one_command(capsys):
    tiny = ["--n", "2", "--layers", "1", "--steps", "3"]
    sweep = ["sweep", "gibbs", *tiny, "--optimizer", "natural,sgd", "--metric", "bkm", "--tune", "--out", "s"]
    assert main(sweep) == 0
    printed = capsys.readouterr()
    assert "tuned on seed 1000" in printed.out
    assert printed.err == ""
    folders = {path.parent.name for path in pathlib.Path("s").glob("*/run.json")}
    assert folders == {"optimizer=natural", "optimizer=sgd"}  # sgd has no use for the metric
    assert main([*sweep, "--resume", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert len(table["runs"]) == 2
    assert len(table["tuning"]["runs"]) >= 6
    assert main(["compare", "s", "--thresholds", "1,1e-9", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [reached["threshold"] for reached in rows[0]["reached"]] == [1.0, 1e-9]
