"""Options that a combination has no use for, and learning rates tuned before a sweep."""

import json
import shutil
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
import pytest
from pydantic import Field

from qnat.experiment import Measure, RefusedError, RunSpec, Task, load_runs, run_sweep
from qnat.experiment.show.lines import Entry, entries_of
from qnat.experiment.show.report import print_comparison, print_sweep
from qnat.experiment.sweep.plan import check_tunable, plan, trial, tuning_seed
from qnat.experiment.words.optimisers import Optimizer
from qnat.experiment.words.parts import Part
from qnat.experiment.words.values import Rate
from qnat.optim import with_rate

PLAIN = optax.with_extra_args_support(optax.identity())
OPTIMISERS = ("plain", "scaled", "fixed")


class Bowl(Task):
    """½x², which the rate 1 solves in one step."""

    name: str = "bowl"
    measures = (Measure("depth", exact=True),)

    def init(self, key):
        return jax.random.normal(key, ())

    def value_and_grad(self, params, batch=None, key=None):
        return params**2 / 2, params

    def evaluate(self, params):
        return {"depth": params**2 / 2}


class Plain(Optimizer):
    """As it is."""

    name: Literal["plain"] = "plain"
    learning_rate: Rate = 0.1


class Scaled(Optimizer):
    """Times a factor."""

    name: Literal["scaled"] = "scaled"
    learning_rate: Rate = 10.0
    factor: float = Field(1.0, description="of scaled")

    def build(self, task):
        return with_rate(PLAIN, jnp.asarray(self.learning_rate * self.factor))


class Fixed(Part):
    """Without a rate."""

    name: Literal["fixed"] = "fixed"

    def build(self, task):
        return with_rate(PLAIN, jnp.asarray(0.5))


class BowlSpec(RunSpec):
    """Roll into a bowl."""

    task_name: ClassVar[str] = "bowl"
    ladder: ClassVar[str | None] = "height"

    height: float = Field(1.0, description="says nothing")
    optimizer: Plain | Scaled | Fixed = Field(Plain(), description="which")

    def task(self, previous=None):
        return Bowl()


def test_an_option_without_use_is_left_out_of_a_combination():
    rungs = plan(BowlSpec, {"optimizer": ["plain", "scaled"], "factor": ["1", "2"]}, None)
    assert [rung.folder for rung in rungs] == [
        "optimizer=plain",
        "optimizer=scaled_factor=1.0",
        "optimizer=scaled_factor=2.0",
    ]
    assert [rung.swept["factor"] for rung in rungs] == [None, 1.0, 2.0]
    laddered = plan(BowlSpec, {"optimizer": ["plain", "fixed"], "height": ["1", "2"]}, None)
    assert laddered[0].folder == "height=1.0_optimizer=plain"  # the ladder leads
    one = plan(BowlSpec, {"optimizer": ["scaled", "plain"], "factor": ["2"]}, None)
    assert [rung.spec.factor for rung in one] == [2.0, None]


def test_a_series_is_named_by_the_words_that_it_uses():
    labels = [
        {"height": 1.0, "optimizer": "plain", "factor": None},
        {"height": 1.0, "optimizer": "scaled", "factor": 2.0},
    ]
    lines = entries_of([Entry(BowlSpec(steps=1).run(), each, None) for each in labels], "height")
    assert [line.series for line in lines] == ["plain", "scaled, factor 2.0"]
    assert {line.column for line in lines} == {"height = 1.0"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": ["plain"], "factor": ["1", "2"]}, "factor is not used with optimizer plain; leave it out"),
        ({"optimizer": ["plain", "fixed"], "factor": ["2"]}, "factor is not used with optimizer"),
        ({"optimizer": ["plain", "scaled"], "factor": ["2", "2.0"]}, "factor lists 2, 2.0; give different values"),
        ({"optimizer": ["plain", "scaled"], "factor": ["two"]}, "factor is 'two'; it must be a number"),
    ],
)
def test_an_option_that_no_combination_uses_is_refused(values, message):
    with pytest.raises(RefusedError, match=message):
        plan(BowlSpec, values, None)


