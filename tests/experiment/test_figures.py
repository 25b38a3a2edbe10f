"""Figures: scales, ticks, marks and panels, judged by what stands in them."""

import itertools

import numpy as np
import optax
import pytest
from matplotlib.figure import Figure

from qnat.experiment import Artifact, Measure, Panel, Run, run
from qnat.experiment.show import curves, style, titles
from qnat.experiment.show.comparison import draw_comparison
from qnat.experiment.show.figure import draw_run
from qnat.experiment.show.lines import Line
from qnat.optim import with_rate

SGD = optax.with_extra_args_support(optax.identity())
MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


def stored(curves, seeds=1, **more):
    """A run with these curves, (rows,) or (seeds, rows)."""
    curves = {
        name: np.broadcast_to(np.asarray(curve, float), (seeds, np.shape(curve)[-1])) for name, curve in curves.items()
    }
    known = {"spec": {"task": "test", "seed": 3}, "artifacts": {}, "measures": (Measure("loss", exact=True),)} | more
    return Run(
        path=None,
        curves=curves,
        params={},
        final={},
        reference={},
        status="finished",
        steps=curves["loss"].shape[1] - 1,
        spent=dict.fromkeys(("compile", "train", "write", "draw"), 0.1),
        **known,
    )


def ticks(axes):
    """The labels of the vertical axis, as they are written."""
    axes.figure.canvas.draw()
    low, high = axes.get_ylim()
    shown = [label.get_text() for label in axes.get_yticklabels() if low <= label.get_position()[1] <= high]
    minor = [label.get_text() for label in axes.get_yticklabels(minor=True)]
    return [text for text in (*shown, *minor) if text]


@pytest.mark.parametrize(
    ("ends", "log"),
    [
        ((3.0, 0.11), True),
        ((2e-5, 7e-7), True),
        ((5.0, 1e-4), True),
        ((1e6, 1e3), True),
        ((44.0, 16.0), False),
        ((9e-16, 1e-17), False),
    ],
)
def test_ticks_of_an_axis_are_of_one_kind(ends, log):
    axes = draw_run(stored({"loss": np.geomspace(*ends, 30)})).axes[0]
    assert axes.get_yscale() == ("log" if log else "linear")
    written = ticks(axes)
    assert len(written) >= 2
    powers = ["10^" in text for text in written]
    assert all(powers) or not any(powers)
    if not log:
        return
    low, high = axes.get_ylim()
    assert low <= ends[1] <= ends[0] <= high
    assert high / low < 2e3 * ends[0] / ends[1]


def test_a_curve_leaves_its_panel_where_it_is_zero_to_rounding():
    falling = np.r_[np.geomspace(1.0, 1e-12, 13), 2e-16, 0.0, -3e-17, np.zeros(85)]
    axes = draw_run(stored({"loss": falling})).axes[0]
    assert axes.get_yscale() == "log"
    assert curves.FLOOR <= axes.get_ylim()[0] < 1e-12
    line, mark = axes.lines
    assert mark.get_xdata()[0] == 13
    assert axes.get_xlim()[1] < 20
    shown = line.get_ydata()
    np.testing.assert_array_equal(shown[:13], falling[:13])
    assert (shown[13:] < axes.get_ylim()[0]).all()
    assert "below 10⁻¹⁵" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_curve_that_comes_back_from_zero_has_not_arrived():
    assert curves.arrival(np.array([1.0, 1e-17, 1e-3, 1e-17, 0.0])) == 3
    assert curves.arrival(np.array([1.0, np.nan, 1e-17, np.nan, 0.0])) == 2
    assert curves.arrival(np.array([1.0, 1e-17, 1e-3])) == 3
    assert curves.arrival(np.array([0.0, 0.0])) == 0
    assert curves.arrival(np.full(4, np.nan)) == 4


def test_curves_below_zero_and_scores_are_drawn_on_linear_axes():
    assert draw_run(stored({"loss": np.linspace(5.0, -1.0, 9)})).axes[0].get_yscale() == "linear"
    score = (Measure("loss", better="higher"),)
    assert draw_run(stored({"loss": np.geomspace(1e-3, 1.0, 9)}, measures=score)).axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("rows", [1, 2])
