"""SequenceSpec: what follows from what was given, what is refused, and the command."""

import json
import pathlib

import numpy as np
import pytest

from qnat.cli import main
from qnat.experiment import RefusedError, Run
from qnat.experiment.sweep.plan import plan
from qnat.experiment.words.wording import build
from qnat.quantum.tasks.sequence import SequenceSpec

_TINY = ["--n", "2", "--layers", "1", "--elements", "2", "--steps", "2"]


def test_defaults_are_resolved():
    ladder, quench, decay = (SequenceSpec(kind=kind) for kind in ("ladder", "quench", "open"))
    assert (ladder.ansatz, ladder.order, ladder.steps, ladder.first_steps) == ("real", 4, 100, 100)
    np.testing.assert_allclose(ladder.places, np.linspace(0.5, 2.25, 4))
    assert (quench.ansatz, quench.quench, quench.data, quench.beta_min) == ("hea_ring", "field=2", "exact", None)
    assert quench.places == [0.0, 0.25, 0.5, 0.75]
    assert (decay.decay, decay.trajectories, decay.quench) == (0.3, None, None)
    assert SequenceSpec(optimizer="adam", first_steps=50).steps == 1000


def test_a_quench_changes_one_option_and_keeps_the_others():
    spec = SequenceSpec(kind="quench", rows=2, columns=2, field=0.5, coupling=0.7, periodic=True, quench="field=1.5")
    after = spec.after
    assert (after.rows, after.columns, after.coupling, after.periodic) == (2, 2, 0.7, True)
    assert (spec.field, after.field) == (0.5, 1.5)
    assert SequenceSpec(kind="quench", hamiltonian="h2").after.bond_length == 2.0
    assert SequenceSpec(kind="quench", hamiltonian="random").after.instance == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"elements": "1"}, "elements is '1'; it must be at least 2"),
        ({"beta_min": "-1"}, "beta_min is '-1'; it must be at least 0"),
        ({"beta_min": "2", "beta_max": "1"}, "beta_max is 1.0; it must be greater than beta_min = 2.0"),
        ({"kind": "quench", "time_step": "0"}, "time_step is '0'; it must be greater than 0"),
        ({"kind": "quench", "time_step": "-1"}, "time_step is '-1'; it must be greater than 0"),
        ({"kind": "open", "decay": "-0.1"}, "decay is '-0.1'; it must be at least 0"),
        ({"kind": "open", "trajectories": "0"}, "trajectories is '0'; it must be at least 1"),
        ({"kind": "open", "decay": "0", "trajectories": "5"}, "trajectories are those of a decay, which is 0"),
        ({"kind": "dance"}, "kind is 'dance'; it must be one of 'ladder', 'quench', 'open'"),
        ({"start": "warm"}, "start is 'warm'; it must be one of 'both', 'previous', 'random'"),
        ({"time_step": "1"}, "time_step is not used with kind ladder; leave it out, or choose kind quench or open"),
        ({"data": "recursive"}, "data is not used with kind ladder"),
        ({"kind": "quench", "beta_max": "1"}, "beta_max is not used with kind quench"),
        ({"kind": "quench", "decay": "1"}, "decay is not used with kind quench; leave it out, or choose kind open"),
        ({"kind": "open", "quench": "field=1"}, "quench is not used with kind open"),
        (
            {"kind": "quench", "quench": "field"},
            "quench is 'field'; it must be an option of the",
        ),
        (
            {"kind": "quench", "quench": "n=3"},
            "quench is 'n=3'; it must be an option of the",
        ),
        ({"kind": "quench", "quench": "field=big"}, "quench: field is 'big'; it must be a number"),
        ({"kind": "quench", "quench": "interaction=2"}, "quench: interaction is not used with hamiltonian tfim"),
        ({"kind": "quench", "quench": "field=1"}, "quench field=1 changes nothing"),
        ({"kind": "quench", "ansatz": "real"}, "ansatz real makes real states"),
        ({"element": "4"}, "element is 4; it must be less than elements = 4"),
        ({"kind": "quench", "data": "recursive", "element": "1"}, "element 1 of recursive data needs the one before"),
        ({"first_steps": "-1"}, "first_steps is '-1'; it must be at least 0"),
    ],
)
def test_refusals_are_one_sentence(values, message):
    with pytest.raises(RefusedError, match=message) as caught:
        build(SequenceSpec, values)
    assert "\n" not in str(caught.value)


def test_a_file_has_nothing_to_quench(tmp_path):
    path = tmp_path / "h.txt"
    path.write_text("ZZ 1\nXI 0.5\n")
    with pytest.raises(RefusedError, match="A Hamiltonian from a file has no options that a quench could change"):
        build(SequenceSpec, {"hamiltonian": str(path), "kind": "quench"})
    assert SequenceSpec(hamiltonian=str(path), kind="open").n == 2


