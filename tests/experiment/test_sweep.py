"""Plans of sweeps, ladders with warm starts, tables and comparisons."""

import dataclasses
import json
from typing import ClassVar

import numpy as np
import optax
import pytest
from pydantic import Field

from qnat.experiment import Measure, NonFiniteError, RefusedError, Run, RunSpec, StorageError, load_runs, run_sweep
from qnat.experiment.loop import step as traced
from qnat.experiment.show.lines import Entry, entries_of
from qnat.experiment.show.report import print_comparison
from qnat.experiment.store.files import read_table, write_json
from qnat.experiment.sweep.plan import plan
from qnat.optim import with_rate

PLAIN = optax.with_extra_args_support(optax.identity())


@pytest.fixture(scope="module")
def spec_class(quadratic):
    class QuadraticSpec(RunSpec):
        """Roll down a parabola."""

        task_name: ClassVar[str] = "quadratic"
        ladder: ClassVar[str | None] = "stiffness"

        stiffness: float = Field(1.0, gt=0, description="curvature")
        rate: float = Field(0.1, gt=0, description="learning rate")

        def task(self, previous=None):
            return quadratic(0.0, (self.stiffness, 2 * self.stiffness))

        def transform(self, task):
            return with_rate(PLAIN, self.rate)

        def warm_start(self, params, previous, how):
            factor = previous.stiffness / self.stiffness if how == "scaled" else 1.0
            return {"x": factor * params["x"]}

    return QuadraticSpec


_VALUES = {"stiffness": ["1", "2", "4"], "rate": ["0.1", "0.2"], "steps": ["5"]}


def test_a_plan_is_the_product_of_its_lists(spec_class):
    rungs = plan(spec_class, _VALUES, None)
    assert len(rungs) == 6
    assert rungs[1].folder == "stiffness=1.0_rate=0.2"
    assert {rung.previous for rung in rungs} == {None}
    assert all(rung.spec.steps == 5 for rung in rungs)


def test_a_ladder_starts_each_rung_from_the_one_before_and_shares_the_first(spec_class):
    rungs = plan(spec_class, _VALUES, "scaled,plain")
    assert len(rungs) == 2 * (1 + 2 + 2)
    first = "stiffness=1.0_rate=0.1"
    steps = {rung.folder: (rung.previous, rung.start) for rung in rungs}
    assert steps[first] == (None, None)
    for how in ("scaled", "plain"):
        assert steps[f"stiffness=2.0_rate=0.1_start={how}"] == (first, how)
        assert steps[f"stiffness=4.0_rate=0.1_start={how}"] == (f"stiffness=2.0_rate=0.1_start={how}", how)
    seen = set()
    for rung in rungs:
        assert rung.previous is None or rung.previous in seen
        seen.add(rung.folder)


@pytest.mark.parametrize(
    ("values", "how", "message"),
    [
        ({"rate": ["0.1", "0.1"]}, None, "rate lists 0.1, 0.1; give different values"),
        ({"stiffness": ["1", "1.0"]}, "plain", "stiffness lists 1, 1.0; give different values"),
        ({"stiffness": []}, None, "stiffness lists nothing"),
        ({"rate": ["0.1", "-1"]}, None, "rate is '-1'; it must be greater than 0"),
        ({"rate": ["0.1", "0.2"]}, "scaled", "warm-start needs a ladder"),
        ({"stiffness": ["1", "2"]}, "warm", "warm-start is 'warm'"),
    ],
)
def test_bad_plans_are_refused(spec_class, values, how, message):
    with pytest.raises(RefusedError, match=message):
        plan(spec_class, values, how)