def test_a_run_of_no_step_or_one_has_whole_steps_only(rows, seeds):
    figure = draw_run(stored({"loss": np.ones(rows)}, seeds=seeds))
    figure.canvas.draw()
    low, high = figure.axes[0].get_xlim()
    shown = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    assert shown == list(range(rows))
    assert low < 0 < high


def test_rows_that_are_not_finite_are_left_out():
    curve = np.array([3.0, np.nan, 2.0, np.inf, 1.0])
    line = draw_run(stored({"loss": curve})).axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 2, 4]
    empty = draw_run(stored({"loss": np.full((2, 5), np.nan)}, seeds=2)).axes[0]
    assert [text.get_text() for text in empty.texts] == ["not recorded"]


def test_test_and_training_curves_share_a_panel():
    measures = (Measure("test_loss", "nats"), Measure("test_accuracy", better="higher"), Measure("absent"))
    rows = np.linspace(1.0, 0.5, 6)
    both = {
        f"{part}_{name}": scale * rows for part, scale in (("test", 1), ("train", 0.9)) for name in ("loss", "accuracy")
    }
    loss, accuracy = draw_run(stored({"loss": rows} | both, measures=measures)).axes
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss (nats)", "accuracy")
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["test", "training"]
        found = [line.get_ydata() for line in axes.lines]
        np.testing.assert_array_equal(found, [both[f"test_{name}"], both[f"train_{name}"]])
        assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()


@pytest.mark.parametrize("seeds", [1, 4])
def test_points_stand_with_their_errors_beside_the_truth(seeds):
    rng = np.random.default_rng(0)
    names = tuple(f"X{i}" for i in range(30))
    estimate, error = rng.normal(size=(seeds, 30)), rng.random((seeds, 30))
    arrays = {
        "couplings": estimate,
        "couplings_error": error,
        "exact_couplings": np.tile(rng.normal(size=30), (seeds, 1)),
    }
    artifacts = {name: array if seeds > 1 else array[0] for name, array in arrays.items()}
    label = Artifact(None, ("generator",), {"generator": names}, "units of H", "coupling")
    panels = (Panel("points", "couplings"), Panel("points", "absent"))
    drawn = stored({"loss": np.ones(3)}, seeds, artifacts=artifacts, panels=panels, labels={"couplings": label})
    _, axes = draw_run(drawn).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("generator", "coupling (units of H)")
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), arrays["exact_couplings"][0])
    for bars, value, spread in zip(axes.containers, estimate, error, strict=True):
        np.testing.assert_array_equal(bars.lines[0].get_ydata(), value)
        ends = np.stack([segment[:, 1] for segment in bars.lines[2][0].get_segments()])
        np.testing.assert_allclose(ends, np.stack([value - spread, value + spread], axis=-1))
        assert np.abs(bars.lines[0].get_xdata() - np.arange(30)).max() < 0.3
    labels = {round(x): text.get_text() for x, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)}
    assert 10 < len(labels) <= 30
    assert all(names[place] == text for place, text in labels.items())
    assert {text.get_rotation() for text in axes.get_xticklabels()} == {90.0}


def test_levels_stand_at_their_energies_and_scalars_side_by_side():
    artifacts = {
        "p": np.array([0.6, 0.1, 0.01]),
        "exact_p": np.array([0.7, 0.1, 0.02]),
        "energies": np.array([-2.0, 0, 3]),
    }
    numbers = {"heat": 1.0, "exact_heat": 2.0, "field": -1.0, "exact_field": -0.5, "lonely": 1.0}
    artifacts |= {name: np.asarray(value) for name, value in numbers.items()}
    labels = {"energies": Artifact(None, ("level",), {}, "J", "energy")}
    panels = (Panel("levels", "p", against="energies"),)
    _, levels, scalars = draw_run(stored({"loss": np.ones(3)}, artifacts=artifacts, labels=labels, panels=panels)).axes
    assert (levels.get_xlabel(), levels.get_yscale()) == ("energy (J)", "log")
    for line, name in zip(levels.lines, ("exact_p", "p"), strict=True):
        np.testing.assert_array_equal(line.get_xydata().T, [artifacts["energies"], artifacts[name]])
    assert [text.get_text() for text in scalars.get_yticklabels()] == ["heat", "field"]
    np.testing.assert_array_equal([line.get_xdata() for line in scalars.lines[:2]], [[2.0, -0.5], [1.0, -1.0]])
    del artifacts["energies"]
    levels = draw_run(stored({"loss": np.ones(3)}, artifacts=artifacts, panels=panels)).axes[1]
    assert levels.lines[0].get_xdata().tolist() == [1, 2, 3]


