"""Maximum likelihood of a density."""

import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from qnat.experiment.measures import Artifact, Measure, Panel
from qnat.experiment.task import Task

from ..data.missing import Rows
from .densities import AbstractDensity


class DensityTask(Task):
    """Minimise −log p(x) of rows, its mean in nats, with a prior where the density has one.

    Attributes:
        density: the model with its data.
        batched: whether each step sees one chunk of the rows, in a new order every epoch, and not all of them.
    """

    name = "density"
    measures = (Measure("log_likelihood", "nats", better="higher"), Measure("bic", "nats"))
    units = types.MappingProxyType({"loss": "nats"})
    panels = (
        Panel("cloud", "rows", "rows and distributions", against="ellipses"),
        Panel("matrix", "transitions"),
        Panel("matrix", "means"),
        Panel("points", "weights"),
        Panel("matrix", "emission"),
        Panel("matrix", "dynamics"),
        Panel("matrix", "loadings"),
        Panel("points", "skewness"),
        Panel("matrix", "correlations"),
    )
    density: AbstractDensity
    batched: bool = eqx.field(static=True)

    starts_traced = False

    def __init__(self, density: AbstractDensity, *, batched: bool = False) -> None:
        self.density, self.batched = density, batched

    def init(self, key: PRNGKeyArray) -> PyTree[Array]:
        return self.density.start(key)

    def value_and_grad(
        self, params: PyTree[Array], batch: Any = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], PyTree[Array]]:
        return jax.value_and_grad(self.loss)(params, batch)

    def loss(self, params: PyTree[Array], batch: Any = None) -> Float[Array, ""]:
        """−log p of the rows of a batch, or of all."""
        return self.density.loss(params, self.density.data if batch is None else batch)

    def batches(self, key: PRNGKeyArray, start: int = 0) -> Iterator[Any] | None:
        return _chunks(self.density.data, key, start) if self.batched else None

    def evaluate(self, params: PyTree[Array]) -> dict[str, Float[Array, ""]]:
        """The log-likelihood of a row, without the prior, and the Bayesian information criterion of a row.

        The latter is freedom·log(N)/(2N) − log p: lower is better, also among densities of different size.
        """
        found = self.density.log_likelihood(params)
        items = self.density.items
        bic = self.density.freedom * np.log(items) / (2 * items) - found
        return {"log_likelihood": found, "bic": bic} | self.density.watched(params)

    def artifacts(self, params: PyTree[Array]) -> Mapping[str, Array | Artifact]:
        return self.density.described(params)

    def trained(self, params: PyTree[Array]) -> Any:
        """The density, which tells log p of rows and, where there are any, the probabilities of hidden states."""
        return self.density.trained(params)

    def trouble(self, params: PyTree[Array]) -> str:
        return self.density.failed(params)


class _Falling(eqx.Module):
    rate: Float[Array, ""]
    decay: Float[Array, ""]

    def __call__(self, step: Int[Array, ""]) -> Float[Array, ""]:
        return self.rate * step.astype(float) ** -self.decay


def falling(rate: float, decay: float) -> Callable[[Int[Array, ""]], Float[Array, ""]]:
    """The schedule rate/stepᵈ, d the decay."""
    return _Falling(jnp.asarray(rate, float), jnp.asarray(decay, float))


def _chunks(data: Rows, key: PRNGKeyArray, start: int) -> Iterator[Rows]:
    """The chunks of rows, one by one, in a new order every epoch."""
    count = len(data.x)
    nothing = np.zeros(0, int)
    x, weights, pattern = (np.asarray(each) for each in data.chunks)
    weights = count * weights  # a mean over chunks is one over rows, whatever these weigh
    epoch, place = divmod(start, count)
    while True:
        seed = np.asarray(jax.random.key_data(jax.random.fold_in(key, epoch)))
        for chunk in np.random.default_rng(seed).permutation(count)[place:]:
            one = slice(chunk, chunk + 1)
            yield Rows(x[one], weights[one], pattern[one], np.asarray(data.missing), nothing)
        epoch, place = epoch + 1, 0