def test_every_state_and_start_is_a_run():
    rungs = {rung.folder: rung for rung in SequenceSpec(elements=3, first_steps=7, steps=5).rungs()}
    assert list(rungs) == [
        "element=0_start=random",
        "element=1_start=previous",
        "element=2_start=previous",
        "element=1_start=random",
        "element=2_start=random",
    ]
    assert [rung.spec.steps for rung in rungs.values()] == [7, 5, 5, 5, 5]
    assert rungs["element=2_start=previous"].previous == "element=1_start=previous"
    assert {rungs[f"element={k}_start=random"].previous for k in range(3)} == {None}
    assert all(rung.spec.rungs() is None for rung in rungs.values())
    assert len(SequenceSpec(start="previous").rungs()) == len(SequenceSpec(start="random").rungs()) == 4


def test_recursive_data_make_every_seed_a_chain_of_its_own():
    spec = SequenceSpec(kind="quench", data="recursive", elements=2, seed=3, seeds=2)
    rungs = {rung.folder: rung for rung in spec.rungs()}
    assert rungs["element=1_seed=4_start=random"].previous == "element=0_seed=4_start=random"
    assert {(rung.spec.seed, rung.spec.seeds) for rung in rungs.values()} == {(3, 1), (4, 1)}
    one = rungs["element=1_seed=4_start=random"].spec
    assert one.warm_start({"angles": 1}, one, "random") is None
    with pytest.raises(ValueError, match="Element 1 of recursive data is made from the one before it; pass previous="):
        one.task()


def test_a_sweep_spreads_a_sequence_into_its_runs():
    values = {"optimizer": ["natural", "adam"], "elements": ["2"]}
    rungs = {rung.folder: rung for rung in plan(SequenceSpec, values, None)}
    warm = rungs["optimizer=adam_element=1_start=previous"]
    assert warm.previous == "optimizer=adam_element=0_start=random"
    assert warm.swept == {"optimizer": "adam", "element": 1}
    assert len(rungs) == 6


def test_a_resolved_spec_reads_back_as_itself():
    for spec in (SequenceSpec(), SequenceSpec(kind="quench"), SequenceSpec(kind="open", trajectories=9)):
        record = json.loads(json.dumps(spec.record()))
        assert SequenceSpec.restored(record) == spec


def test_citations_name_the_solver():
    assert "Johansson2013" in SequenceSpec(kind="open").citations()
    assert "Johansson2013" not in SequenceSpec().citations()


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "sequence", *_TINY, "--out", "s"]) == 0
    printed = capsys.readouterr()
    assert "s/figure.png" in printed.out
    assert "previous" in printed.out
    assert printed.err == ""
    assert pathlib.Path("s/figure.png").exists()
    assert main(["run", "sequence", *_TINY, "--out", "s"]) == 2
    assert "--resume continues it" in capsys.readouterr().err
    assert main(["run", "sequence", *_TINY, "--out", "s", "--resume", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert [row["start"] for row in table["runs"]] == ["random", "previous", "random"]
    assert main(["compare", "s"]) == 0
    capsys.readouterr()
    for folder in ("s/element=1_start=previous", "s"):  # all its runs use the same
        assert main(["cite", folder]) == 0
        assert capsys.readouterr().out.count("@") == len(SequenceSpec().citations())
    assert main(["run", "sequence", *_TINY, "--element", "1", "--out", "one"]) == 0
    assert pathlib.Path("one/run.json").exists()
    capsys.readouterr()
    assert main(["run", "sequence", *_TINY, "--beta-max", "0.1", "--out", "refused"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not pathlib.Path("refused").exists()


@pytest.mark.slow
def test_recursive_data_are_resumed_with_the_steps_that_made_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["run", "sequence", *_TINY, "--kind", "quench", "--data", "recursive"]
    given += ["--start", "previous", "--out", "s"]
    assert main([*given, "--json"]) == 0
    assert "true_relative_entropy" in json.loads(capsys.readouterr().out)["runs"][0]
    assert main([*given[:-2], "--steps", "3", "--out", "s", "--resume"]) == 2
    assert "its data_steps is 2, not 3" in capsys.readouterr().err


def test_an_element_whose_data_the_one_before_it_made_gives_its_model(tmp_path, capsys):
    words = "run sequence --n 2 --elements 2 --steps 2 --kind open --data recursive --model gibbs --out"
    assert main([*words.split(), str(tmp_path / "s")]) == 0
    capsys.readouterr()
    found = Run.load(tmp_path / "s" / "element=1_start=previous")
    wanted = found.artifacts["modular_spectrum"]
    np.testing.assert_allclose(np.sort(-np.asarray(found.model().log_p)), wanted, atol=1e-12)
