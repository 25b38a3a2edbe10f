"""What a run took to get below a threshold."""

import numpy as np
import pytest

from qnat.experiment import Measure, Run
from qnat.experiment.show.cost import Spread, costs, decades, label_of, main_curve, prices, spread

NAN, INF = np.nan, np.inf
DISTANCE = (Measure("distance", "yards", exact=True),)


@pytest.fixture
def recorded():
    """Makes a run of these curves that took 6 seconds, judged by its distance; drops say what a step took."""

    def make(measures=DISTANCE, **curves):
        arrays = {name: np.atleast_2d(np.asarray(rows, float)) for name, rows in curves.items()}
        arrays.setdefault("loss", next(iter(arrays.values())))
        steps = arrays["loss"].shape[1] - 1
        spent = {"train": 6.0, "compile": 1.0}
        about = {"measures": measures, "costs": ("drops", "never recorded")}
        return Run(None, {"task": "t"}, arrays, None, {}, {}, {}, "finished", steps, spent, **about)

    return make


def test_a_gradient_evaluation_is_one_of_the_loss_or_one_of_the_geometry(recorded):
    plain = costs(recorded(loss=[4, 3, 2, 1]))
    assert plain["steps"].tolist() == plain["gradient_evaluations"].tolist() == [[0, 1, 2, 3]]
    assert list(plain) == ["steps", "gradient_evaluations", "seconds"]
    natural = costs(recorded(loss=[4, 3, 2, 1], model_gradients=[10, 20, 0, NAN]))
    assert natural["gradient_evaluations"].tolist() == [[0, 11, 32, 33]]


def test_costs_of_the_task_are_summed_and_a_step_without_a_record_took_what_the_one_before_took(recorded):
    run = recorded(loss=np.zeros((2, 5)), drops=[[100, NAN, 200, NAN, NAN], [1, 1, 1, 1, 1]])
    assert costs(run)["drops"].tolist() == [[0, 100, 200, 400, 600], [0, 1, 2, 3, 4]]


def test_seconds_are_those_of_one_seed(recorded):
    assert costs(recorded(loss=np.zeros((3, 5))))["seconds"].tolist() == [[0, 0.5, 1, 1.5, 2]] * 3
    assert costs(recorded(loss=[[1.0]]))["seconds"].tolist() == [[0]]


def test_a_price_is_paid_at_the_first_recorded_row_below(recorded):
    run = recorded(distance=[[1, NAN, 0.01, 0.5], [1, 1, 1, 0.1], [0.05, 1, 1, 1]], drops=np.full((3, 4), 7))
    found = prices(run, 0.1)
    assert found["steps"].tolist() == [2, INF, 0]  # below, not at
    assert found["drops"].tolist() == [14, INF, 0]
    assert found["seconds"].tolist() == pytest.approx([4 / 3, INF, 0])
    assert decades(run) == (0.1, 0.01, 0.001)
    assert decades(recorded(loss=[1, 2])) == ()


def test_the_first_measure_that_was_recorded_judges_and_the_loss_where_none_was(recorded):
    several = (Measure("distance", "yards", exact=True), Measure("score", better="higher"))
    run = recorded(several, loss=[3, 2, 1], score=[0.1, NAN, 0.4])
    judge, curve = main_curve(run)
    assert (judge.name, label_of(judge), decades(run)) == ("score", "score", ())
    assert curve[0, 2] == 0.4
    assert prices(run, 0.3)["steps"].tolist() == [2]  # above, because higher is better
    both = recorded(several, loss=[3, 2], distance=[2, 1], score=[0, 1])
    assert label_of(main_curve(both)[0]) == "distance (yards)"
    for unknown in ((), None):  # of a task without measures, and of a folder that does not say
        assert main_curve(recorded(unknown, loss=[3, 2], distance=[2, 1]))[0] == Measure("loss")


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([3, 1, 2], Spread(2, 1, 3)),
        ([3, 1, INF], Spread(3, 1, 3)),
        ([INF, 1, INF], Spread(None, 1, 1)),
        ([1, 2, INF, INF], Spread(None, 1, 2)),
        ([INF, INF], Spread(None, None, None)),
    ],
)
def test_a_seed_that_never_gets_there_counts_as_infinite(values, wanted):
    assert spread(np.asarray(values, float)) == wanted