def test_a_small_matrix_says_its_numbers():
    counts = np.array([[5, 0, 1], [0, 7, 0], [2, 0, 3]])
    label = Artifact(None, ("true_class", "predicted_class"), {"true_class": tuple("abc")}, "items")
    more = {
        "artifacts": {"confusion": counts},
        "labels": {"confusion": label},
        "panels": (Panel("matrix", "confusion"),),
    }
    axes = draw_run(stored({"loss": np.ones(3)}, **more)).axes[1]
    assert {text.get_position()[::-1]: text.get_text() for text in axes.texts} == {
        place: str(value) for place, value in np.ndenumerate(counts) if value
    }
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == (
        "predicted class",
        "true class",
        "confusion (items)",
    )
    assert [text.get_text() for text in axes.get_yticklabels()] == list("abc")


def test_marks_of_thresholds_stand_on_their_curve():
    rng = np.random.default_rng(1)
    losses = np.exp(-0.4 * np.arange(21) + rng.normal(scale=0.3, size=(4, 21)))
    figure = draw_comparison([Line(stored({"loss": losses}, 4), "", name, None, "optimizer") for name in ("", "b")])
    axes = figure.axes[0]
    curve = next(line for line in axes.lines if len(line.get_xdata()) == 21)
    x, y = curve.get_data()
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1 and line.get_marker() == style.MARKS[0]]
    wanted = [np.median((losses < level).argmax(axis=1)) for level in (1e-1, 1e-2, 1e-3)]
    assert [mark.get_xdata()[0] for mark in marks] == wanted
    for mark in marks:
        assert np.log(mark.get_ydata()[0]) == pytest.approx(np.interp(mark.get_xdata()[0], x, np.log(y)))
    assert "optimizer:" in [text.get_text() for text in figure.legends[0].get_texts()]
    without = draw_comparison([Line(stored({"loss": losses}, 4), "", "a", None)], thresholds=())
    ends = [line.get_xdata()[0] for line in without.axes[0].lines if len(line.get_xdata()) == 1]
    assert ends == [20]


def test_powers_along_an_axis_are_shown_as_powers(tmp_path):
    found = stored({"loss": np.geomspace(1.0, 1e-9, 5)})
    found.spent["train"] = 1e-3
    figure = draw_comparison([Line(found, "", "", None)], tmp_path / "a.png")
    labels = [text for axis in (figure.axes[2].xaxis, figure.axes[0].yaxis) for text in axis.get_ticklabels()]
    powers = [text for text in labels if "10^" in text.get_text()]
    assert len(powers) > 4
    assert all(text.get_parse_math() for text in powers)
    assert any(text.get_text() == r"$\mathdefault{0}$" for text in labels)


def test_many_values_of_a_ladder_stand_below_each_other():
    lines = [Line(stored({"loss": np.ones(4)}), f"β = {k}", "", None) for k in range(6)]
    figure = draw_comparison(lines)
    seen = [axes for axes in figure.axes if axes.get_visible()]
    assert len(seen) == 6 * 3
    assert figure.get_figwidth() < 10
    assert sorted(axes.get_title() for axes in seen if axes.get_title()) == [f"β = {k}" for k in range(6)]


