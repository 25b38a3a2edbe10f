"""A run ends when it is good enough, says how it ended, and is followed from outside."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qnat.experiment import Measure, NonFiniteError, Run, Task, run
from qnat.experiment.show.report import print_run
from qnat.experiment.show.verdict import verdict
from qnat.experiment.trend import settled, slope

RNG = np.random.default_rng(0)


class Descent(Task):
    """½|x|², whose distance from the goal is recorded where it is `measured`."""

    name = "descent"
    measures = (Measure("test_loss"), Measure("distance", "nats", exact=True))
    measured: bool = True

    def init(self, key):
        return jax.random.uniform(key, (2,), minval=1.0, maxval=2.0)

    def value_and_grad(self, params, batch=None, key=None):
        return jax.value_and_grad(lambda x: 0.5 * jnp.sum(x**2))(params)

    def evaluate(self, params):
        return {"distance": jnp.linalg.norm(params)} if self.measured else {}


SGD = optax.sgd(0.1)


def same(one: Run, other: Run) -> None:
    np.testing.assert_array_equal(one.params, other.params)
    for name in one.curves.keys() | other.curves.keys():
        np.testing.assert_array_equal(one.curves[name], other.curves[name])


@pytest.mark.parametrize("seeds", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_the_first_row_whose_exact_measure_is_below_the_tolerance_is_the_last(seeds, tmp_path):
    whole = run(Descent(), SGD, steps=100, seed=0, seeds=seeds)
    found = run(Descent(), SGD, steps=100, seed=0, seeds=seeds, tolerance=1e-2, out=tmp_path)
    first = int(np.argmax((whole.curves["distance"] < 1e-2).all(axis=0)))
    assert 0 < found.steps == first < 100
    same(found, run(Descent(), SGD, steps=first, seed=0, seeds=seeds))
    worst = whole.curves["distance"][:, first].max()
    assert verdict(found) == f"Stopped at step {first}: distance {worst:.2g} nats is below 0.01."
    # a run that has finished early has finished
    before = (tmp_path / "result.nc").stat().st_mtime_ns
    again = run(Descent(), SGD, steps=100, seed=0, seeds=seeds, tolerance=1e-2, out=tmp_path, resume=True)
    assert (again.steps, again.status) == (first, "finished")
    assert (tmp_path / "result.nc").stat().st_mtime_ns == before
    assert json.loads((tmp_path / "run.json").read_text())["spec"]["tolerance"] == 1e-2
    assert verdict(again) == verdict(found)


class Estimated(Descent):
    """The same with an error of the distance."""

    def evaluate(self, params):
        return super().evaluate(params) | {"distance_error": jnp.asarray(0.02)}


def test_an_estimate_is_below_the_tolerance_with_two_errors():
    whole = run(Descent(), SGD, steps=100, seed=0)
    found = run(Estimated(), SGD, steps=100, seed=0, tolerance=0.1)
    assert found.steps == int(np.argmax(whole.curves["distance"][0] < 0.06))
    assert verdict(found).endswith("nats is below 0.1.")
    assert verdict(run(Estimated(), SGD, steps=100, seed=0, tolerance=0.03)).startswith("Not within the tolerance 0.03")


def test_a_measure_that_is_seldom_recorded_ends_a_run_where_it_is():
    assert run(Descent(), SGD, steps=100, seed=0, every=7, tolerance=1e-2).steps % 7 == 0


def test_without_an_exact_measure_the_slope_of_the_loss_ends_it(paced, stops, tmp_path):
    task = Descent(measured=False)
    found = run(task, SGD, steps=2000, seed=0, tolerance=1e-6)
    assert 40 <= found.steps < 2000
    losses = found.curves["loss"]
    last = settled(losses, found.steps)
    assert abs(last.value[0]) + 2 * last.error[0] < 1e-6
    judged = [settled(losses, step) for step in range(found.steps)]
    assert all(abs(one.value[0]) + 2 * one.error[0] >= 1e-6 for one in judged if one is not None)
    assert verdict(found).startswith(f"Stopped at step {found.steps}: the loss changes by -")
    assert verdict(found).endswith("a step, within ±1e-06.")
    # chunks, and a process that dies in between, change nothing
    paced(7)

    options = {"steps": 2000, "seed": 0, "tolerance": 1e-6, "out": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        run(task, SGD, **options, callbacks=[stops(3)])
    same(run(task, SGD, **options, resume=True), found)


@pytest.mark.parametrize("tolerance", [0, -1.0, float("nan"), float("inf"), "1e-3"])
def test_a_tolerance_is_a_number_above_zero(tolerance):
    with pytest.raises(ValueError, match="it must be a finite number greater than 0"):
        run(Descent(), SGD, steps=1, seed=0, tolerance=tolerance)


def test_a_slope_is_that_of_a_line_with_an_honest_error():
    steps = np.arange(200.0)
    line = slope((3.0 - 0.25 * steps)[None], steps)
    np.testing.assert_allclose(line.value, -0.25, rtol=1e-12)
    assert line.error[0] < 1e-14
    noise = RNG.normal(size=(2000, 200))
    found = slope(0.01 * steps + noise, steps)
    score = (found.value - 0.01) / found.error
    # Student's t with 8 degrees of freedom: 92 % within two standard errors, three binomial ones either way
    assert abs(np.mean(np.abs(score) < 2) - 0.9195) < 3 * np.sqrt(0.92 * 0.08 / 2000)
    assert np.std(found.value) < 2 * np.sqrt(12 / 200**3)  # and not far from the best of all
    spoiled = 0.01 * steps + 1e9 * (steps % 50 == 7)
    np.testing.assert_allclose(slope(spoiled[None], steps).value, 0.01, rtol=0.1)


def test_noise_is_not_taken_for_rest():
    steps = np.arange(1001)
    falling = -1e-3 * steps + RNG.normal(size=(200, 1001))
    ends = [np.abs(found.value) + 2 * found.error for step in steps if (found := settled(falling, step)) is not None]
    assert np.mean(np.min(ends, axis=0) < 2e-4) < 0.1  # the slope is five times that
    assert np.mean(ends[-1] < 4e-3) > 0.95  # and four times the slope is seen to hold


def made(loss, *, measure=None, steps=None, every=1, **more) -> Run:
    """A run with such curves, of which a measure judges if it is given."""
    loss = np.atleast_2d(loss)
    curves = {"loss": loss} | ({} if measure is None else {"gap": np.atleast_2d(measure)}) | more.pop("curves", {})
    for curve in curves.values():
        curve[:, [k for k in range(loss.shape[1]) if k % every]] = np.nan if every > 1 else 0
    count = loss.shape[1] - 1
    return Run(
        path=None,
        spec={"task": "made", "steps": count if steps is None else steps, "seed": 0, **more},
        curves=curves,
        params=None,
        artifacts={},
        final={name: float(curve[0, -1]) for name, curve in curves.items()},
        reference={},
        status="finished",
        steps=count,
        spent=dict.fromkeys(("compile", "train", "write", "draw"), 0.0),
        measures=() if measure is None else (Measure("gap", "nats", exact=True),),
    )


T = np.arange(101.0)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (made(T * 0, measure=np.exp(-T / 40)), r"Not converged: gap 0\.082 nats still falls by 0\.002\d ± .* more --s"),
        (made(T * 0, measure=0.1 + 1e-3 * T), r"Not converged: gap 0\.2 nats still rises by 0\.001 ± .* another --opt"),
        (made(T * 0, measure=1e-3 * (2 + (-1) ** T), learning_rate=1.0), r"swings between 0\.001 and 0\.003 over"),
        (made(T * 0, measure=1e-3 * (2 + (-1) ** T), shots=9), r"try more --shots or another --optimizer\."),
        (made(10 - T / 20), r"Not converged: loss 5 still falls by 0\.05 ± "),
        (made(10 - T / 20, tolerance=1e-3), r"Not within the tolerance 0\.001 after 100 steps: loss 5 still falls"),
        (made(T * 0, measure=1e-3 + T * 0, tolerance=1e-6), r"^Not within the tolerance 1e-06 after 100 steps\.$"),
        (made(np.ones(101), curves={"accepted": np.zeros((1, 101))}), r"None of the 100 steps was accepted; try"),
        (made(40 + 5e4 * (T > 3) + RNG.normal(size=101)), r"loss 5e\+04 is worse than the 4\d of the start; try"),
        (made(10.0 ** (2 * T), every=15), r"loss 1e\+180 is worse than the 1 of the start; try"),  # diverges, few rows
        (made(T * 0, steps=300), r"^Ended after 100 of 300 steps\.$"),
        (made(np.stack([T * 0, T * 0]), measure=np.stack([T * 0, np.exp(-T / 40)])), r"nats of seed 1 still falls"),
    ],
)  # fmt: skip
def test_a_run_that_did_not_converge_says_so(found, wanted, capsys):
    assert re.search(wanted, verdict(found))
    print_run(found, "")
    assert verdict(found) in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "found",
    [
        made(T * 0, measure=np.exp(-T / 5)),  # far below what anybody asks for
        made(T * 0, measure=np.exp(-T / 40), tolerance=0.5),  # below what was asked for
        made(T * 0, measure=0.3 + np.exp(-T / 5)),  # rests at what the model can do
        made(1.0 + np.exp(-T / 5), curves={"accepted": (T < 50)[None].astype(float)}),  # rejects at its minimum
        made(20 + 24 / (1 + T / 10) + 0.3 * RNG.normal(size=101)),  # levels off
        made(RNG.normal(size=101)),
        made(1.0 + 1e-3 * RNG.random(size=101) * (T > 0)),  # started where it rests
        made(10 - T / 20, every=50),  # too few rows to tell
        made(np.ones(1)),
    ],
)
def test_a_run_that_is_well_says_nothing(found):
    assert verdict(found) is None


class Listener:
    """Writes down what it hears, and may raise."""

    def __init__(self, fails_at: str = "") -> None:
        self.rows, self.heard, self.fails_at = [], [], fails_at

    def started(self, record, task, step):
        self.heard.append(("started", record["task"], task.name, step))
        self._fail("started")

    def recorded(self, rows):
        self.rows += [dict(row) for row in rows]
        self.heard.append("recorded")
        if len(self.rows) > 20:
            self._fail("recorded")

    def ended(self, run):
        self.heard.append(("ended", None if run is None else run.steps))
        self._fail("ended")

    def _fail(self, where):
        if self.fails_at == where:
            raise ZeroDivisionError(where)


@pytest.mark.parametrize("seeds", [1, 2])
def test_callbacks_hear_what_the_log_says_chunk_by_chunk(seeds, paced, tmp_path):
    paced(10)
    listener = Listener()
    found = run(Descent(), SGD, steps=35, seed=0, seeds=seeds, callbacks=[listener], out=tmp_path)
    assert listener.rows == [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert listener.heard == [("started", "descent", "descent", 0), *["recorded"] * 4, ("ended", 35)]
    same(found, run(Descent(), SGD, steps=35, seed=0, seeds=seeds))
    silent = Listener()
    run(Descent(), SGD, steps=35, seed=0, seeds=seeds, callbacks=[silent], out=tmp_path, resume=True)
    assert not silent.heard  # nothing ran


@pytest.mark.parametrize("fails_at", ["started", "recorded"])
@pytest.mark.parametrize("steps", [60, 24])  # in the middle, and with the last row
def test_a_callback_that_raises_leaves_a_folder_that_resumes(fails_at, steps, paced, tmp_path, monkeypatch):
    paced(12)
    monkeypatch.setattr("qnat.experiment.loop.iterate.CHECKPOINT_SECONDS", 1e9)  # no checkpoint but the one at the end
    listener, other = Listener(fails_at), Listener()
    options = {"steps": steps, "seed": 0, "out": tmp_path}
    with pytest.raises(ZeroDivisionError, match=fails_at):
        run(Descent(), SGD, **options, callbacks=[listener, other])
    assert listener.heard[-1] == ("ended", None)
    assert other.heard[-1:] == ([("ended", None)] if fails_at == "recorded" else [])
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "interrupted"
    again = Listener()
    found = run(Descent(), SGD, **options, resume=True, callbacks=[again])
    assert again.heard[0][-1] == (0 if fails_at == "started" else 24)
    same(found, run(Descent(), SGD, steps=steps, seed=0))
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
        *range(steps + 1)
    ]


def test_an_end_that_raises_loses_nothing(tmp_path):
    listener, other = Listener(), Listener("ended")
    with pytest.raises(ZeroDivisionError):
        run(Descent(), SGD, steps=3, seed=0, out=tmp_path, callbacks=[listener, other])
    assert listener.heard[-1] == ("ended", 3)
    assert Run.load(tmp_path).steps == 3


def test_callbacks_hear_of_a_failure():
    listener = Listener()
    with pytest.raises(NonFiniteError):
        run(Descent(), optax.sgd(1e200), steps=20, seed=0, callbacks=[listener])
    assert listener.heard[-1] == ("ended", None)


def test_nothing_changes_without_a_tolerance():
    assert "tolerance" not in run(Descent(), SGD, steps=1, seed=0).spec
    assert dataclasses.asdict(run(Descent(), SGD, steps=100, seed=0))["steps"] == 100
