"""Whatever iterates runs, is stopped and resumed in the same bits, keeps draws and may end early."""

import functools
import itertools
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array

from classical.methods.entropy_sgd import entropy_sgd
from classical.models.mixture import Mixture
from classical.tasks.density import DensitySpec
from qnat.experiment import Keep, RefusedError, Run, Task, run
from qnat.experiment.loop import in_python
from qnat.experiment.loop import step as traced
from qnat.geometry.families import Gaussian
from qnat.inference import Info, Process, em, langevin

STEPS = 30


class Clusters(Task):
    """Two clouds of points, and a mixture of two Gaussians of them."""

    name = "clusters"
    model: Mixture
    x: Array
    size: int  # of a batch; 0 feeds none

    def __init__(self, size: int = 0) -> None:
        x = np.random.default_rng(0).normal(size=(40, 2))
        self.model, self.size = Mixture(Gaussian()), size
        self.x = jnp.asarray(np.where(np.arange(40)[:, None] < 15, x, 0.5 * x + 3.0))

    def init(self, key):
        means = jax.random.normal(key, (2, 2)) + jnp.array([[0.0], [3.0]])
        seconds = jnp.einsum("ki,kj->kij", means, means) + jnp.eye(2)
        return self.model.maximise((jnp.full(2, 0.5), (means / 2, seconds / 2)))

    def batches(self, key, start=0):
        if not self.size:
            return None
        seed, x = np.asarray(jax.random.key_data(key)), np.asarray(self.x)
        rows = (np.random.default_rng([*seed, i]).integers(0, 40, self.size) for i in itertools.count(start))
        return (x[each] for each in rows)

    def value_and_grad(self, params, batch=None, key=None):
        x = self.x if batch is None else batch
        return jax.value_and_grad(lambda theta: self.model.joint.potential(theta) - self.model.clamped(theta, x))(
            params
        )

    def evaluate(self, params):
        return {"test_loss": self.value_and_grad(params)[0]}


class Well(Task):
    """A quadratic in a dictionary of two shapes, to sample from."""

    name = "well"

    def init(self, key):
        return {"a": jax.random.normal(key, (2,)), "b": jnp.zeros((), jnp.float32)}

    def value_and_grad(self, params, batch=None, key=None):
        return jax.value_and_grad(lambda p: jnp.sum(p["a"] ** 2) + 0.5 * p["b"] ** 2)(params)

    def evaluate(self, params):
        return {"size": jnp.sum(params["a"] ** 2)}


DENSITIES = {
    "density": {"components": 2, "prior": 1, "columns": "0,1"},
    "density in batches": {"components": 2, "prior": 1, "batch": 30, "columns": "0,1"},
    "sngd": {"density": "skew_normal", "columns": "0,1"},
    "natural": {"process": "natural", "components": 2, "columns": "2", "chart": "squared"},
    "bfgs": {"density": "skew_normal", "columns": "0,1", "process": "bfgs"},
}
"""Words of `qnat run density`."""


def halve_in_numpy() -> Process:
    """A step that JAX cannot trace."""

    def step(state, batch=None, *, key):
        state = {name: np.asarray(leaf) for name, leaf in state.items()}
        assert all(isinstance(leaf, np.ndarray) for leaf in state.values())
        value = float(np.sum(state["a"] ** 2))
        noise = 0.01 * np.random.default_rng(np.asarray(jax.random.key_data(key))).normal(size=2)
        new = {"a": jnp.asarray(state["a"] / 2 + noise), "b": jnp.asarray(state["b"])}
        return new, Info(value, {"halved": 1.0})

    return Process(lambda params, *, key: params, step, lambda state: state, traceable=False)


@functools.cache
def made(name: str) -> tuple[Task, Process | optax.GradientTransformation, Keep | None]:
    """A problem, what iterates, what is kept; made once, because compiled loops know functions by their identity."""
    if name in DENSITIES:
        spec = DensitySpec(**DENSITIES[name])
        task = spec.task()
        return task, spec.transform(task), None
    well, clusters = Well(), Clusters(8 if name == "online em" else 0)
    return {
        "descent": lambda: (well, optax.adam(0.1), None),
        "em": lambda: (clusters, em(clusters.model, data=clusters.x), None),
        "online em": lambda: (clusters, em(clusters.model, rate=lambda step: (step + 2.0) ** -0.6), None),
        "chain": lambda: (well, langevin(well.value_and_grad, 0.1), Keep(3, burn_in=5)),
        "walk": lambda: (well, entropy_sgd(well.value_and_grad, 0.5, inner_steps=4, noise=0.1), Keep(2)),
        "numpy": lambda: (well, halve_in_numpy(), Keep(4)),
    }[name]()


