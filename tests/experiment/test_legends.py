"""Legends list what is drawn, and nothing else."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import same_color
from matplotlib.patches import Patch

from qnat.experiment import Measure, Panel, Run
from qnat.experiment.show import style
from qnat.experiment.show.comparison import draw_comparison
from qnat.experiment.show.figure import draw_run
from qnat.experiment.show.ladder import draw_ladder
from qnat.experiment.show.lines import Entry, Line
from qnat.experiment.show.sequence import draw_sequence

FALLING = np.geomspace(1.0, 1e-4, 9)
SLOW = np.geomspace(1.0, 0.02, 9)
UNKNOWN = np.full(9, np.nan)
GAP, OTHER = Measure("gap", exact=True), Measure("other", exact=True)


def stored(gap, seeds=1, **more):
    """A run with this curve for every seed, and further curves and artifacts."""
    curves = {"loss": np.ones(9), "gap": gap} | more.pop("curves", {})
    known = {"spec": {"task": "test", "seed": 3}, "artifacts": {}, "measures": (GAP, OTHER)} | more
    return Run(
        path=None,
        curves={name: np.tile(curve, (seeds, 1)) for name, curve in curves.items()},
        params={},
        final={},
        reference={},
        status="finished",
        steps=8,
        spent=dict.fromkeys(("compile", "train", "write", "draw"), 0.1),
        **known,
    )


def words(figure):
    legends = [legend for legend in (*figure.legends, *(axes.get_legend() for axes in figure.axes)) if legend]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def known(artist):
    return np.isfinite(np.asarray(artist.get_xydata(), float)).all(axis=1).any()


def has_ends(lines):
    return any(np.ptp(np.asarray(segment), axis=0).any() for segment in lines.get_segments())


def unlisted(figure):
    """The legends' entries of which no mark, no line or no area is drawn; grey ones stand for every colour."""
    panels = [axes for axes in figure.axes if axes.get_visible()]
    drawn = [line for axes in panels for line in axes.lines if known(line)]
    areas = [each for axes in panels for each in axes.collections]

    def found(handle, look):
        wanted = look(handle)
        grey = same_color(handle.get_color(), style.GREY)
        return any(
            look(line) == wanted and (grey or same_color(line.get_color(), handle.get_color())) for line in drawn
        )

    def missing(handle):
        if isinstance(handle, Patch):
            return not any(isinstance(each, PolyCollection) for each in areas)
        if handle.get_marker() == "|":
            return not any(isinstance(each, LineCollection) and has_ends(each) for each in areas)
        looks = []
        if handle.get_linestyle() != "None":
            looks.append(lambda line: (line.get_linestyle() != "None", line._dash_pattern[1]))
        if handle.get_marker() not in ("None", "", None):
            looks.append(lambda line: line.get_marker())
        return not all(found(handle, look) for look in looks)

    legends = [*figure.legends, *(axes.get_legend() for axes in panels if axes.get_legend())]
    return [handle.get_label() for legend in legends for handle in legend.legend_handles if missing(handle)]


def line(gap, series, start=None, **more):
    return Line(stored(gap, **more), "", series, start, "optimizer")


ALL = "median first below 0.1, 0.01, 0.001"
COMPARISONS = {
    "all of it": (
        [line(FALLING, "a", seeds=3), line(SLOW, "b", "plain"), line(FALLING, "b", "scaled")],
        {"optimizer:", "a", "b", "cold or scaled start", "plain warm start", ALL, "range over seeds"},
    ),
    "thresholds that none reaches": (
        [line(SLOW, "a"), line(SLOW + 0.3, "b")],
        {"optimizer:", "a", "b", "median first below 0.1"},
    ),
    "no threshold reached": ([line(SLOW + 0.2, "a"), line(SLOW + 0.3, "b")], {"optimizer:", "a", "b"}),
    "all plain": (
        [line(FALLING, "a", "plain"), line(SLOW, "b", "plain")],
        {"optimizer:", "a", "b", "plain warm start", ALL},
    ),
    "a series without a curve": (
        [line(UNKNOWN, "a", "plain", seeds=2), line(FALLING, "b")],
        {"optimizer:", "b", ALL},
    ),
    "nothing": ([line(UNKNOWN, "a"), line(UNKNOWN, "b")], set()),
}


