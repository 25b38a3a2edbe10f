"""Small problems with known answers."""

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array, Float

from qnat.experiment import Reference, Task


class Quadratic(Task):
    """½ xᵀAx with noise ε·x of standard deviation `noise`, drawn anew each step; diagonal A."""

    name = "quadratic"
    curvature: Float[Array, " d"]
    noise: Float[Array, ""]

    def init(self, key):
        return {"x": jax.random.normal(key, self.curvature.shape)}

    def value_and_grad(self, params, batch=None, key=None):
        tilt = self.noise * jax.random.normal(key, self.curvature.shape)
        return jax.value_and_grad(lambda p: 0.5 * jnp.sum(self.curvature * p["x"] ** 2) + tilt @ p["x"])(params)

    def evaluate(self, params):
        return {"norm": jnp.linalg.norm(params["x"])}

    def artifacts(self, params):
        return {"outer": jnp.outer(params["x"], params["x"]) + 1j}

    @property
    def reference(self):
        return {"loss": Reference(0.0, "by inspection")}


@pytest.fixture(scope="session")
def quadratic():
    """Makes the task; noise 0.1 unless told."""

    def make(noise: float = 0.1, curvature: tuple[float, ...] = (1.0, 2.0, 5.0)) -> Quadratic:
        return Quadratic(jnp.asarray(curvature), jnp.asarray(noise))

    return make


@pytest.fixture
def paced(monkeypatch):
    """Fixes the chunk length, and makes a checkpoint after every chunk."""

    def fix(length: int) -> None:
        class Fixed:
            def __init__(self, every, capacity):
                self.capacity = capacity

            def length(self, first, remaining):
                return min(length, remaining, self.capacity)

            def measured(self, count, seconds):
                pass

        monkeypatch.setattr("qnat.experiment.loop.iterate.Pace", Fixed)
        monkeypatch.setattr("qnat.experiment.loop.iterate.CHECKPOINT_SECONDS", 0.0)

    return fix
