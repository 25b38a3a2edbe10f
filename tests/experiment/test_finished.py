"""What a user takes away from a run: its task, its model, its table, its figure."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
import xarray as xr

from qnat.cli import main
from qnat.experiment import RefusedError, Run, run
from qnat.experiment.words.wording import rebuild
from qnat.quantum import PauliSum

LEARNING = "--n 2 --data counts --generators hamiltonian --steps 20 --beta 0.5 --coupling 1.5"
RUNS = pathlib.Path(__file__).parents[1] / "golden" / "runs"


@pytest.fixture
def trained(tmp_path, monkeypatch, capsys):
    """Trains by the command line; the run as another process would find it."""
    monkeypatch.chdir(tmp_path)

    def train(words):
        assert main(["run", *words.split(), "--out", "out"]) == 0
        return Run.load("out"), capsys.readouterr().out

    return train


def test_a_thermal_state_comes_back(trained):
    found, printed = trained("gibbs --n 2 --layers 1 --steps 3 --beta 0.7")
    model = found.model()
    energy = model.expectation(PauliSum.from_terms([("ZZ", -1.0), ("XI", -1.0), ("IX", -1.0)]))
    assert float(energy) == pytest.approx(found.final["energy"], abs=1e-13)
    assert float(model.beta) == 0.7
    assert model.to_openqasm().startswith("OPENQASM 3.0;")
    lines = printed.splitlines()
    assert lines[0] == "gibbs, tfim, n = 2, β = 0.7, qhbm, natural, seed 0"
    assert [line.partition("  ")[0] for line in lines[3:10]] == [
        *("relative entropy", "fidelity", "trace distance", "energy", "entropy", "free energy", "beta free energy")
    ]
    assert lines[6].split()[-1] == "diagonalisation)"
    assert list(found.summary().data_vars) == ["latent_energies"]


def test_a_hamiltonian_of_a_file_comes_back_without_the_file(trained, tmp_path):
    (tmp_path / "h.txt").write_text("ZZ -1\nXI 0.5\n")
    found, _ = trained("gibbs --hamiltonian h.txt --layers 1 --steps 2")
    (tmp_path / "h.txt").unlink()
    energy = found.model().expectation(PauliSum.from_terms([("ZZ", -1.0), ("XI", 0.5)]))
    assert float(energy) == pytest.approx(found.final["energy"], abs=1e-13)


def test_learned_couplings_are_a_table_with_errors(trained):
    found, printed = trained("learning " + LEARNING)
    table = found.summary()
    assert list(table.data_vars) == ["couplings", "couplings_error", "exact_couplings"]
    assert table.couplings.attrs == {"units": "units of H", "long_name": "coupling"}
    np.testing.assert_allclose(table.exact_couplings.sel(generator=["ZZ", "XI", "IX"]), [-1.5, -1, -1], atol=1e-14)
    np.testing.assert_allclose(table.couplings, -found.artifacts["theta"] / 0.5)
    off = (table.couplings - table.exact_couplings) / table.couplings_error
    assert float(abs(off).max()) < 4
    rows = [line.split() for line in printed.splitlines() if line.startswith(("ZZ", "XI", "IX"))]
    np.testing.assert_allclose([float(row[1]) for row in rows], table.couplings, rtol=1e-5)
    assert "generator  coupling  standard error  true" in " ".join(printed.split("\n")).replace("   ", "  ")
    assert table.to_dataframe().shape == (3, 3)
    with xr.open_dataset(found.path / "result.nc", engine="h5netcdf") as stored:
        assert stored["couplings"].attrs == {"units": "units of H", "long_name": "coupling"}
        assert stored["step"].attrs == {"units": "1", "long_name": "updates made"}
        assert all(stored[name].attrs["long_name"] for name in stored if name.startswith("params"))
        assert stored["couplings"].sel(generator="ZZ").item() == table.couplings.sel(generator="ZZ").item()
    model = found.model()
    assert float(model.beta) == 0.5
    shift = np.asarray(model.hamiltonian) - found.artifacts["couplings"] @ np.asarray(
        PauliSum.from_strings(table.generator.values.tolist()).matrices()
    ).transpose(1, 0, 2)
    np.testing.assert_allclose(shift, shift[0, 0] * np.eye(4), atol=1e-12)


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ("network --kind classify --layers 8 --steps 3", "TrainedNetwork"),
        pytest.param("helmholtz --steps 2 --layers 4", "TrainedMachine", marks=pytest.mark.slow),
        ("boltzmann --n 3 --steps 3", "SpinDistribution"),
    ],
)
def test_every_task_gives_a_model(trained, words, made):
    found, _ = trained(words)
    model = found.model()
    assert type(model).__name__ == made
    if made == "TrainedNetwork":
        task = found.task()
        judged = model.evaluate(task.test_x, task.test_y)
        assert judged["loss"] == pytest.approx(found.final["test_loss"], rel=1e-10)
        assert judged["accuracy"] == pytest.approx(found.final["test_accuracy"])
    if made == "TrainedMachine":
        assert model.sample(2, key=jax.random.key(0)).shape == (2, 64)


@pytest.mark.parametrize("name", ["gibbs", "learning", "boltzmann", "network", "helmholtz", "shots"])
def test_a_folder_of_the_version_before_gives_its_model(name):
    found = Run.load(RUNS / name)
    assert found.model() is not None


def test_of_several_seeds_the_best_one_is_the_model(trained):
    found, printed = trained("boltzmann --n 2 --steps 2 --seeds 3 --optimizer sgd --seed 5")
    best = int(np.argmin(found.curves["relative_entropy"][:, -1]))
    np.testing.assert_array_equal(found.model().theta, found.params[best])
    np.testing.assert_array_equal(found.model(6).theta, found.params[1])
    with pytest.raises(RefusedError, match="The run has no seed 8; it has 5 to 7"):
        found.model(8)
    assert found.summary().theta.dims == ("seed", "interaction")
    assert found.summary().seed.values.tolist() == [5, 6, 7]
    value = found.final["relative_entropy"]
    assert f"relative entropy  {sorted(value)[1]:.6g} ({min(value):.6g} to {max(value):.6g})  nats" in printed
    assert "over seeds" in printed


def test_numbers_of_learning_have_their_units(trained):
    _, printed = trained("learning --n 2 --data counts --generators hamiltonian --steps 3 --beta 0")
    lines = printed.splitlines()
    assert lines[0] == "learning, tfim, n = 2, β = 0, counts, shots = 10000, gibbs, natural, seed 0"
    units = {line.rsplit(maxsplit=2)[-1] for line in lines if line.startswith(("expected error", "error bound"))}
    assert units == {"nats"}
    rows = [line.split() for line in lines[lines.index("(in nats)") - 3 : lines.index("(in nats)")]]
    assert [row[-1] for row in rows] == ["0"] * 3  # not -0


def test_a_seed_that_went_to_nan_is_not_the_best_one(trained):
    found, _ = trained("boltzmann --n 2 --steps 2 --seeds 3 --optimizer sgd --seed 5")
    ends = found.curves["relative_entropy"].copy()
    ends[0, -1], ends[1:, -1] = np.nan, (0.2, 0.1)
    lost = dataclasses.replace(found, curves=found.curves | {"relative_entropy": ends})
    np.testing.assert_array_equal(lost.model().theta, found.params[2])


def test_a_task_of_ones_own_is_kept_or_passed(quadratic, tmp_path):
    import optax

    task = quadratic(0.0)
    found = run(task, optax.sgd(0.1), steps=2, seed=0, out=tmp_path)
    assert found.task() is task
    with pytest.raises(RefusedError, match="has no model to give; define its `trained`"):
        found.model()
    with pytest.raises(RefusedError, match="was made by a program"):
        Run.load(tmp_path).task()
    np.testing.assert_array_equal(Run.load(tmp_path).parameters(task)["x"], found.params["x"])
    assert list(found.summary().data_vars) == []


def test_a_record_of_a_program_makes_no_task_of_that_name(trained):
    found, _ = trained("boltzmann --n 2 --steps 1")
    words = {name: found.spec[name] for name in ("task", "steps", "seed", "seeds", "every")}
    for spec in (words, words | {"note": "of mine"}):
        with pytest.raises(RefusedError, match="cannot be made again"):
            dataclasses.replace(found, spec=spec).task()


def test_a_task_that_changed_is_refused(trained, tmp_path):
    found, _ = trained("boltzmann --n 2 --steps 1")
    document = json.loads((tmp_path / "out/run.json").read_text())
    assert rebuild(document["spec"]).order == 2
    found.spec["order"] = 7
    with pytest.raises(RefusedError, match="order is 7"):
        found.task()


def test_the_figure_is_drawn_from_python(trained, tmp_path):
    found, _ = trained("boltzmann --n 2 --steps 1")
    figure = found.plot(tmp_path / "own.png")
    assert (tmp_path / "own.png").read_bytes().startswith(b"\x89PNG")
    assert figure.axes
