"""A run of a few seconds with steps of a few milliseconds, for tests that kill it: python killed_run.py FOLDER NAME."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

from classical.models.mixture import Mixture
from qnat.experiment import Keep, Run, Task, run
from qnat.experiment.loop import iterate as loop
from qnat.experiment.loop import pace
from qnat.geometry.families import Gaussian
from qnat.inference import Process, descend, em, langevin

STEPS = 400
ITEMS = np.random.default_rng(0).normal(size=(60, 2)) + 3 * (np.arange(60)[:, None] < 20)

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


class Clusters(Task):
    """A mixture of two Gaussians, in batches if it is fed."""

    name = "clusters"
    fed: bool

    def init(self, key):
        means = jax.random.normal(key, (2, 2)) + jnp.array([[0.0], [3.0]])
        seconds = jnp.einsum("ki,kj->kij", means, means) + jnp.eye(2)
        return Mixture(Gaussian()).maximise((jnp.full(2, 0.5), (means / 2, seconds / 2)))

    def batches(self, key, start=0):
        if not self.fed:
            return None
        seed = np.asarray(jax.random.key_data(key))
        rows = (np.random.default_rng([*seed, i]).integers(0, 60, 20) for i in range(start, STEPS + 1))
        return (ITEMS[each] for each in rows)

    def value_and_grad(self, params, batch=None, key=None):
        raise NotImplementedError

    def evaluate(self, params):
        return {"likelihood": Mixture(Gaussian()).clamped(params, jnp.asarray(ITEMS))}


def slow(process: Process) -> Process:
    """Multiplies matrices before every step, to take time."""

    def step(state, batch=None, *, key):
        matrix = jax.random.normal(key, (60, 60)) / 60**0.5
        busy = jax.lax.fori_loop(0, 60, lambda _, m: jnp.tanh(m @ matrix), matrix)
        state, info = process.step(state, batch, key=key)
        return state, info._replace(value=info.value + 1e-9 * busy[0, 0])

    return process._replace(step=step)


def train(folder: pathlib.Path, name: str) -> Run:
    task = Noisy() if name in ("descent", "chain") else Clusters(name == "online em")
    model = Mixture(Gaussian())
    process = {
        "descent": lambda: descend(task.value_and_grad, optax.adam(0.01)),
        "chain": lambda: langevin(task.value_and_grad, 0.05),
        "em": lambda: em(model, data=jnp.asarray(ITEMS)),
        "online em": lambda: em(model, rate=lambda step: (step + 2.0) ** -0.6),
    }[name]()
    keep = Keep(3, burn_in=20) if name == "chain" else None
    return run(task, slow(process), steps=STEPS, seed=0, every=7, keep=keep, out=folder, resume=True)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    train(pathlib.Path(sys.argv[1]), sys.argv[2])
