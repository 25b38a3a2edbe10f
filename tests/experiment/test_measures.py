"""A task of one's own tells figures, tables and comparisons what it measures."""

import contextlib
import json
import re
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr
from pydantic import Field

from qnat.experiment import Artifact, Measure, Panel, Run, RunSpec, Task, load_runs, run, run_sweep
from qnat.experiment.laws import check_task
from qnat.experiment.loop.artifacts import labelled
from qnat.experiment.show import comparison, figure
from qnat.experiment.show.report import print_comparison, print_sweep
from qnat.experiment.sweep.plan import plan
from qnat.experiment.sweep.tune import score
from qnat.optim import with_rate

SGD = optax.with_extra_args_support(optax.identity())
TONES = ["do", "re", "mi"]


class Choir(Task):
    """Three singers who come together: half their mean square distance from the tuning fork."""

    name = "choir"
    measures = (Measure("lag", "furlongs", exact=True), Measure("true_lag", "furlongs", exact=True))
    panels = (Panel("levels", "tones"), Panel("images", "stills", "Stills"), Panel("matrix", "ties"))
    costs = ("sips",)
    traceable: bool = True  # the property of the base class, as a field

    def init(self, key):
        return 2 + jax.random.uniform(key, (3,))

    @eqx.filter_jit
    def value_and_grad(self, params, batch=None, key=None):
        return jax.value_and_grad(lambda x: 7 + jnp.sum(x**2) / 2)(params)

    @eqx.filter_jit
    def evaluate(self, params):
        lag = jnp.sum(params**2) / 2
        return {"lag": lag, "true_lag": lag + 1, "sips": jnp.asarray(5.0), "harmony": 1 / (1 + lag)}

    @eqx.filter_jit
    def artifacts(self, params):
        pitches = {"tones": 1 + params**2, "exact_tones": jnp.ones(3)}
        tones = {name: Artifact(x, ("tone",), {"tone": TONES}, "hertz", "pitch") for name, x in pitches.items()}
        stills = Artifact(jnp.outer(params, jnp.arange(8.0)).reshape(3, 2, 4), ("still", "row", "column"))
        ties = Artifact(jnp.outer(params, params), ("from", "to"), {"from": TONES, "to": range(3)}, "knots")
        return tones | {"stills": stills, "ties": ties, "exact_ties": jnp.eye(3), "plain": params}


class Contest(Choir):
    """The same choir, judged by how well it sounds."""

    name = "contest"
    measures = (Measure("harmony", better="higher"), Measure("lag", "furlongs", exact=True))


class ChoirSpec(RunSpec):
    """Sing."""

    task_name: ClassVar[str] = "choir"
    ladder: ClassVar[str | None] = "gamma"

    gamma: float = Field(1.0, description="says nothing")
    learning_rate: float = Field(0.5, description="rate")
    contest: bool = Field(False, description="who judges")

    def task(self):
        return Contest() if self.contest else Choir()

    def transform(self, task):
        return with_rate(SGD, self.learning_rate)


@pytest.fixture
def drawn(monkeypatch):
    """The comparisons that were drawn."""
    figures = []
    draw = comparison.draw_comparison

    def kept(*args, **options):
        figures.append(draw(*args, **options))
        return figures[-1]

    monkeypatch.setattr(comparison, "draw_comparison", kept)
    return figures


@pytest.mark.parametrize(
    ("traceable", "seeds"),
    [(True, 2), (False, 1), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((True, 1), (False, 2)))],
)
def test_a_folder_keeps_what_the_task_says(traceable, seeds, tmp_path):
    task = Choir(traceable=traceable)
    found = run(task, with_rate(SGD, 0.5), steps=3, seed=0, seeds=seeds, out=tmp_path)
    loaded = Run.load(tmp_path)
    for one in (found, loaded):
        assert (one.measures, one.panels, one.costs) == (Choir.measures, Choir.panels, Choir.costs)
        assert one.labels["tones"] == Artifact(None, ("tone",), {"tone": tuple(TONES)}, "hertz", "pitch")
        assert one.labels["ties"].coords == {"from": tuple(TONES), "to": (0, 1, 2)}
        assert set(one.labels) == {"tones", "exact_tones", "stills", "ties"}
        assert set(one.artifacts) == {*one.labels, "exact_ties", "plain"}
        assert all(isinstance(array, np.ndarray) for array in one.artifacts.values())
    for name, array in found.artifacts.items():
        np.testing.assert_array_equal(array, loaded.artifacts[name])
    with xr.open_dataset(tmp_path / "result.nc", engine="h5netcdf") as stored:
        assert stored["lag"].attrs == {"units": "furlongs"}
        assert stored["harmony"].attrs == {}
        assert stored["tones"].attrs == {"units": "hertz", "long_name": "pitch"}
        assert stored["stills"].dims == ("seed", "still", "row", "column")
        assert stored["plain"].dims == ("seed", "plain_0")
        mi = stored["ties"].sel({"from": "mi", "to": 0}).to_numpy()
        np.testing.assert_array_equal(mi, found.artifacts["ties"].reshape(seeds, 3, 3)[:, 2, 0])


