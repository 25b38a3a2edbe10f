"""LearningSpec: what follows from what was given, what is refused, and that nothing is written then."""

import json

import numpy as np
import pytest

from qnat.cli import main
from qnat.experiment import RefusedError, Run
from qnat.experiment.words.wording import build
from qnat.quantum.measure.counts_file import write_counts
from qnat.quantum.tasks.learning import LearningSpec

FAIR = {setting: {"00": 30, "01": 20, "10": 26, "11": 24} for setting in (a + b for a in "XYZ" for b in "XYZ")}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every command runs in a folder that holds a few files of counts."""
    monkeypatch.chdir(tmp_path)
    write_counts("fair.json", FAIR)
    write_counts("few.json", {"ZZ": FAIR["ZZ"], "XX": FAIR["XX"]})
    write_counts("cold.json", {"ZZ": {"00": 60, "11": 40}, "XX": dict.fromkeys(FAIR["XX"], 25)})
    text = json.dumps({"settings": {"ZZ": {"shots": 100, "counts": {"00": 99}}}})
    (tmp_path / "lost.json").write_text(text)


def test_defaults_are_resolved():
    spec = LearningSpec()
    assert (spec.model.name, spec.data.name, spec.generators, spec.beta, spec.ridge) == (
        "gibbs",
        "exact",
        "local",
        1.0,
        0.0,
    )
    assert (spec.shots, spec.groups, spec.pretrain, spec.layers) == (None, None, None, None)
    assert LearningSpec(data="counts").shots == 10000
    assert (LearningSpec(data="shadows").shots, LearningSpec(data="shadows").groups) == (10000, 1)
    latent = LearningSpec(model="qhbm", n=3)
    assert (latent.generators, latent.ridge, latent.layers) == (None, None, 4)


def test_a_file_fixes_n_and_stands_in_the_record():
    spec = LearningSpec(data="fair.json")
    assert (spec.n, spec.columns, spec.beta, spec.shots) == (2, 2, None, None)
    assert spec.counts == FAIR
    record = json.loads(json.dumps(spec.record()))
    assert LearningSpec.restored(record) == spec
    assert LearningSpec(data="cold.json").record()["counts_sha256"] != record["counts_sha256"]
    assert LearningSpec(data="fair.json", n="2").n == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shots": "0", "data": "counts"}, "shots is '0'; it must be at least 1"),
        ({"shots": "10"}, "shots is not used with data exact; leave it out, or choose data counts or shadows"),
        ({"shots": "10", "data": "fair.json"}, "shots is not used with data fair.json"),
        ({"beta": "1", "data": "fair.json"}, "beta is not used with data fair.json"),
        ({"groups": "2", "data": "counts"}, "groups is not used with data counts"),
        ({"groups": "6", "shots": "10", "data": "shadows"}, "groups is 6; 10 shadows make at most 5 groups"),
        ({"n": "3", "data": "fair.json"}, "n is 3, but the counts in fair.json are of 2 qubits"),
        ({"hamiltonian": "h2", "data": "fair.json"}, "n is 2, but h2 in its minimal basis acts on 4 qubits"),
        ({"data": "no.json"}, "Cannot read the counts file no.json"),
        ({"data": "lost.json"}, "lost.json, setting 'ZZ': its counts add up to 99, but its shots are 100"),
        ({"model": "qhbm", "data": "counts"}, "data counts is not used with model qhbm, which needs exact data"),
        ({"model": "qhbm", "ridge": "0.1"}, "ridge is not used with model qhbm"),
        ({"ridge": "-1"}, "ridge is '-1'; it must be at least 0"),
        ({"pretrain": "all"}, "'one-qubit', 'hamiltonian'"),
        ({"layers": "3"}, "layers is not used with model gibbs"),
    ],
)
def test_refusals_are_one_sentence(values, message):
    with pytest.raises(RefusedError, match=message) as caught:
        build(LearningSpec, values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--data few.json", "settings do not measure YI, IY, XY, XZ, YX, YY and 3 more"),
        (
            "--data cold.json --generators hamiltonian",
            "lie on the boundary of what states can have: along u they give 1",
        ),
        ("--n 2 --beta 50", "lie on the boundary of what states can have"),
        ("--n 2 --data counts --shots 17", "shots is 17; the 9 settings that cover the model need at least two each"),
        ("--n 2 --data counts --shots 0", "shots is '0'"),
        (
            "--hamiltonian ising.txt --generators hamiltonian --pretrain one-qubit",
            "no generator acts on a single qubit",
        ),
    ],
)
def test_data_that_cannot_be_learned_leave_nothing_behind(tmp_path, capsys, options, message):
    (tmp_path / "ising.txt").write_text("ZZ 1\n")  # no field
    assert main(["run", "learning", *options.split(), "--out", "mine"]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not {"runs", "mine"} & {path.name for path in tmp_path.iterdir()}


def test_exact_data_give_the_couplings_back(capsys):
    assert main(["run", "learning", "--n", "2", "--steps", "12", "--pretrain", "one-qubit", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameter_error"] < 1e-10
    assert found["relative_entropy"] < 1e-20
    assert 0 < found["fisher_min"] < 1
    assert not {"expected_error", "error_bound", "copies_for_0.1"} & found.keys()
    run = Run.load("runs/learning-1")
    assert not {name for name in run.artifacts if name.endswith("_error")}
    assert {"theta", "exact_theta", "couplings", "exact_couplings"} <= run.artifacts.keys()
    assert main(["show", "runs/learning-1"]) == 0
    printed = capsys.readouterr().out
    assert "copies" not in printed
    assert "standard error" not in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [{"data": "counts", "shots": 90000}, {"data": "shadows", "shots": 90000, "groups": 9}, {"data": "fair.json"}],
)
def test_measured_data_come_with_error_bars(given):
    run = LearningSpec(**({} if "json" in given["data"] else {"n": 2}), steps=12, **given).run("r")
    assert run.final["loss"] == pytest.approx(run.reference["loss"]["value"], abs=1e-12)
    assert run.final["expected_error"] == pytest.approx(np.linalg.norm(run.artifacts["theta_error"]), rel=1e-10)
    assert 0 < run.final["expected_error"] < run.final["error_bound"]
    copies = 900 if "json" in given["data"] else 90000
    assert run.final["copies_for_0.1"] == pytest.approx(copies * run.final["expected_error"] ** 2 / 0.01)
    if given["data"] == "counts":
        off = (run.artifacts["theta"] - run.artifacts["exact_theta"]) / run.artifacts["theta_error"]
        assert np.abs(off).max() < 4


@pytest.mark.slow
def test_a_latent_model_learns_from_the_exact_state():
    run = LearningSpec(model="qhbm", n=2, steps=25).run()
    assert run.final["relative_entropy"] < 1e-3
    assert run.final["loss"] == pytest.approx(run.final["relative_entropy"], abs=1e-12)
    assert "theta" not in run.artifacts


def test_a_scaled_start_follows_the_ladder():
    earlier = LearningSpec(n=2, beta=0.5, steps=12)
    params = earlier.run().params
    later = LearningSpec(n=2, beta=1.0, steps=0)
    assert later.run(initial=later.warm_start(params, earlier, "scaled")).final["parameter_error"] < 1e-9
    np.testing.assert_array_equal(later.warm_start(params, earlier, "plain"), params)


def test_citations_are_those_of_the_methods_used():
    assert "Anshu2021" in LearningSpec().citations()
    assert {"Huang2020", "Coopmans2024"} <= set(LearningSpec(data="shadows", pretrain="one-qubit").citations())
    assert "Anshu2021" not in LearningSpec(model="qhbm").citations()