NAMES = ("descent", "em", "online em", "chain", "walk", "numpy", *DENSITIES)
EVERY_NIGHT = ("em", "walk", "density", "sngd", "natural", "bfgs")


def assert_same_bits(one: Run, other: Run) -> None:
    for a, b in zip(
        jax.tree.leaves((one.params, one.draws)), jax.tree.leaves((other.params, other.draws)), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    assert one.curves.keys() == other.curves.keys()
    for name, curve in one.curves.items():
        np.testing.assert_array_equal(curve, other.curves[name])


def stop_at(chunk: int, monkeypatch) -> None:
    """Presses Ctrl-C in a chunk."""
    for module, name in ((traced, "advance"), (in_python, "advance_in_python")):
        original, calls = getattr(module, name), itertools.count(module is in_python)

        def interrupted(*arguments, original=original, calls=calls, **options):
            if next(calls) == chunk:  # the first call of the compiled one compiles
                signal.raise_signal(signal.SIGINT)
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, interrupted)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in EVERY_NIGHT else name for name in NAMES]
)
def test_stopped_and_resumed_it_ends_in_the_same_bits(name, tmp_path, paced, monkeypatch):
    task, process, keep = made(name)
    options = {"steps": STEPS, "seed": 1, "seeds": 2, "every": 4, "keep": keep}
    whole = run(task, process, **options)
    assert whole.curves["loss"].shape == (2, STEPS + 1)
    paced(7)
    with monkeypatch.context() as patch:
        stop_at(2, patch)
        with pytest.raises(KeyboardInterrupt, match="Stopped at step 14 of 30"):
            run(task, process, **options, out=tmp_path)
    resumed = run(task, process, **options, out=tmp_path, resume=True)
    assert_same_bits(whole, resumed)
    assert_same_bits(run(task, process, **options | {"seed": 2, "seeds": 1}), alone(whole, 1))
    loaded = Run.load(tmp_path)
    for a, b in zip(jax.tree.leaves(loaded.draws), jax.tree.leaves(whole.draws), strict=True):
        np.testing.assert_array_equal(a, b)


def alone(whole: Run, seed: int) -> Run:
    """One seed of many, as a run of its own has it."""
    import dataclasses

    def pick(tree):
        return jax.tree.map(lambda leaf: leaf[seed], tree)

    curves = {name: curve[seed : seed + 1] for name, curve in whole.curves.items()}
    return dataclasses.replace(whole, params=pick(whole.params), draws=pick(whole.draws), curves=curves)


@pytest.mark.parametrize("name", ["chain", "numpy"])
def test_draws_are_the_parameters_on_the_way(name):
    task, process, _ = made(name)
    ends = [run(task, process, steps=steps, seed=3).params for steps in (8, 11, 14)]
    found = run(task, process, steps=16, seed=3, keep=Keep(3, burn_in=5))
    for k, end in enumerate(ends):
        jax.tree.map(lambda draws, one, k=k: np.testing.assert_array_equal(draws[k], one), found.draws, end)
    assert found.draws["a"].shape == (3, 2)
    assert run(task, process, steps=4, seed=3, keep=Keep(1, burn_in=4)).draws["a"].shape == (0, 2)


def test_a_chain_goes_on_where_it_ended(tmp_path):
    task, process, keep = made("chain")
    run(task, process, steps=13, seed=0, keep=keep, out=tmp_path)
    longer = run(task, process, steps=STEPS, seed=0, keep=keep, out=tmp_path, resume=True)
    assert_same_bits(longer, run(task, process, steps=STEPS, seed=0, keep=keep))


EVERYDAY = {("online em", 1), ("chain", 1024), ("numpy", 7)}
"""Each length of chunk once; the others are left to the slow tests."""


@pytest.mark.parametrize(
    ("name", "chunk"),
    [
        pytest.param(name, chunk, marks=() if (name, chunk) in EVERYDAY else pytest.mark.slow)
        for name, chunk in itertools.product(("em", "online em", "chain", "numpy"), (1, 7, 1024))
    ],
)
def test_it_ends_with_the_first_row_that_is_good_enough(name, chunk, paced, tmp_path):
    task, process, keep = made(name)
    shorter = run(task, process, steps=12, seed=0, every=5, keep=keep)
    wanted = shorter.curves["loss"][0, 12]
    paced(chunk)
    options = {"steps": STEPS, "seed": 0, "every": 5, "keep": keep, "out": tmp_path}
    found = run(task, process, until=lambda row: row["loss"][0] == wanted, **options)
    assert found.steps == 12
    assert_same_bits(found, shorter)
    assert Run.load(tmp_path).steps == 12
    again = run(task, process, until=lambda row: row["loss"][0] == wanted, **options, resume=True)
    assert_same_bits(Run.load(tmp_path), again)
    on = run(task, process, **options | {"steps": STEPS + 2}, resume=True)
    assert_same_bits(on, run(task, process, steps=STEPS + 2, seed=0, every=5, keep=keep))