def test_a_sweep_from_first_rung_to_table_and_figure(spec_class, tmp_path, capsys):
    rungs = plan(spec_class, _VALUES, "scaled,plain")
    table = run_sweep(rungs, tmp_path / "s")
    assert json.loads((tmp_path / "s" / "table.json").read_text())["runs"] == table["runs"]
    assert {row["status"] for row in table["runs"]} == {"finished"}
    assert (tmp_path / "s" / "figure.png").read_bytes().startswith(b"\x89PNG")
    entries = load_runs([tmp_path / "s"])
    runs = {(e.run.spec["stiffness"], e.run.spec["rate"], e.start): e.run for e in entries}
    end = runs[1.0, 0.1, None].params["x"]
    stiffness = np.array([2.0, 4.0])
    assert runs[2.0, 0.1, "plain"].curves["loss"][0, 0] == pytest.approx(0.5 * np.sum(stiffness * end**2))
    assert runs[2.0, 0.1, "scaled"].curves["loss"][0, 0] == pytest.approx(0.5 * np.sum(stiffness * (end / 2) ** 2))
    lines = entries_of(entries, "stiffness")
    assert {line.column for line in lines} == {"stiffness = 1.0", "stiffness = 2.0", "stiffness = 4.0"}
    assert {line.series for line in lines} == {"0.1", "0.2"}
    print_comparison(entries, [tmp_path / "compare.png"], as_json=False)
    assert "stiffness" in capsys.readouterr().out
    assert (tmp_path / "compare.png").exists()
    # nothing left to do: no run is touched, no figure drawn anew
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").glob("**/[!.]*.[!j]*")}
    assert run_sweep(rungs, tmp_path / "s", resume=True) == table
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.slow
def test_a_finished_sweep_draws_again_what_is_missing_or_has_changed(spec_class, tmp_path, capsys):
    rungs = plan(spec_class, {"stiffness": ["1", "2"], "steps": ["2"]}, "plain")
    table = run_sweep(rungs, tmp_path)
    figure, first = tmp_path / "figure.png", (tmp_path / "figure.png").read_bytes()
    figure.unlink()
    assert run_sweep(rungs, tmp_path, resume=True) == table
    assert figure.read_bytes() == first
    longer = plan(spec_class, {"stiffness": ["1", "2"], "steps": ["4"]}, "plain")
    assert {row["steps"] for row in run_sweep(longer, tmp_path, resume=True)["runs"]} == {4}
    assert figure.read_bytes() != first
    # killed before it could draw, a sweep draws when it is called again
    write_json(tmp_path / "table.json", read_table(tmp_path) | {"drawn": []})
    figure.write_bytes(first)
    run_sweep(longer, tmp_path, resume=True)
    assert (both := figure.read_bytes()) != first
    # of fewer runs it is another figure; an empty file is none
    run_sweep(longer[:1], tmp_path, resume=True)
    assert (one := figure.read_bytes()) != both
    figure.write_bytes(b"")
    run_sweep(longer[:1], tmp_path, resume=True)
    assert figure.read_bytes() == one
    result = tmp_path / longer[0].folder / "result.nc"
    result.unlink()
    run_sweep(longer[:1], tmp_path, resume=True)
    assert "result.nc is missing or damaged; it is made again from the last checkpoint." in capsys.readouterr().err
    assert Run.load(result.parent).curves["loss"].shape == (1, 5)
    # without a checkpoint there is nothing to make it from
    for name in ("result.nc", "checkpoint.npz", "checkpoint.previous.npz"):
        (result.parent / name).unlink(missing_ok=True)
    with pytest.raises(RefusedError, match=r"result\.nc is missing or damaged; --force runs it again"):
        run_sweep(longer[:1], tmp_path, resume=True)


