"""The training loop: what it records, and that chunks, seeds and paths do not change the numbers."""

import contextlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qnat.experiment import NonFiniteError, Run, Task, run
from qnat.experiment.loop import step as traced
from qnat.experiment.loop.pace import Pace
from qnat.experiment.stopwatch import timed
from qnat.experiment.store import checkpoint

# made once: the compiled loop knows an optax optimiser by its identity
_COMPILE = "/jax/core/compile/backend_compile_duration"
ADAM, SGD = optax.adam(0.1), optax.sgd(0.1)


def test_curves_follow_gradient_descent_by_hand(quadratic):
    task = quadratic(noise=0.0)
    found = run(task, SGD, steps=5, seed=3)
    x = np.asarray(task.init(jax.random.fold_in(jax.random.key(3), 0))["x"])
    path = [x * (1 - 0.1 * np.array([1.0, 2.0, 5.0])) ** k for k in range(6)]
    np.testing.assert_allclose(found.curves["loss"][0], [0.5 * np.sum([1, 2, 5] * y**2) for y in path], rtol=1e-13)
    np.testing.assert_allclose(found.curves["norm"][0], [np.linalg.norm(y) for y in path], rtol=1e-13)
    np.testing.assert_allclose(found.params["x"], path[-1], rtol=1e-13)
    assert found.final["norm"] == found.curves["norm"][0, -1]
    assert found.status == "finished"


def test_evaluations_stand_at_multiples_of_every_and_at_the_end(quadratic):
    found = run(quadratic(), SGD, steps=11, seed=0, every=4)
    assert np.flatnonzero(~np.isnan(found.curves["norm"][0])).tolist() == [0, 4, 8, 11]
    assert not np.isnan(found.curves["loss"]).any()


def test_zero_steps_evaluate_the_start(quadratic):
    found = run(quadratic(), SGD, steps=0, seed=0)
    assert found.curves["loss"].shape == (1, 1)
    assert found.final["norm"] > 0


def test_bits_do_not_depend_on_the_chunk_length(quadratic, paced):
    runs = []
    for length in (1, 7, traced.CAPACITY):
        paced(length)
        runs.append(run(quadratic(), ADAM, steps=60, seed=0, every=3))
    for other in runs[1:]:
        np.testing.assert_array_equal(runs[0].params["x"], other.params["x"])
        for name, curve in runs[0].curves.items():
            np.testing.assert_array_equal(curve, other.curves[name])


def test_every_step_has_noise_of_its_own_by_its_number(quadratic):
    task = quadratic()
    found = run(task, optax.sgd(0.0), steps=5, seed=2)
    key = jax.random.fold_in(jax.random.key(2), 1)  # the stream of the steps
    losses = jax.vmap(lambda step: task.value_and_grad(found.params, None, jax.random.fold_in(key, step))[0])
    np.testing.assert_allclose(found.curves["loss"][0], losses(np.arange(6)), rtol=1e-13)
    assert len(set(found.curves["loss"][0])) == 6


def test_chunks_longer_than_the_buffers(quadratic):
    steps = 2 * traced.CAPACITY + 5
    assert run(quadratic(), SGD, steps=steps, seed=0).curves["loss"].shape == (1, steps + 1)


def test_a_seed_of_many_is_the_run_of_that_seed_alone(quadratic):
    many = run(quadratic(), ADAM, steps=20, seed=4, seeds=3)
    alone = run(quadratic(), ADAM, steps=20, seed=6)
    np.testing.assert_array_equal(many.curves["loss"][2], alone.curves["loss"][0])
    np.testing.assert_array_equal(many.params["x"][2], alone.params["x"])
    assert len(many.final["norm"]) == 3


