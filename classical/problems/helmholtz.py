"""Networks and Helmholtz machines as tasks: data in batches, losses in nats, curves on items kept for testing."""

import types
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qnat.experiment.measures import Artifact, Measure, Panel
from qnat.experiment.task import Task
from qnat.geometry.metric import AbstractMetric

from ..data.batches import check_size, epochs
from ..methods.wake_sleep import Algorithm, HelmholtzFisher, value_and_grad
from ..models.helmholtz import HelmholtzMachine, Params
from ..models.trained import TrainedMachine

_CHUNK = 1000
"""Items that are evaluated at once."""
_PICTURES = 32


class HelmholtzTask(Task):
    """Train a Helmholtz machine by wake–sleep, reweighted wake–sleep or bidirectional inference.

    The loss is what the batch's samples say of −log p(x), the mean over items in nats; for "bihm" it is the bound that
    this algorithm has.

    Attributes:
        machine: the model.
        x: (N, n) bits to train on. test_x: (M, n) to test on.
        batch: items in a batch.
        algorithm: "ws", "rws" or "bihm", see `classical.methods.wake_sleep.value_and_grad`.
        samples: draws of the hidden units an item.
        likelihood_samples: draws an item of the test likelihood where the machine is too large to sum over.
    """

    name = "helmholtz"
    measures = (Measure("test_negative_log_likelihood", "nats"),)
    units = types.MappingProxyType({"loss": "nats"})
    panels = (Panel("images", "samples", "samples of the trained machine"),)
    machine: HelmholtzMachine
    x: Float[Array, "N n"]
    test_x: Float[Array, "M n"]
    batch: int = eqx.field(static=True)
    algorithm: Algorithm = eqx.field(static=True)
    samples: int = eqx.field(static=True)
    likelihood_samples: int = eqx.field(static=True)

    def __init__(
        self,
        machine: HelmholtzMachine,
        x: ArrayLike,
        test_x: ArrayLike,
        *,
        batch: int,
        algorithm: Algorithm = "rws",
        samples: int = 10,
        likelihood_samples: int = 500,
    ) -> None:
        self.machine, self.batch, self.algorithm = machine, batch, algorithm
        self.samples, self.likelihood_samples = samples, likelihood_samples
        self.x, self.test_x = jnp.asarray(x), jnp.asarray(test_x)
        check_size(batch, len(self.x))
        for part in (self.x, self.test_x):
            if part.shape[1] != self.machine.sizes[0]:
                raise ValueError(f"Items of {part.shape[1]} bits do not fit {self.machine.sizes[0]} visible units.")
            if not np.isin(part, (0, 1)).all():
                raise ValueError("A Helmholtz machine models bits, and the data have other values; binarise them.")

    def init(self, key: PRNGKeyArray) -> Params:
        return self.machine.init(key)

    def batches(self, key: PRNGKeyArray, start: int = 0) -> Iterator[Any]:
        return (x for (x,) in epochs((self.x,), self.batch, key, start))

    def value_and_grad(
        self, params: Params, batch: Any = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], Params]:
        assert key is not None
        return value_and_grad(self.machine, params, batch, algorithm=self.algorithm, samples=self.samples, key=key)

    def evaluate(self, params: Params) -> dict[str, Float[Array, ""]]:
        """−log p of the test items, exact or, where `likelihood_samples` stands beside it, by importance sampling.

        Every evaluation draws the same random numbers. On average sampling makes −log p too large, less so with more.
        """
        if self.machine.is_enumerable:
            found = self.machine.log_likelihood(params["generator"], self.test_x)
            return {"test_negative_log_likelihood": -jnp.mean(found)}
        count, key = self.likelihood_samples, jax.random.key(0)
        found = self.machine.importance_log_likelihood(params, self.test_x, count, key=key)
        return {"test_negative_log_likelihood": -jnp.mean(found), "likelihood_samples": jnp.asarray(float(count))}

    def trained(self, params: Params) -> TrainedMachine:
        """The machine with its parameters, which samples and tells probabilities."""
        return TrainedMachine(self.machine, params)

    def artifacts(self, params: Params) -> dict[str, Artifact]:
        """Samples: probabilities of the visible units, given the layer above them in states from the generator."""
        states = self.machine.dream(params["generator"], 2 * _PICTURES, key=jax.random.key(0))
        means, side = self.machine.means(params["generator"], states), round(self.machine.sizes[0] ** 0.5)
        if side * side != self.machine.sizes[0]:
            return {"samples": Artifact(means, ("sample", "unit"), long_name="probability")}
        pictures = means.reshape(-1, side, side)
        return {"samples": Artifact(pictures, ("sample", "row", "column"), long_name="probability")}

    @property
    def metrics(self) -> dict[str, AbstractMetric]:
        """The Fisher metric of both networks."""
        return {"fisher": HelmholtzFisher(self.machine, self.batch, self.samples)}
