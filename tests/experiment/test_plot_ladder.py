"""The figure of a ladder: what stands in its panels, and when there is none."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from pydantic import Field

from qnat.experiment import Panel, Run, RunSpec, run_sweep
from qnat.experiment.show import ladder as plot_ladder
from qnat.experiment.show.lines import Entry
from qnat.experiment.sweep.between import exact_scalars
from qnat.experiment.sweep.plan import plan
from qnat.optim import with_rate

VALUES = (0.5, 1.0, 2.0)


def run(value, factor, shift, seeds=2):
    """Exact heat is factor·value and exact overlaps decay as value^−|i − j|; trained ones are off by shift."""
    exact = {
        "exact_heat": np.full(seeds, factor * value),
        "exact_overlaps": np.stack([(1 + value) ** -np.abs(np.subtract.outer(range(3), range(3)))] * seeds),
        "exact_lengths": np.ones((seeds, 4)),
        "exact_squares": np.ones((seeds, 2, 2)),  # which no panel shows
        "exact_oblong": np.ones((seeds, 2, 3)),
    }
    trained = {name.removeprefix("exact_"): array + shift for name, array in exact.items()}
    artifacts = {**exact, **trained, "lonely": np.zeros(seeds)}
    return Run(
        path=None,
        spec={"task": "test", "beta": value},
        curves={"loss": np.zeros((seeds, 1))},
        params={},
        artifacts={name: array[0] if seeds == 1 else array for name, array in artifacts.items()},
        final={},
        reference={},
        status="finished",
        steps=0,
        spent=dict.fromkeys(("compile", "train", "write", "draw"), 0.0),
        panels=(Panel("levels", "lengths"), Panel("matrix", "oblong"), Panel("matrix", "overlaps", "Pair overlaps")),
    )


@pytest.fixture
def drawn(tmp_path):
    """Draws, and gives the panels, the figure having been written."""

    def draw(entries, ladder="beta", **more):
        path = tmp_path / "observables.png"
        figure = plot_ladder.draw_ladder(entries, ladder, path, **more)
        assert path.exists() == (figure is not None)
        return [axes for axes in figure.axes if axes.axison and axes.lines] if figure else []

    return draw


def points(line):
    return np.stack(line.get_data(orig=False)).T


def test_pairs_are_drawn_against_the_ladder(drawn):
    """One exact line in grey, for both series have it; every seed a dot; arrays of other shapes left out."""
    entries = [
        Entry(run(v, 1.0, s), {"beta": v, "optimizer": name}, None)
        for s, name in ((0.1, "a"), (0.2, "b"))
        for v in VALUES[::-1]  # in any order
    ]
    heat, overlaps = drawn(entries)
    assert [heat.get_title(loc="left"), overlaps.get_title(loc="left")] == ["heat", "Pair overlaps"]
    assert heat.get_xlabel() == "β"
    exact, *dots = heat.lines
    np.testing.assert_array_equal(points(exact), [[v, v] for v in VALUES])
    assert len(dots) == 6
    found = sorted(tuple(point) for line in dots for point in points(line))
    np.testing.assert_allclose(found, sorted((v, v + s) for v in VALUES for s in (0.1, 0.2) for _ in range(2)))
    assert len({line.get_color() for line in dots}) == 2
    low, high = heat.get_ylim()
    assert low < 0.5 < 2.2 < high
    # at distance r = 1, 2 the mean of (1 + β)^−r over the pairs; a colour a rung, two lines of dots a run
    rings = [points(line) for line in overlaps.lines if line.get_linestyle() == "-"]
    assert sorted(ring[0, 1] for ring in rings[::2]) == pytest.approx(sorted(1 / (1 + v) for v in VALUES))
    np.testing.assert_allclose([ring[1, 1] for ring in rings], [ring[0, 1] ** 2 for ring in rings])
    assert len(overlaps.lines) == 6 * (1 + 2)


def test_series_with_exact_values_of_their_own_have_lines_of_their_own(drawn):
    entries = [Entry(run(v, f, 0.0, seeds=1), {"beta": v, "field": f}, "plain") for f in (1.0, 3.0) for v in VALUES]
    heat, overlaps = drawn(entries)
    lines = [line for line in heat.lines if line.get_linestyle() == "-"]
    assert [points(line)[-1, 1] for line in lines] == [2.0, 6.0]
    assert lines[0].get_color() != lines[1].get_color()
    assert {line.get_marker() for line in heat.lines} == {"o", "X"}  # the trained ones started plain
    assert overlaps.get_xlabel() == "distance |i − j|"  # their exact values are the same in both


def test_exact_scalars_are_drawn_between_the_runs(drawn):
    entries = [Entry(run(v, f, 0.1), {"beta": v, "field": f}, None) for f in (1.0, 3.0) for v in VALUES]

    def exact(found, values):
        factor = found.artifacts["exact_heat"][0] / found.spec["beta"]
        return {"exact_heat": factor * np.asarray(values)}

    heat = drawn(entries, exact=exact, axis="β (1/energy)")[0]
    assert heat.get_xlabel() == "β (1/energy)"
    for factor, line in zip((1.0, 3.0), [line for line in heat.lines if line.get_linestyle() == "-"], strict=True):
        x, y = points(line).T
        assert x.size > 20
        assert set(VALUES) <= set(x)
        np.testing.assert_allclose(y, factor * x)


def test_overlaps_of_series_that_differ_have_panels_of_their_own(drawn):
    entries = [Entry(run(v, 1.0, 0.0), {"beta": v, "field": f}, None) for f in (1.0, 3.0) for v in VALUES]
    for entry in entries[3:]:
        entry.run.artifacts["exact_overlaps"] = entry.run.artifacts["exact_overlaps"] / 2
    assert [panel.get_xlabel() for panel in drawn(entries)] == ["β", *(f"distance |i − j|, {f}" for f in (1.0, 3.0))]


def test_without_a_ladder_or_pairs_nothing_is_drawn(drawn):
    entries = [Entry(run(v, 1.0, 0.1), {"beta": v}, None) for v in VALUES]
    assert not drawn(entries, ladder=None)
    assert not drawn(entries[:1])
    assert not drawn([])
    for name in ("heat", "overlaps"):
        del entries[1].run.artifacts[name]
    assert not drawn(entries)


@pytest.mark.slow
def test_a_sweep_draws_its_ladder_and_removes_the_old_figure(quadratic, tmp_path):
    class Measured(type(quadratic())):
        def artifacts(self, params):
            return {"energy_density": jnp.sum(params["x"]), "exact_energy_density": self.curvature[0] ** 2}

    class MeasuredSpec(RunSpec):
        """Roll down a parabola and measure where."""

        task_name: ClassVar[str] = "measured"
        ladder: ClassVar[str | None] = "stiffness"

        stiffness: float = Field(1.0, gt=0, description="curvature")

        def task(self, previous=None):
            return Measured(jnp.array([self.stiffness]), jnp.zeros(()))

        def transform(self, task):
            return with_rate(optax.with_extra_args_support(optax.identity()), 0.1)

    def sweep(*stiffness):
        rungs = plan(MeasuredSpec, {"stiffness": list(stiffness), "steps": ["1"]}, None)
        run_sweep(rungs, tmp_path / "s", force=True, progress=False)
        return (tmp_path / "s" / "observables.png").exists()

    assert sweep("1", "2")
    assert not sweep("1")
    found = exact_scalars(MeasuredSpec(), "stiffness", [1.0, 1.5, 3.0])
    np.testing.assert_allclose(found.pop("exact_energy_density"), [1.0, 2.25, 9.0])
    assert not found