def test_a_run_that_would_end_early_resumes(tmp_path, paced, monkeypatch):
    task, process, _ = made("online em")
    enough = run(task, process, steps=9, seed=0).final["loss"]
    options = {"steps": STEPS, "seed": 0, "until": lambda row: row["loss"][0] == enough}
    whole = run(task, process, **options)
    assert whole.steps == 9
    paced(2)
    with monkeypatch.context() as patch:
        stop_at(2, patch)
        with pytest.raises(KeyboardInterrupt, match="Stopped at step 4 of 30"):
            run(task, process, **options, out=tmp_path)
    assert_same_bits(run(task, process, **options, out=tmp_path, resume=True), whole)


def test_a_run_that_ended_early_goes_on_where_nothing_ends_it(tmp_path):
    task, process, _ = made("em")
    early = run(task, process, steps=9, seed=0, until=lambda row: row["loss"] < 1e9, out=tmp_path)
    assert early.steps == 0
    whole = run(task, process, steps=9, seed=0, out=tmp_path, resume=True)
    assert_same_bits(whole, run(task, process, steps=9, seed=0))


def test_lost_draws_are_not_made_up(tmp_path):
    task, process, keep = made("chain")
    run(task, process, steps=20, seed=0, keep=keep, out=tmp_path)
    (tmp_path / "draws.bin").write_bytes((tmp_path / "draws.bin").read_bytes()[:10])
    again = run(task, process, steps=24, seed=0, keep=keep, out=tmp_path, resume=True)  # from the checkpoint before
    assert_same_bits(again, run(task, process, steps=24, seed=0, keep=keep))
    (tmp_path / "draws.bin").unlink()
    (tmp_path / "checkpoint.previous.npz").unlink()
    with pytest.raises(RefusedError, match=r"draws\.bin is shorter than it says"):
        run(task, process, steps=26, seed=0, keep=keep, out=tmp_path, resume=True)


def test_keys_of_any_generator_and_strange_names_come_back(tmp_path):
    def step(state, batch=None, *, key):
        moved = jax.tree.map(lambda x: x + jax.random.normal(state["key"], x.shape), state["at"])
        return {"key": jax.random.split(state["key"])[0], "at": moved}, Info(jnp.zeros(()), {})

    class Named(Well):
        def init(self, key):
            return {"a": {"b": jnp.ones(2)}, "a.b": jnp.zeros(1), "c/%d": jnp.zeros(())}

        def evaluate(self, params):
            return {}

    process = Process(
        lambda params, *, key: {"key": jax.random.key(3, impl="rbg"), "at": params}, step, lambda state: state["at"]
    )
    whole = run(Named(), process, steps=6, seed=0, keep=Keep())
    run(Named(), process, steps=3, seed=0, keep=Keep(), out=tmp_path)
    found = run(Named(), process, steps=6, seed=0, keep=Keep(), out=tmp_path, resume=True)
    loaded = Run.load(tmp_path)
    for one in (found, loaded):
        jax.tree.map(np.testing.assert_array_equal, (one.params, one.draws), (whole.params, whole.draws))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"keep": Keep(0)}, "keep.every is 0; it must be a whole number of at least 1"),
        ({"keep": Keep(1, -3)}, "keep.burn_in is -3; it must be a whole number of at least 0"),
        ({"keep": 3}, r"keep is 3; give Keep\(every, burn_in\)"),
        ({"steps": 2.5}, r"steps is 2\.5; it must be a whole number of at least 0"),
        ({"process": None}, "The process is None; give an optax transform"),
        ({"initial": {"zz": np.zeros(9)}}, "initial has arrays of the shapes .*zz.*; the task well wants"),
    ],
)
def test_what_cannot_run_is_one_sentence_and_leaves_nothing(given, message, tmp_path):
    arguments = {"process": made("chain")[1], "steps": 3, "seed": 0, "out": tmp_path / "r"} | given
    with pytest.raises(ValueError, match=message):
        run(made("chain")[0], **arguments)
    assert not (tmp_path / "r").exists()