def test_no_run_of_a_sweep_begins_with_data_that_another_cannot_use(spec_class, tmp_path, monkeypatch):
    def judge(self):
        if self.rate == 0.2:
            raise RefusedError("The data are too loud.")

    monkeypatch.setattr(spec_class, "check_data", judge)
    with pytest.raises(RefusedError, match="too loud"):
        run_sweep(plan(spec_class, _VALUES, None), tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_a_sweep_compiles_once(spec_class, tmp_path):
    run_sweep(plan(spec_class, {"stiffness": ["1"]}, None), tmp_path / "one")
    before = traced.advance._cached._cache_size()
    run_sweep(plan(spec_class, {"stiffness": ["2", "3"], "rate": ["0.1", "0.2"]}, "scaled"), tmp_path / "many")
    assert traced.advance._cached._cache_size() <= before + 1  # at most one more, for initial parameters


@pytest.mark.slow
def test_an_interrupted_sweep_ends_in_the_bits_of_a_whole_one(spec_class, tmp_path, monkeypatch):
    rungs = plan(spec_class, _VALUES, "scaled")
    run_sweep(rungs, tmp_path / "whole")

    def interrupted(self, *arguments, **options):
        if len(list((tmp_path / "cut").glob("*/run.json"))) == 3:
            raise KeyboardInterrupt
        return RunSpec.run(self, *arguments, **options)

    monkeypatch.setattr(spec_class, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(rungs, tmp_path / "cut")
    monkeypatch.undo()
    run_sweep(rungs, tmp_path / "cut", resume=True)
    for rung in rungs:
        whole, cut = (tmp_path / name / rung.folder / "metrics.jsonl" for name in ("whole", "cut"))
        assert whole.read_bytes() == cut.read_bytes()


@pytest.mark.slow
def test_a_failed_rung_skips_what_stands_on_it_and_no_more(spec_class, tmp_path, monkeypatch, capsys):
    def failing(self, *arguments, **options):
        if self.stiffness == 2.0 and self.rate == 0.1:
            raise NonFiniteError("The loss is nan at step 3.")
        return RunSpec.run(self, *arguments, **options)

    monkeypatch.setattr(spec_class, "run", failing)
    table = run_sweep(plan(spec_class, _VALUES, "plain"), tmp_path / "s")
    assert [row["status"] for row in table["runs"]] == ["finished", "failed", "skipped"] + ["finished"] * 3
    assert "The loss is nan at step 3." in capsys.readouterr().err


@pytest.mark.slow
def test_folders_of_sweeps_are_guarded(spec_class, tmp_path):
    rungs = plan(spec_class, {"rate": ["0.1", "0.2"], "steps": ["2"]}, None)
    run_sweep(rungs, tmp_path / "s")
    with pytest.raises(RefusedError, match="already holds a sweep"):
        run_sweep(rungs, tmp_path / "s")
    fewer = plan(spec_class, {"rate": ["0.1", "0.2"], "steps": ["1"]}, None)
    with pytest.raises(RefusedError, match="its steps is 2, not 1"):
        run_sweep(fewer, tmp_path / "s", resume=True)
    with pytest.raises(RefusedError, match="folder of a single run"):
        run_sweep(rungs, tmp_path / "s" / rungs[0].folder)
    other = plan(spec_class, {"rate": ["0.3", "0.4"], "steps": ["1"]}, None)
    run_sweep(other, tmp_path / "s", force=True)
    assert sorted(path.name for path in (tmp_path / "s").iterdir() if path.is_dir()) == ["rate=0.3", "rate=0.4"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("")
    with pytest.raises(RefusedError, match="it holds notes"):
        run_sweep(rungs, tmp_path / "mine", force=True)


def test_a_folder_torn_before_its_first_table_is_free(spec_class, tmp_path):
    (tmp_path / "table.json.part").write_text('{\n  "ta')
    assert len(run_sweep(plan(spec_class, {"steps": ["1"]}, None), tmp_path)["runs"]) == 1


def test_a_disk_too_full_for_the_table_is_one_sentence(spec_class, tmp_path, monkeypatch):
    def full(path, document):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qnat.experiment.sweep.sweep.write_json", full)
    with pytest.raises(StorageError, match=r"Cannot write to .* \(No space left on device\); free some space, then"):
        run_sweep(plan(spec_class, {"steps": ["1"]}, None), tmp_path)


def test_figures_show_whole_curves_legends_and_nothing_where_nothing_is_known(spec_class):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from qnat.experiment.show import comparison, figure

    runs = [spec_class(steps=steps, stiffness=1.0 / steps).run() for steps in (30, 3)]
    runs[1] = dataclasses.replace(runs[1], measures=(Measure("gap", exact=True),))
    runs[1].curves["gap"] = np.full((1, 4), np.nan)
    entries = [Entry(run, {"stiffness": run.spec["stiffness"], "name": "long" * 20}, None) for run in runs]
    lines = entries_of(entries[::-1], "stiffness")
    assert [line.run.steps for line in lines] == [30, 3]
    found = [
        comparison.draw_comparison(lines),
        comparison.draw_comparison([line._replace(series=f"{i}" * 50) for i, line in enumerate(lines)]),
    ]
    assert [text.get_text() for text in figure.draw_run(runs[1]).axes[0].texts] == ["not recorded"]
    assert [axis.get_xlabel() for axis in found[0].axes[::2]] == ["steps", "gradient evaluations", "time of a seed (s)"]
    assert all(axis.get_xlim()[1] > 30 for axis in found[0].axes[:4])
    FigureCanvasAgg(found[1]).draw()
    extent = found[1].legends[0].get_window_extent()
    assert 0 <= extent.x0 < extent.x1 <= found[1].bbox.x1