@pytest.mark.parametrize("case", COMPARISONS)
def test_a_comparison_lists_what_is_drawn(case):
    lines, wanted = COMPARISONS[case]
    figure = draw_comparison(lines)
    assert unlisted(figure) == []
    assert len(words(figure)) == len(wanted)
    assert set(words(figure)) == wanted


def test_a_series_without_marks_is_listed_without_one():
    figure = draw_comparison([line(FALLING, "a"), line(SLOW + 0.2, "b")])
    marks = {handle.get_label(): handle.get_marker() for handle in figure.legends[0].legend_handles}
    assert (marks["a"], marks["b"]) == (style.MARKS[0], "")


def on_ladder(value, series, start, names):
    arrays = {"heat": np.asarray(value), "overlaps": np.eye(3) * value}
    artifacts = {prefix + name: arrays[name] for name in names for prefix in ("", "exact_")}
    spec = {"task": "test", "beta": value}
    labels = {"beta": value, "optimizer": series}
    panels = (Panel("matrix", "overlaps"),)
    return Entry(stored(FALLING, artifacts=artifacts, spec=spec, panels=panels), labels, start)


@pytest.mark.parametrize(
    ("starts", "names", "wanted"),
    [
        ({"a": None, "b": "scaled"}, ("heat", "overlaps"), ["exact", "optimizer:", "a", "b"]),
        ({"a": None, "b": "plain"}, ("heat", "overlaps"), ["exact", "optimizer:", "a", "b", "plain warm start"]),
        ({"a": None, "b": "plain"}, ("overlaps",), ["exact", "trained, every seed", "plain warm start"]),
        ({"a": "plain", "b": "plain"}, ("heat",), ["exact", "optimizer:", "a", "b", "plain warm start"]),
        ({"a": "plain", "b": "plain"}, ("overlaps",), ["exact", "plain warm start"]),
    ],
)
def test_a_ladder_lists_what_is_drawn(starts, names, wanted):
    entries = [on_ladder(value, one, start, names) for one, start in starts.items() for value in (1.0, 2.0)]
    figure = draw_ladder(entries, "beta")
    assert unlisted(figure) == []
    assert sorted(words(figure)) == sorted(wanted)


@pytest.mark.parametrize(
    ("errors", "exact", "wanted"),
    [
        ([0.1, np.inf, 0.0], [1.0, 2.0, 3.0], ["exact", "trained", "standard error"]),
        ([0.0, np.inf, 0.0], [1.0, 2.0, 3.0], ["exact", "trained"]),
        ([np.nan] * 3, [np.nan] * 3, ["trained"]),
    ],
)
def test_points_list_what_is_drawn(errors, exact, wanted):
    artifacts = {"x": np.array([1.0, 2.0, 4.0]), "x_error": np.array(errors), "exact_x": np.array(exact)}
    figure = draw_run(stored(FALLING, artifacts=artifacts, panels=(Panel("points", "x"),)))
    assert unlisted(figure) == []
    assert words(figure) == wanted


@pytest.mark.parametrize("several", [1, 3])
@pytest.mark.parametrize(
    ("gap", "other", "wanted"),
    [
        (FALLING, SLOW, ["gap", "other"]),
        (FALLING, UNKNOWN, []),
        (UNKNOWN, SLOW, ["other"]),
        (UNKNOWN, UNKNOWN, []),
    ],
)
def test_curves_of_a_run_list_what_is_drawn(gap, other, wanted, several):
    figure = draw_run(stored(gap, several, curves={"other": other}))
    assert unlisted(figure) == []
    said = [word.removesuffix(", median") for word in words(figure)]
    more = ["3 seeds"] if several == 3 and np.isfinite(gap).any() else []
    assert said == (wanted + more if wanted or not more else ["gap", *more])


def test_a_sequence_lists_what_is_drawn():
    def entries(random, other):
        runs = {"random": random, "previous": FALLING}
        return [
            Entry(stored(gap, curves={"other": other}), {"element": 1, "seed": 0}, start, "first")
            for start, gap in runs.items()
        ]

    starts = ["random start", "start from the previous state"]
    for random, other, wanted in (
        (SLOW, SLOW, [*starts, "other"]),
        (SLOW, UNKNOWN, starts),
        (UNKNOWN, UNKNOWN, starts[1:]),
    ):
        figure = draw_sequence(entries(random, other), "element")
        assert unlisted(figure) == []
        assert sorted(words(figure)) == sorted(wanted)