def test_initial_parameters(quadratic):
    start = {"x": jnp.ones(3)}
    found = run(quadratic(0.0), SGD, steps=1, seed=0, initial=start)
    assert found.curves["loss"][0, 0] == 4.0
    many = {"x": jnp.stack([jnp.ones(3), jnp.zeros(3)])}
    found = run(quadratic(0.0), SGD, steps=1, seed=0, seeds=2, initial=many)
    assert found.curves["loss"][:, 0].tolist() == [4.0, 0.0]


def test_a_ladder_of_tasks_and_rates_compiles_once(quadratic):
    from qnat.optim import with_rate

    plain = optax.with_extra_args_support(optax.identity())
    run(quadratic(0.0), with_rate(plain, 0.1), steps=2, seed=0)
    before = traced.advance._cached._cache_size()
    for noise, rate in ((0.1, 0.2), (0.2, 0.3)):
        run(quadratic(noise), with_rate(plain, rate), steps=3, seed=1)
    assert traced.advance._cached._cache_size() == before


def test_nothing_is_compiled_while_a_run_trains(quadratic, monkeypatch, tmp_path):
    """Or its seconds would depend on what ran before it in the same process."""
    programs, compiled = [], {"train": 0, "write": 0}

    def listen(event, _seconds, **_more):
        programs.append(event)

    @contextlib.contextmanager
    def watched(part, *ledgers):
        before = programs.count(_COMPILE)
        with timed(part, *ledgers):
            yield
        if part in compiled:
            compiled[part] += programs.count(_COMPILE) - before

    monkeypatch.setattr("qnat.experiment.loop.iterate.timed", watched)
    jax.monitoring.register_event_duration_secs_listener(listen)
    task = quadratic(curvature=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0))  # of a shape that nobody has compiled yet
    found = run(task, ADAM, steps=30, seed=0, out=tmp_path / "r")
    jax.monitoring.unregister_event_duration_listener(listen)
    assert programs.count(_COMPILE) > 0
    assert compiled == {"train": 0, "write": 0}
    assert found.seconds == found.spent["train"] > 0
    assert Run.load(tmp_path / "r").spent == found.spent


@pytest.mark.parametrize("name", ["train", "loop"])  # the second is what older checkpoints called it
def test_the_seconds_of_every_process_add_up(quadratic, tmp_path, monkeypatch, name):
    run(quadratic(), SGD, steps=2, seed=0, out=tmp_path)
    found = checkpoint.load(tmp_path)
    before = found._replace(meta=found.meta | {"seconds": {name: 1000.0}})
    monkeypatch.setattr("qnat.experiment.store.folder.checkpoint.load", lambda _: before)
    assert run(quadratic(), SGD, steps=4, seed=0, out=tmp_path, resume=True).seconds > 1000


class _Regression(Task):
    name = "regression"
    outside: bool

    @property
    def traceable(self):
        return not self.outside

    def init(self, key):
        return jax.random.normal(key, (2,))

    def batches(self, key, start=0):
        return (jax.random.normal(jax.random.fold_in(key, i), (4, 2)) for i in itertools.count(start))

    def value_and_grad(self, params, batch=None, key=None):
        return jax.value_and_grad(lambda w: jnp.mean((batch @ (w - 1.0)) ** 2))(params)

    def evaluate(self, params):
        return {"error": jnp.linalg.norm(params - 1.0)}

    def artifacts(self, params):
        return {"weights": params}


@pytest.mark.parametrize("outside", [False, True])
def test_steps_with_batches_resume_in_and_outside_of_jax(outside, tmp_path, paced):
    task = _Regression(outside)
    whole = run(task, SGD, steps=40, seed=0, seeds=2, every=5)
    assert max(whole.final["error"]) < 0.1
    assert np.isnan(whole.curves["error"][:, 1:5]).all()
    paced(8)
    run(task, SGD, steps=24, seed=0, seeds=2, every=5, out=tmp_path / "r")
    more = run(task, SGD, steps=40, seed=0, seeds=2, every=5, out=tmp_path / "r", resume=True)
    np.testing.assert_array_equal(more.curves["loss"], whole.curves["loss"])
    np.testing.assert_array_equal(more.artifacts["weights"], whole.artifacts["weights"])