def test_the_figure_of_a_run_shows_the_judge_and_the_panels():
    found = run(Choir(), with_rate(SGD, 0.5), steps=3, seed=0, seeds=2)
    curve, levels, stills, ties = figure.draw_run(found).axes
    assert curve.get_ylabel() == "lag (furlongs)"
    lag, true_lag = (line.get_ydata() for line in curve.lines if line.get_linewidth() > 1)
    np.testing.assert_array_equal(lag, np.median(found.curves["lag"], axis=0))
    np.testing.assert_array_equal(true_lag, np.median(found.curves["true_lag"], axis=0))
    assert (levels.get_xlabel(), levels.get_ylabel()) == ("tone", "pitch (hertz)")
    np.testing.assert_array_equal([line.get_ydata() for line in levels.lines], [np.ones(3), *found.artifacts["tones"]])
    assert stills.get_title() == "Stills"
    np.testing.assert_array_equal(
        stills.images[0].get_array()[:2, 5:9].compressed(), found.artifacts["stills"][0, 1].ravel()
    )
    assert (ties.get_title(), ties.get_ylabel(), ties.get_xlabel()) == ("ties (knots)", "from", "to")
    assert [label.get_text() for label in ties.get_yticklabels()] == TONES
    np.testing.assert_array_equal(ties.images[0].get_array(), found.artifacts["ties"][0])
    del found.artifacts["exact_tones"]  # without which there are no levels to compare with
    found.artifacts["stills"] = found.artifacts["stills"][:, 0]  # no longer pictures
    found.artifacts["ties"] = found.artifacts["ties"] * 1j
    assert len(figure.draw_run(found).axes) == 1


def test_the_gap_is_the_first_exact_measure_and_else_that_of_the_loss(quadratic, monkeypatch, paced):
    shown = []

    class Bar:
        def update(self, step, loss, gap):
            shown.append(gap)

    monkeypatch.setattr("qnat.experiment.loop.iterate.display", lambda *_: contextlib.nullcontext(Bar()))
    paced(1)
    lags = run(Contest(), with_rate(SGD, 0.5), steps=4, seed=0, every=3).curves["lag"][0]
    assert shown == [lags[0], lags[0], lags[0], lags[3], lags[4]]  # those of the row before, where there is none
    shown.clear()
    losses = run(quadratic(0.0), with_rate(SGD, 0.1), steps=4, seed=0).curves["loss"][0]
    assert shown == losses.tolist()  # whose exact value is 0


def test_tables_and_comparisons_speak_of_its_measures(tmp_path, capsys, drawn):
    table = run_sweep(plan(ChoirSpec, {"gamma": ["1", "2"], "steps": ["9"]}, None), tmp_path / "s")
    print_sweep(table, tmp_path / "s", "", as_json=False)
    printed = capsys.readouterr().out.splitlines()
    assert printed[2] == "lag at the first and the last step, and steps until it is below"
    assert " ".join(printed[3].split()) == "gamma first last true lag 0.1 0.01 0.001 rate steps seconds"
    entries = load_runs([tmp_path / "s"])
    lags = entries[0].run.curves["lag"][0]
    first = int(np.flatnonzero(lags < 0.1)[0])
    assert printed[4].split()[3:5] == [f"{lags[-1] + 1:.3g}", str(first)]
    drawn.clear()
    print_comparison(entries, [tmp_path / "c.png"], as_json=False)
    printed = capsys.readouterr().out
    for threshold in ("0.1", "0.01", "0.001"):
        assert f"lag below {threshold}" in printed
    assert f"{5 * first}" in printed
    axes = drawn[0].axes
    assert [axis.get_title() for axis in axes[:2]] == ["γ = 1.0", "γ = 2.0"]
    assert [axis.get_xlabel() for axis in axes[::2]] == ["steps", "gradient evaluations", "sips", "time of a seed (s)"]
    assert axes[0].get_ylabel() == "lag (furlongs)"
    print_comparison(entries, [tmp_path / "c.png"], thresholds=[2.0], as_json=True)
    reached = json.loads(capsys.readouterr().out)["runs"][0]["reached"][0]
    assert reached["sips"]["median"] == 5 * np.flatnonzero(lags < 2)[0]


