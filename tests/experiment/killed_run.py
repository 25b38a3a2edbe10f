"""A run of a few seconds with steps of a few milliseconds, for tests that kill it: python killed_run.py FOLDER NAME."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import optax

from classical.tasks.density import DensitySpec
from qnat.experiment import Keep, Run, Task, run
from qnat.experiment.loop import iterate as loop
from qnat.experiment.loop import pace
from qnat.inference import Process, descend, langevin

STEPS = 400

pace.TARGET_SECONDS = 0.02
loop.CHECKPOINT_SECONDS = 0.0


class Noisy(Task):
    """A noisy quadratic."""

    name = "noisy"

    def init(self, key):
        return jax.random.normal(key, (4,))

    def value_and_grad(self, params, batch=None, key=None):
        return 0.5 * jnp.sum(params**2), params + jax.random.normal(key, (4,))

    def evaluate(self, params):
        return {"norm": jnp.linalg.norm(params)}


DENSITIES = {
    "em": {"components": 2, "prior": 1},
    "online em": {"components": 2, "prior": 1, "batch": 30},
    "natural": {"process": "natural", "components": 2, "columns": "2", "chart": "squared"},
    "sngd": {"density": "skew_normal", "columns": "0,1"},
    "bfgs": {"density": "skew_normal", "columns": "0,1", "process": "bfgs"},
}
"""Words of `qnat run density`."""


def slow(process: Process) -> Process:
    """Multiplies matrices before every step, to take time."""

    def step(state, batch=None, *, key):
        matrix = jax.random.normal(key, (60, 60)) / 60**0.5
        busy = jax.lax.fori_loop(0, 60, lambda _, m: jnp.tanh(m @ matrix), matrix)
        state, info = process.step(state, batch, key=key)
        return state, info._replace(value=info.value + 1e-9 * busy[0, 0])

    return process._replace(step=step)


def train(folder: pathlib.Path, name: str) -> Run:
    if name in DENSITIES:
        spec = DensitySpec(**DENSITIES[name])
        task = spec.task()
        process = spec.transform(task)
    else:
        task = Noisy()
        process = {
            "descent": lambda: descend(task.value_and_grad, optax.adam(0.01)),
            "chain": lambda: langevin(task.value_and_grad, 0.05),
        }[name]()
    keep = Keep(3, burn_in=20) if name == "chain" else None
    return run(task, slow(process), steps=STEPS, seed=0, every=7, keep=keep, out=folder, resume=True)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    train(pathlib.Path(sys.argv[1]), sys.argv[2])