class _Cliff(Task):
    """Falls to NaN after a known number of unit steps."""

    name = "cliff"

    def init(self, key):
        return jnp.zeros(())

    def value_and_grad(self, params, batch=None, key=None):
        return jnp.where(params > 9.5, jnp.nan, -params), -jnp.ones(())


def test_a_non_finite_loss_stops_and_leaves_a_folder_that_resumes(tmp_path, paced):
    paced(4)
    with pytest.raises(NonFiniteError, match=r"The loss is nan at step 10;.*learning rate"):
        run(_Cliff(), optax.sgd(1.0), steps=30, seed=0, out=tmp_path / "r")
    with np.load(tmp_path / "r" / "checkpoint.npz") as file:
        assert float(file["leaf_00000"][0]) == 8.0  # the start of the chunk that failed
    assert '"failed"' in (tmp_path / "r" / "run.json").read_text()
    with pytest.raises(NonFiniteError, match="step 10"):
        run(_Cliff(), optax.sgd(1.0), steps=30, seed=0, out=tmp_path / "r", resume=True)


def test_ctrl_c_stops_between_chunks_and_resumes(quadratic, tmp_path, paced, monkeypatch):
    import signal

    whole = run(quadratic(), ADAM, steps=30, seed=0)
    paced(5)
    advance, calls = traced.advance, itertools.count()

    def interrupted(*arguments, **options):
        if next(calls) == 3:  # the third chunk; the first call compiles
            signal.raise_signal(signal.SIGINT)
        return advance(*arguments, **options)

    monkeypatch.setattr(traced, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt, match="Stopped at step 15 of 30"):
        run(quadratic(), ADAM, steps=30, seed=0, out=tmp_path / "r")
    assert '"interrupted"' in (tmp_path / "r" / "run.json").read_text()
    monkeypatch.setattr(traced, "advance", advance)
    resumed = run(quadratic(), ADAM, steps=30, seed=0, out=tmp_path / "r", resume=True)
    np.testing.assert_array_equal(resumed.params["x"], whole.params["x"])
    np.testing.assert_array_equal(resumed.curves["loss"], whole.curves["loss"])


def test_curves_that_share_a_name_are_refused(quadratic):
    class Twice(type(quadratic())):
        def evaluate(self, params):
            return {"loss": jnp.zeros(())}

    with pytest.raises(ValueError, match="Two curves are called 'loss'"):
        run(Twice(jnp.ones(3), jnp.zeros(())), SGD, steps=1, seed=0)


@pytest.mark.parametrize(("name", "value"), [("steps", -1), ("seed", -1), ("seeds", 0), ("every", 0)])
def test_numbers_out_of_range_are_refused(quadratic, name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        run(quadratic(), SGD, **({"steps": 1, "seed": 0} | {name: value}))


def test_repr_names_task_place_and_loss(quadratic):
    assert "quadratic in memory: 2 steps" in repr(run(quadratic(), SGD, steps=2, seed=0))
    assert Run.__repr__ is not object.__repr__


def test_chunks_grow_to_the_target_and_end_at_multiples_of_every():
    pace = Pace(every=10, capacity=1000)
    assert pace.length(0, 500) == 1
    lengths, first = [], 0
    for _ in range(8):
        count = pace.length(first, 10**6)
        lengths.append(count)
        first += count
        pace.measured(count, 0.001 * count)  # a millisecond a step: 500 a chunk
    assert lengths[-1] == 500
    assert first % 10 == 0
    assert pace.length(first, 3) == 3


def test_every_public_name_loads_and_no_module_hides_a_function():
    import qnat.experiment.sweep as _  # imports most of the room
    from qnat import experiment

    for name in experiment.__all__:
        assert callable(getattr(experiment, name))
    assert dir(experiment) == sorted(experiment.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        _ = experiment.train