def test_the_tuning_seed_is_1000_or_the_next_that_the_sweep_does_not_use():
    assert tuning_seed(plan(BowlSpec, {}, None)) == 1000
    assert tuning_seed(plan(BowlSpec, {"seed": ["999"], "seeds": ["3"]}, None)) == 1002
    assert tuning_seed(plan(BowlSpec, {"seed": ["1000", "1001"]}, None)) == 1002
    assert tuning_seed(plan(BowlSpec, {"seed": [str(2**31 - 1)]}, None)) == 1000


def test_what_differs_only_in_seed_or_start_shares_its_trials():
    values = {"height": ["1", "2"], "seed": ["0", "5"], "seeds": ["3"]}
    rungs = plan(BowlSpec, values, "scaled,plain")
    trials = {trial(rung, 1000, 1).folder for rung in rungs}
    assert len(rungs) == 6
    assert trials == {f"tuning/height={height}_learning_rate=0.32" for height in ("1.0", "2.0")}
    one = trial(rungs[0], 1000, -2).spec
    assert (one.seed, one.seeds, one.learning_rate) == (1000, 1, 0.01)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Single runs are not drawn: that takes longer than to run them."""
    monkeypatch.setattr("qnat.experiment.show.figure.draw_run", lambda run, path: path.write_bytes(b""))


@pytest.fixture
def sweep(tmp_path):
    """Runs a tuned sweep of these optimisers in tmp_path/name."""

    def run(name, *optimizers, **options):
        values = {"optimizer": optimizers, "steps": ["170"], "seeds": ["2"]}
        return run_sweep(plan(BowlSpec, values, None), tmp_path / name, tune=True, **options)

    return run


def _rates(table, optimizer):
    rows = [row for row in table["tuning"]["runs"] if row["optimizer"] == optimizer]
    return {row["learning_rate"]: row["status"] for row in rows}


def test_a_tuned_sweep_uses_the_best_rate_and_tells_its_trials(sweep, tmp_path, capsys):
    table = sweep("s", *OPTIMISERS)
    assert json.loads((tmp_path / "s" / "table.json").read_text())["tuning"]["seed"] == 1000
    # from the default: outwards as long as the best is at an end
    assert list(_rates(table, "plain")) == [0.1, 0.032, 0.32, 1.0, 3.2]
    # 9^340 is not finite: a rate that fails is the worst
    assert _rates(table, "scaled") == {
        10.0: "failed",
        3.2: "finished",
        32.0: "failed",
        1.0: "finished",
        0.32: "finished",
    }
    assert _rates(table, "fixed") == {}
    assert [row["learning_rate"] for row in table["runs"]] == [1.0, 1.0, None]
    best = next(row for row in table["tuning"]["runs"] if row["folder"] == "tuning/optimizer=plain_learning_rate=1.0")
    assert (best["missed"], best["gradient_evaluations"], best["final"]) == (0, 1.0, 0.0)
    entries = load_runs([tmp_path / "s"])
    assert len(entries) == 3  # the trials are not among them
    assert {entry.run.spec["seed"] for entry in entries} == {0}
    capsys.readouterr()
    print_sweep(table, tmp_path / "s", "9.0 s in all", as_json=False)
    printed = capsys.readouterr().out
    assert "Learning rates are tuned on seed 1000, which no run below uses" in printed
    assert "rate" in printed
    # nothing left to do: no run but those that failed is touched
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("run.json")}
    assert sweep("s", *OPTIMISERS, resume=True)["runs"] == table["runs"]
    touched = {path.parent.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert touched == {f"optimizer=scaled_learning_rate={rate}" for rate in (10.0, 32.0)}


@pytest.mark.slow
def test_an_interrupted_tuning_goes_on_where_it_was(sweep, tmp_path, monkeypatch):
    whole = sweep("whole", "plain", "fixed")

    def interrupted(self, out, **options):
        if len(list((tmp_path / "cut").rglob("run.json"))) == 3:
            raise KeyboardInterrupt
        return RunSpec.run(self, out, **options)

    monkeypatch.setattr(BowlSpec, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep("cut", "plain", "fixed")
    monkeypatch.undo()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut").rglob("run.json")}
    cut = sweep("cut", "plain", "fixed", resume=True)
    assert len(before) == 3
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())

    def timeless(rows):
        return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]

    assert timeless(cut["runs"]) == timeless(whole["runs"])
    assert timeless(cut["tuning"]["runs"]) == timeless(whole["tuning"]["runs"])


@pytest.mark.slow
def test_folders_of_tuned_sweeps_are_guarded(tmp_path):
    def rungs(steps, optimizers=("plain", "scaled")):
        return plan(BowlSpec, {"optimizer": list(optimizers), "steps": [steps]}, None)

    run_sweep(rungs("3"), tmp_path / "s", tune=True)
    with pytest.raises(RefusedError, match="holds a tuned sweep; add --tune, or give another folder"):
        run_sweep(rungs("3"), tmp_path / "s", resume=True)
    with pytest.raises(RefusedError, match="its steps is 3, not 2"):
        run_sweep(rungs("2"), tmp_path / "s", tune=True, resume=True)
    run_sweep(rungs("1", ["scaled"]), tmp_path / "s", force=True)
    assert sorted(path.name for path in (tmp_path / "s").iterdir() if path.is_dir()) == ["run"]
    with pytest.raises(RefusedError, match="a sweep that was not tuned; leave --tune out"):
        run_sweep(rungs("1", ["scaled"]), tmp_path / "s", tune=True, resume=True)
    # a sweep killed while it was tuned has trials only
    run_sweep(rungs("3", ["scaled"]), tmp_path / "t", tune=True)
    shutil.rmtree(tmp_path / "t" / "run")
    with pytest.raises(RefusedError, match="its steps is 3, not 2"):
        run_sweep(rungs("2", ["scaled"]), tmp_path / "t", tune=True, resume=True)


class Rateless(RunSpec):
    """A task without a rate."""

    task_name: ClassVar[str] = "rateless"


class Chain(BowlSpec):
    """A task of several runs."""

    task_name: ClassVar[str] = "chain"

    def rungs(self):
        return []


@pytest.mark.parametrize(
    ("spec", "values", "message"),
    [
        (Chain, {}, "The runs of the task 'chain' depend on each other; leave --tune out"),
        (Rateless, {}, "The task 'rateless' has no learning_rate to tune; leave --tune out"),
        (BowlSpec, {"learning_rate": ["1"]}, "learning_rate is given, and --tune chooses it; leave one of them out"),
    ],
)
def test_what_cannot_be_tuned_is_refused(spec, values, message):
    with pytest.raises(RefusedError, match=message):
        check_tunable(spec, values)


@pytest.mark.slow
def test_a_comparison_tells_the_price_of_every_threshold(tmp_path, capsys):
    values = {"optimizer": ["plain", "fixed"], "height": ["1", "2"], "steps": ["8"], "seeds": ["3"]}
    run_sweep(plan(BowlSpec, values, None), tmp_path / "s")
    entries = load_runs([tmp_path / "s"])
    print_comparison(entries, [tmp_path / "a.png"], as_json=True)
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [reached["threshold"] for reached in rows[0]["reached"]] == [0.1, 0.01, 0.001]
    for row, entry in zip(rows, entries, strict=True):
        for reached in row["reached"]:
            first = [
                next((k for k, d in enumerate(c) if d < reached["threshold"]), None) for c in entry.run.curves["depth"]
            ]
            known = sorted(k for k in first if k is not None)
            assert reached["seeds"] == len(known)
            assert reached["steps"]["median"] == (known[1] if len(known) > 1 else None)
            assert reached["steps"]["most"] == (known[-1] if known else None)
    print_comparison(entries, [tmp_path / "a.png"], thresholds=[0.5, 1e-9], as_json=False)
    printed = capsys.readouterr().out
    assert "depth below 0.5" in printed
    assert "depth below 1e-09" in printed
    assert "0/3" in printed
    assert "–" in printed
    assert max(map(len, printed.splitlines())) <= 100
