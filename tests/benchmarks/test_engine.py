"""The benchmark's own machinery: equal circuits, refusal of unequal results, one row through real processes."""

import importlib
import pathlib

import numpy as np
import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
SPECS = [
    {"family": "ladder", "n": 3, "layers": 2},
    {"family": "hea", "n": 4, "layers": 2},
    {"family": "ising", "n": 3, "layers": 2},
    {"family": "irregular", "n": 4, "layers": 12, "seed": 101},
]


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: importlib.import_module(f"peers.{name}")


@pytest.mark.parametrize("spec", SPECS, ids=[spec["family"] for spec in SPECS])
def test_qnat_and_numpy_do_the_same_work(load, spec):
    runner = load("runner")
    jobs = [load(f"on_{system}").evaluation(spec) for system in ("qnat", "numpy")]
    numbers = [job.numbers(job.run()) for job in jobs]
    assert numbers[0]["norm"] == pytest.approx(1, abs=1e-13)
    assert runner.check_agreement(["qnat", "NumPy"], numbers) < 1e-12


def test_irregular_circuits_use_every_gate(load):
    neutral = load("neutral")
    names = {gate.name for gate in neutral.gates({"family": "irregular", "n": 12, "layers": 8, "seed": 101})}
    assert names == neutral.SINGLES.keys() | neutral.PAIRS.keys()


def test_a_check_sum_sees_order_and_phase(load):
    neutral = load("neutral")
    state = np.array([0.6, 0.8j, 0, 0])
    others = (state[::-1], 1j * state, state.conj())
    same = neutral.state_numbers(state)
    for other in others:
        theirs = neutral.state_numbers(other)
        assert abs(theirs["check_real"] - same["check_real"]) + abs(theirs["check_imag"] - same["check_imag"]) > 1e-3


def test_results_that_differ_fail_the_row(load):
    runner = load("runner")
    with pytest.raises(runner.Failure, match=r"qulacs disagrees with qnat: energy is -1\.5, not -1\.0"):
        runner.check_agreement(["qnat", "qulacs"], [{"energy": -1.0}, {"energy": -1.5}])
    with pytest.raises(runner.Failure, match="nothing that could be compared"):
        runner.check_agreement(["qnat", "qulacs"], [{"energy": -1.0}, {"norm": 1.0}])


def test_a_row_through_processes_and_into_a_table(load):
    rows, runner, tables = load("rows"), load("runner"), load("tables")
    spec = {"family": "ladder", "n": 2, "layers": 1}
    sides = (rows.Side("qnat", "numpy", "evaluation"), rows.Side("peer", "numpy", "evaluation"))
    row = rows.Row("state", "two qubits", (spec,), sides, {"peer": 1e6})
    result = runner.measure(row, rounds=2, target=1e-3)
    assert result["cases"][0]["difference"] == 0
    machine = {"processor": "one", "cores": 1, "huge_pages": "never"}
    document = {"date": "today", "machine": machine, "allocator": {}, "versions": {}, "rows": {row.name: result}}
    page = tables.page([row], document)
    assert "| two qubits |" in page
    assert "≥ 1e+06: **missed**" in page


def test_every_row_has_a_name_and_a_task_of_its_own(load):
    rows = load("rows").all_rows()
    assert len({row.name for row in rows}) == len(rows)
    for side in {side for row in rows for side in row.sides if side.system in ("numpy", "jax", "qnat")}:
        assert side.task in load(f"on_{side.system}").TASKS