def test_a_title_says_what_the_runs_share():
    words = {"task": "gibbs", "hamiltonian": "some/where/$chain_1$.txt", "n": 4, "model": "qhbm", "seed": 2}
    runs = [stored({"loss": np.ones(2)}, 3, spec=words | {"beta": beta}) for beta in (0.5, 1.0)]
    assert titles.headline(runs[:1]) == ["gibbs", "$chain_1$.txt", "n = 4", "β = 0.5", "qhbm", "seeds 2–4"]
    assert "β = 0.5" not in titles.headline(runs)
    assert titles.headline([stored({"loss": np.ones(2)})]) == ["test", "seed 3"]
    hot = stored({"loss": np.ones(2)}, spec=words | {"beta": 0.0, "shots": None})
    assert titles.headline([hot])[2:] == ["n = 4", "β = 0", "qhbm", "seed 2"]
    figure = Figure(figsize=(2.0, 2.0))
    style.put_title(figure, titles.headline(runs))
    assert figure.get_suptitle().replace("\n", " · ") == " · ".join(titles.headline(runs))
    assert "\n" in figure.get_suptitle()


@pytest.mark.slow
def test_figures_are_saved_in_the_format_of_their_name(quadratic, tmp_path):
    found = run(quadratic(), with_rate(SGD, 0.1), steps=2, seed=0, out=tmp_path / "r", formats=("pdf", "svg"))
    assert sorted(path.name for path in (tmp_path / "r").glob("figure.*")) == ["figure.pdf", "figure.svg"]
    for kind, magic in MAGIC.items():
        figure = draw_run(found, tmp_path / f"a.{kind}")
        assert isinstance(figure, Figure)
        draw_run(found, tmp_path / f"b.{kind}")
        assert (tmp_path / f"a.{kind}").read_bytes().startswith(magic)
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    # what stood there in another format would show the shorter run
    before = (tmp_path / "r" / "figure.svg").read_bytes()
    run(quadratic(), with_rate(SGD, 0.1), steps=4, seed=0, out=tmp_path / "r", resume=True)
    assert (tmp_path / "r" / "figure.png").exists()
    assert (tmp_path / "r" / "figure.svg").read_bytes() != before
    run(quadratic(), with_rate(SGD, 0.1), steps=4, seed=1, out=tmp_path / "r", force=True)
    assert [path.name for path in (tmp_path / "r").glob("figure.*")] == ["figure.png"]
    with pytest.raises(ValueError, match="formats has 'gif'; choose among png, pdf, svg"):
        run(quadratic(), with_rate(SGD, 0.1), steps=1, seed=0, out=tmp_path / "q", formats=("gif",))
    assert not (tmp_path / "q").exists()


def test_a_cloud_lies_under_its_ellipses():
    points = np.random.default_rng(0).normal(size=(20, 2))
    ellipses = np.array([[[1.0, 2.0, 0.0], [-1.0, 1.0, 0.5]], [[0.0, 1.0, 0.0], [3.0, 0.0, 1.0]]])
    more = {
        "artifacts": {"rows": points, "ellipses": ellipses, "lonely": points},
        "labels": {
            "rows": Artifact(None, ("row", "axis"), {"axis": ("height", "weight")}),
            "ellipses": Artifact(None, ("component", "axis", "corner"), {"component": (4, 5)}),
        },
        "panels": (Panel("cloud", "rows", against="ellipses"), Panel("cloud", "lonely", against="nowhere")),
    }
    _, axes = draw_run(stored({"loss": np.ones(3)}, **more)).axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("height", "weight", "rows")
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), points)
    assert {text.get_text(): text.get_position() for text in axes.texts} == {"4": (1.0, -1.0), "5": (0.0, 3.0)}
    for (ellipse, radius), line in zip(itertools.product(ellipses, (1, 2)), axes.lines[1:], strict=True):
        moved = np.linalg.solve(ellipse[:, 1:], line.get_xydata().T - ellipse[:, :1])
        np.testing.assert_allclose(np.linalg.norm(moved, axis=0), radius)


def test_long_names_below_a_matrix_stand_upright():
    def axis(name, size=4):
        label = Artifact(None, ("row", "column"), {"column": (name, *"bcdef")[:size]})
        more = {"artifacts": {"m": np.eye(size)}, "labels": {"m": label}, "panels": (Panel("matrix", "m"),)}
        return draw_run(stored({"loss": np.ones(3)}, **more)).axes[1]

    for name, angle in (("short", 0.0), ("a name of many letters", 90.0)):
        assert {text.get_rotation() for text in axis(name).get_xticklabels()} == {angle}
        assert len(axis(name).texts) == 4  # the ones, which are written as there is room
    assert not axis("a name of many letters", 5).texts