@pytest.mark.slow
def test_where_higher_is_better_thresholds_are_climbed(tmp_path, capsys, drawn):
    values = {"gamma": ["1", "2"], "steps": ["9"], "contest": ["true"], "learning_rate": ["0.5", "0.1"]}
    table = run_sweep(plan(ChoirSpec, values, None), tmp_path / "s")
    print_sweep(table, tmp_path / "s", "", as_json=False)
    printed = capsys.readouterr().out
    assert "\n\nharmony at the first and the last step\n" in printed  # no decades: zero is not its goal
    assert " lag " in printed.splitlines()[3]
    entries = load_runs([tmp_path / "s"])
    print_comparison(entries, [tmp_path / "c.png"], thresholds=[0.5], as_json=False)
    printed = capsys.readouterr().out
    assert "harmony above 0.5" in printed
    fast, slow = (score(entry.run) for entry in entries[:2])
    assert fast < slow
    assert fast.final == -entries[0].run.final["harmony"]


BAD = {
    "give each a name of its own": {"x": Artifact(np.ones((2, 2)), ("a",))},
    "dims ('a', 'a')": {"x": Artifact(np.ones((2, 2)), ("a", "a"))},
    "'seed', an axis of the artifact 'x', is the name of something else": {"x": Artifact(np.ones(2), ("seed",))},
    "'y', an axis of the artifact 'x'": {"x": Artifact(np.ones(2), ("y",)), "y": np.ones(())},
    "coordinates along 'b', which is not in its dims": {"x": Artifact(np.ones(2), ("a",), {"b": [1, 2]})},
    "'a' of the artifact 'x' has 2 entries and 3 coordinates": {
        "x": Artifact(np.ones(2), ("a",), {"a": ["u", "v", "w"]})
    },
    "2 and 3 entries along 'a'": {"x": Artifact(np.ones(2), ("a",)), "y": Artifact(np.ones(3), ("a",))},
    "different coordinates along 'a'": {k: Artifact(np.ones(1), ("a",), {"a": [k]}) for k in "xy"},
}


@pytest.mark.parametrize("message", BAD)
def test_labels_that_do_not_fit_are_refused(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        labelled(BAD[message])


@pytest.mark.parametrize("traceable", [True, False])
def test_the_law_of_tasks_asks_for_labels_that_fit(traceable):
    class Mute(Choir):
        def artifacts(self, params):
            return {"x": Artifact(params, ("a", "b"))}

    check_task(Choir(traceable=traceable), key=jax.random.key(0))
    with pytest.raises(AssertionError, match="The artifact 'x' has 1 axes and the dims"):
        check_task(Mute(traceable=traceable), key=jax.random.key(0))


def test_axes_that_two_artifacts_share_have_the_coordinates_of_either():
    _, labels = labelled({"x": Artifact(np.ones(2), ("a",)), "y": Artifact(np.ones(2), ("a",), {"a": ["u", "v"]})})
    assert labels["x"].coords == labels["y"].coords == {"a": ("u", "v")}


def test_coordinates_are_no_results(quadratic):
    class Traced(type(quadratic())):
        def artifacts(self, params):
            return {"x": Artifact(params["x"], ("place",), {"place": params["x"]})}

    with pytest.raises(ValueError, match="Coordinates along 'place' of the artifact 'x' are traced; give numbers"):
        run(Traced(jnp.ones(2), jnp.zeros(())), with_rate(SGD, 0.1), steps=1, seed=0)


def test_an_axis_called_like_a_curve_is_refused(quadratic, tmp_path):
    class Clash(type(quadratic())):
        def artifacts(self, params):
            return {"x": Artifact(params["x"], ("norm",))}

    with pytest.raises(ValueError, match=r"'norm' is both a curve and a final array \(or its axis\) of 'quadratic'"):
        run(Clash(jnp.ones(2), jnp.zeros(())), with_rate(SGD, 0.1), steps=1, seed=0, out=tmp_path)
