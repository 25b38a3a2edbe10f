"""BoltzmannSpec: what follows from what was given, what is refused, and one table with its quantum sibling."""

import json

import numpy as np
import pytest

from classical.tasks.boltzmann import BoltzmannSpec
from qnat.cli import main
from qnat.experiment import RefusedError, laws
from qnat.experiment.words.wording import build
from qnat.geometry.spins import all_bits


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every command runs in a folder that holds a few files of bits."""
    monkeypatch.chdir(tmp_path)
    bits = np.random.default_rng(0).integers(0, 2, (400, 3)).astype(float)
    bits[:, 1] = np.where(np.random.default_rng(1).random(400) < 0.7, bits[:, 0], bits[:, 1])
    np.save("bits.npy", bits)
    np.save("grey.npy", bits / 2 + 0.1)
    np.save("wide.npy", np.zeros((10, 21)))
    np.save("certain.npy", bits * np.array([1.0, 1.0, 0.0]))


def test_defaults_are_resolved():
    spec = BoltzmannSpec()
    assert (spec.n, spec.order, spec.optimizer.name, spec.learning_rate, spec.steps) == (4, 2, "natural", 1.0, 100)
    assert (BoltzmannSpec(optimizer="adam").learning_rate, BoltzmannSpec(optimizer="adam").steps) == (0.03, 1000)
    assert BoltzmannSpec(n=1).order == 1
    file = BoltzmannSpec(data="bits.npy")
    assert (file.n, file.beta, file.coupling, file.periodic) == (3, None, None, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n": "21"}, "n is '21'; it must be at most 20"),
        ({"n": "20", "order": "20"}, r"The Fisher matrix of 1048575 parameters needs about .* GB"),
        ({"order": "5"}, "order is 5; it can be at most n = 4"),
        ({"data": "bits.npy", "beta": "1"}, "beta is not used with data bits.npy; leave it out, or choose data ising"),
        ({"data": "bits.npy", "n": "4"}, "n is 4, but the data in bits.npy have 3 units"),
        ({"data": "wide.npy"}, "The data in wide.npy have 21 units; at most 20 are enumerated"),
        ({"data": "grey.npy"}, "bits"),
        ({"data": "no"}, "Unknown data set 'no'"),
        ({"optimizer": "newton"}, "'natural', 'mirror', 'adam', 'sgd'"),
    ],
)
def test_refusals_are_one_sentence(values, message):
    with pytest.raises(RefusedError, match=message) as caught:
        build(BoltzmannSpec, values).check_data()
    assert "\n" not in str(caught.value)


def test_data_without_a_maximum_likelihood_leave_nothing_behind(tmp_path, capsys):
    assert main(["run", "boltzmann", "--data", "certain.npy", "--out", "mine"]) == 2
    assert "some patterns of interacting units never occur" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_the_task_obeys_the_laws():
    import jax

    laws.check_task(BoltzmannSpec(n=3, field=0.3).task(), key=jax.random.key(0))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["natural", "mirror"])
def test_the_couplings_are_found(optimizer):
    run = BoltzmannSpec(n=3, beta=0.7, field=0.2, periodic=True, optimizer=optimizer, steps=60).run()
    assert run.final["relative_entropy"] < 1e-15
    np.testing.assert_allclose(run.artifacts["theta"], [0.14, 0.14, 0.14, 0.7, 0.7, 0.7], atol=1e-7)


@pytest.mark.slow
def test_data_of_a_file_are_fitted_by_maximum_likelihood():
    run = BoltzmannSpec(data="bits.npy", steps=12).run("r")
    assert run.final["loss"] == pytest.approx(run.reference["loss"]["value"], abs=1e-12)
    first = np.load("bits.npy")[:320]
    p = run.artifacts["probabilities"]
    for a, b in ((0, 1), (0, 2), (1, 2)):  # the pairs are matched
        spins = 1 - 2 * all_bits(3)
        wanted = np.mean((1 - 2 * first[:, a]) * (1 - 2 * first[:, b]))
        assert p @ (spins[:, a] * spins[:, b]) == pytest.approx(wanted, abs=1e-6)
    complete = BoltzmannSpec(data="bits.npy", steps=20, order=3).run()
    assert complete.final["relative_entropy"] < 1e-15


def test_a_ladder_scales_the_machine():
    earlier = BoltzmannSpec(n=3, beta=0.5, steps=12)
    later = BoltzmannSpec(n=3, beta=1.0, steps=0)
    start = later.warm_start(earlier.run().params, earlier, "scaled")
    assert later.run(initial=start).final["parameter_error"] < 1e-6


@pytest.mark.slow
def test_a_classical_and_a_quantum_run_stand_in_one_table(capsys):
    assert main(["run", "boltzmann", "--n", "2", "--steps", "8", "--out", "c"]) == 0
    assert main(["run", "learning", "--n", "2", "--field", "0", "--steps", "8", "--out", "q0"]) == 0
    assert main(["run", "learning", "--n", "2", "--field", "0.8", "--steps", "8", "--out", "q"]) == 0
    capsys.readouterr()
    assert main(["compare", "c", "q0", "q", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [(run["task"], run["field"]) for run in runs] == [("boltzmann", 0.0), ("learning", 0.0), ("learning", 0.8)]
    assert all(run["relative_entropy"] < 1e-3 for run in runs)
    assert main(["compare", "c", "q"]) == 0
    printed = capsys.readouterr().out
    assert "relative entropy" in printed
    assert "boltzmann" in printed
    assert "learning" in printed


def test_citations_are_those_of_the_methods_used():
    assert {"Ackley1985", "Amari1998"} <= set(BoltzmannSpec().citations())
    assert "Raskutti2013" in BoltzmannSpec(optimizer="mirror").citations()
