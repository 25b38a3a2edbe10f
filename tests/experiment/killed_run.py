"""A run of a few seconds with steps of a few milliseconds, for tests that kill it: python killed_run.py FOLDER."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import optax

from qnat.experiment import Run, Task, run
from qnat.experiment.loop import iterate as loop
from qnat.experiment.loop import pace

STEPS = 400

pace.TARGET_SECONDS = 0.02
loop.CHECKPOINT_SECONDS = 0.0


class Busy(Task):
    """A noisy quadratic that multiplies matrices before every step, to take time."""

    name = "busy"

    def init(self, key):
        return jax.random.normal(key, (4,))

    def value_and_grad(self, params, batch=None, key=None):
        matrix = jax.random.normal(key, (60, 60)) / 60**0.5
        busy = jax.lax.fori_loop(0, 60, lambda _, m: jnp.tanh(m @ matrix), matrix)
        return 0.5 * jnp.sum(params**2), params + busy[0, :4]

    def evaluate(self, params):
        return {"norm": jnp.linalg.norm(params)}


def train(folder: pathlib.Path) -> Run:
    return run(Busy(), optax.adam(0.01), steps=STEPS, seed=0, every=7, out=folder, resume=True)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    train(pathlib.Path(sys.argv[1]))
