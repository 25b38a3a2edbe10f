"""Networks and Helmholtz machines as tasks: data in batches, losses in nats, curves on items kept for testing."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qnat.experiment.task import Task
from qnat.geometry.families import Bernoulli, Categorical
from qnat.geometry.metric import AbstractMetric

from ..models.helmholtz import HelmholtzMachine, Params
from ..models.network import Network, Weights
from .fisher import FisherMetric, KroneckerFisher, OuterProductFisher
from .wake_sleep import Algorithm, HelmholtzFisher, value_and_grad

_CHUNK = 1000
"""Items that are evaluated at once."""
_PICTURES = 32


def epochs(parts: Sequence[Array], size: int, key: PRNGKeyArray) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches without replacement, in a new order every epoch; what does not fill a batch is left out of an epoch."""
    arrays = [np.asarray(part) for part in parts]
    for epoch in itertools.count():
        seed = np.asarray(jax.random.key_data(jax.random.fold_in(key, epoch)))
        order = np.random.default_rng(seed).permutation(len(arrays[0]))
        for first in range(0, len(order) - size + 1, size):
            yield tuple(array[order[first : first + size]] for array in arrays)


def _check_batch(size: int, items: int) -> None:
    if not 1 <= size <= items:
        raise ValueError(f"A batch has between 1 and {items} items, as many as the data; got {size}.")


class NetworkTask(Task):
    """Minimise −log p(y|x), the mean over items in nats.

    A batch is a pair (x, y), for the metrics of `classical.methods.fisher` too.

    Attributes:
        network: the model of y given x.
        x, y: (N, D) and (N, K) to train on. test_x, test_y: to test on.
        batch: items in a batch.
    """

    name = "network"
    network: Network
    x: Float[Array, "N D"]
    y: Float[Array, "N K"]
    test_x: Float[Array, "M D"]
    test_y: Float[Array, "M K"]
    batch: int = eqx.field(static=True)

    def __init__(
        self, network: Network, x: ArrayLike, y: ArrayLike, test_x: ArrayLike, test_y: ArrayLike, *, batch: int
    ) -> None:
        self.network, self.batch = network, batch
        self.x, self.y, self.test_x, self.test_y = (jnp.asarray(part) for part in (x, y, test_x, test_y))
        _check_batch(batch, len(self.x))
        outputs = network.layers[-1].units
        if {self.y.shape[1], self.test_y.shape[1]} != {outputs}:
            raise ValueError(f"The network has {outputs} outputs and the targets have {self.y.shape[1]} values.")

    def init(self, key: PRNGKeyArray) -> Weights:
        return self.network.init(key)

    def batches(self, key: PRNGKeyArray) -> Iterator[Any]:
        return epochs((self.x, self.y), self.batch, key)

    def value_and_grad(
        self, params: Weights, batch: Any = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], Weights]:
        return jax.value_and_grad(self.network.loss)(params, *batch)

    def evaluate(self, params: Weights) -> dict[str, Float[Array, ""]]:
        """The losses of all training and all test items; the part of the test items that are classified rightly."""
        found = {"train_loss": self._mean(self._loss, params, self.x, self.y)}
        found["test_loss"] = self._mean(self._loss, params, self.test_x, self.test_y)
        if isinstance(self.network.family, Categorical):
            found["test_accuracy"] = self._mean(self._right, params, self.test_x, self.test_y)
        return found

    def _loss(self, params: Weights, x: Float[Array, " D"], y: Float[Array, " K"]) -> Float[Array, ""]:
        return self.network.loss(params, x[None], y[None])

    def _right(self, params: Weights, x: Float[Array, " D"], y: Float[Array, " K"]) -> Float[Array, ""]:
        return (jnp.argmax(self.network(params, x[None])[0]) == jnp.argmax(y)).astype(y.dtype)

    def _mean(self, measure: Any, params: Weights, x: Float[Array, "M D"], y: Float[Array, "M K"]) -> Float[Array, ""]:
        return jnp.mean(jax.lax.map(lambda item: measure(params, *item), (x, y), batch_size=_CHUNK))

    def artifacts(self, params: Weights) -> dict[str, Array]:
        """Of an autoencoder of square pictures the reconstructions: an item of the test set, what became of it, ...."""
        side = round(self.test_x.shape[1] ** 0.5)
        if not isinstance(self.network.family, Bernoulli) or self.test_y.shape[1] != side * side:
            return {}
        shown = self.test_x[:_PICTURES]
        pictures = jnp.stack([shown, jax.nn.sigmoid(self.network(params, shown))], axis=1)
        return {"reconstructions": pictures.reshape(-1, side, side)}

    @property
    def metrics(self) -> dict[str, AbstractMetric]:
        """Fisher metrics: Kronecker-factored, without output factors, of the scores of single items, exact."""
        return {
            "kfac": KroneckerFisher(self.network),
            "foof": KroneckerFisher(self.network, outputs=False),
            "sampled": OuterProductFisher(self.network),
            "exact": FisherMetric(self.network),
        }


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
        _check_batch(batch, len(self.x))
        for part in (self.x, self.test_x):
            if part.shape[1] != self.machine.sizes[0]:
                raise ValueError(f"Items of {part.shape[1]} bits do not fit {self.machine.sizes[0]} visible units.")
            if not np.isin(part, (0, 1)).all():
                raise ValueError("A Helmholtz machine models bits, and the data have other values; binarise them.")

    def init(self, key: PRNGKeyArray) -> Params:
        return self.machine.init(key)

    def batches(self, key: PRNGKeyArray) -> Iterator[Any]:
        return (x for (x,) in epochs((self.x,), self.batch, key))

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

    def artifacts(self, params: Params) -> dict[str, Array]:
        """Samples: probabilities of the visible units, given the layer above them in states from the generator."""
        states = self.machine.dream(params["generator"], 2 * _PICTURES, key=jax.random.key(0))
        means, side = self.machine.means(params["generator"], states), round(self.machine.sizes[0] ** 0.5)
        square = side * side == self.machine.sizes[0]
        return {"samples": means.reshape(-1, side, side) if square else means}

    @property
    def metrics(self) -> dict[str, AbstractMetric]:
        """The Fisher metric of both networks."""
        return {"fisher": HelmholtzFisher(self.machine, self.batch, self.samples)}
