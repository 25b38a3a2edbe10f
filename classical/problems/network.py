"""Networks and Helmholtz machines as tasks: data in batches, losses in nats, curves on items kept for testing."""

import math
import types
from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qnat.experiment.measures import ERROR, Artifact, Measure, Panel
from qnat.experiment.task import Task
from qnat.geometry.families import AbstractExponentialFamily, Bernoulli, Categorical, Normal
from qnat.geometry.metric import AbstractMetric

from ..data.batches import check_size, epochs
from ..data.targets import Kind, Pairs
from ..methods.fisher import FisherMetric, KroneckerFisher, OuterProductFisher
from ..models.network import Layer, Network, Weights
from ..models.trained import TrainedNetwork

_CHUNK = 1000
"""Items that are evaluated at once."""
_PICTURES = 32
_LOSSES = {Categorical: "cross-entropy of classes", Bernoulli: "cross-entropy of bits", Normal: "squared error"}
"""What −log p is for the distributions that a target may have."""


class NetworkTask(Task):
    """Minimise −log p(y|x), the mean over items in nats.

    A batch is a pair (x, y), for the metrics of `classical.methods.fisher` too.

    Attributes:
        network: the model of y given x.
        x, y: (N, D) and (N, K) to train on. test_x, test_y: to test on.
        batch: items in a batch.
    """

    name = "network"
    measures = (
        Measure("test_loss", "nats"),
        Measure("test_accuracy", better="higher"),
        Measure("test_rmse", "units of the target"),
    )
    units = types.MappingProxyType(
        {"loss": "nats", "train_loss": "nats", "train_accuracy": "", "train_rmse": "units of the target"}
    )
    panels = (
        Panel("images", "reconstructions", "test items, each beside its reconstruction"),
        Panel("matrix", "confusion", "confusion matrix"),
        Panel("points", "weights"),
    )
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
        check_size(batch, len(self.x))
        outputs = network.layers[-1].units
        for inputs, targets in ((self.x, self.y), (self.test_x, self.test_y)):
            if inputs.ndim != 2 or targets.ndim != 2 or len(inputs) != len(targets):
                raise ValueError(
                    f"Items of shape {inputs.shape} have targets of shape {targets.shape}; give a row each."
                )
        if {self.y.shape[1], self.test_y.shape[1]} != {outputs}:
            raise ValueError(f"The network has {outputs} outputs and the targets have {self.y.shape[1]} values.")

    def init(self, key: PRNGKeyArray) -> Weights:
        return self.network.init(key)

    def batches(self, key: PRNGKeyArray, start: int = 0) -> Iterator[Any]:
        return epochs((self.x, self.y), self.batch, key, start)

    def value_and_grad(
        self, params: Weights, batch: Any = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], Weights]:
        return jax.value_and_grad(self.network.loss)(params, *batch)

    def evaluate(self, params: Weights) -> dict[str, Float[Array, ""]]:
        """The losses of all training and all test items; how well the test items are classified, or regressed.

        Of a classifier the accuracies, the parts of the training and of the test items that are classified rightly; of
        a regression the root of the mean square error, in the units of the target.
        """
        found = {"train_loss": self._mean(self._loss, params, self.x, self.y)}
        found["test_loss"] = self._mean(self._loss, params, self.test_x, self.test_y)
        if isinstance(self.network.family, Categorical):
            found["train_accuracy"] = self._mean(self._right, params, self.x, self.y)
            found["test_accuracy"] = self._mean(self._right, params, self.test_x, self.test_y)
        if isinstance(self.network.family, Normal):
            found["train_rmse"] = jnp.sqrt(self._mean(self._square_error, params, self.x, self.y))
            found["test_rmse"] = jnp.sqrt(self._mean(self._square_error, params, self.test_x, self.test_y))
        return found

    def _loss(self, params: Weights, x: Float[Array, " D"], y: Float[Array, " K"]) -> Float[Array, ""]:
        return self.network.loss(params, x[None], y[None])

    def _right(self, params: Weights, x: Float[Array, " D"], y: Float[Array, " K"]) -> Float[Array, ""]:
        return (jnp.argmax(self.network(params, x[None])[0]) == jnp.argmax(y)).astype(y.dtype)

    def _square_error(self, params: Weights, x: Float[Array, " D"], y: Float[Array, " K"]) -> Float[Array, ""]:
        return jnp.mean((self.network(params, x[None])[0] - y) ** 2)

    def _mean(self, measure: Any, params: Weights, x: Float[Array, "M D"], y: Float[Array, "M K"]) -> Float[Array, ""]:
        return jnp.mean(jax.lax.map(lambda item: measure(params, *item), (x, y), batch_size=_CHUNK))

    def trained(self, params: Weights) -> TrainedNetwork:
        """The network with its weights, which predicts."""
        return TrainedNetwork(self.network, params)

    def _errors(self, params: Weights) -> Float[Array, " D+1"]:
        """Standard errors of the weights of a linear regression."""
        features = jnp.concatenate([self.x, jnp.ones_like(self.x[:, :1])], axis=1)
        residuals = self.y[:, 0] - features @ params[0][0]
        lengths = jnp.linalg.norm(features, axis=0)
        scales = jnp.where(lengths > 0, lengths, 1)  # so that inputs of small values are not taken for rounding
        features = features / scales
        curvature, vectors = jnp.linalg.eigh(features.T @ features)
        known = curvature > curvature[-1] * curvature.size * jnp.finfo(curvature.dtype).eps
        free = jnp.any(~known & (vectors**2 > 1e-8), axis=1)
        inverse = vectors**2 @ jnp.where(known, 1 / jnp.where(known, curvature, 1), 0)
        freedom = len(features) - jnp.sum(known)
        variance = jnp.where(freedom > 0, residuals @ residuals / freedom, jnp.inf)
        return jnp.where(free, jnp.inf, jnp.sqrt(variance * inverse) / scales)

    def _confusion(self, params: Weights) -> Float[Array, "K K"]:
        """How many test items of each class, a row each, are taken for which."""
        count = self.test_y.shape[1]
        taken = jax.lax.map(lambda x: jnp.argmax(self.network(params, x[None])[0]), self.test_x, batch_size=_CHUNK)
        return jnp.zeros((count, count), int).at[jnp.argmax(self.test_y, axis=1), taken].add(1)

    def artifacts(self, params: Weights) -> dict[str, Artifact]:
        """Of a classifier the confusion matrix; of an autoencoder test pictures, each before its reconstruction.

        Of a linear regression the weights and their standard errors, those of least squares: the variance of the
        residuals times (XᵀX)⁻¹, infinite where the items do not determine a weight.
        """
        if isinstance(self.network.family, Categorical):
            classes = {dim: range(self.test_y.shape[1]) for dim in ("true_class", "predicted_class")}
            label = Artifact(self._confusion(params), tuple(classes), classes, "test items", "confusion matrix")
            return {"confusion": label}
        if isinstance(self.network.family, Normal) and len(self.network.layers) == self.y.shape[1] == 1:
            along = {"input": [*map(str, range(self.x.shape[1])), "bias"]}
            both = {"weights": params[0][0], "weights" + ERROR: self._errors(params)}
            return {name: Artifact(each, ("input",), along, long_name="weight") for name, each in both.items()}
        side = round(self.test_x.shape[1] ** 0.5)
        if not isinstance(self.network.family, Bernoulli) or self.test_y.shape[1] != side * side:
            return {}
        shown = self.test_x[:_PICTURES]
        pictures = jnp.stack([shown, jax.nn.sigmoid(self.network(params, shown))], axis=1)
        return {"reconstructions": Artifact(pictures.reshape(-1, side, side), ("picture", "row", "column"))}

    @property
    def judges(self) -> tuple[Measure, ...]:
        """The measures; losses of different distributions of the target have nothing to do with each other."""
        loss, *others = self.measures
        return loss._replace(of=_LOSSES[type(self.network.family)]), *others

    @property
    def metrics(self) -> dict[str, AbstractMetric]:
        """Fisher metrics: Kronecker-factored, without output factors, of the scores of single items, exact."""
        return {
            "kfac": KroneckerFisher(self.network),
            "foof": KroneckerFisher(self.network, outputs=False),
            "sampled": OuterProductFisher(self.network),
            "exact": FisherMetric(self.network),
        }


_FAMILIES: dict[Kind, AbstractExponentialFamily] = {
    "autoencode": Bernoulli(),
    "classify": Categorical(),
    "regress": Normal(),
}


def network_task(
    pairs: Pairs, hidden: Sequence[tuple[int, int | None, int]], kind: Kind, activation: str, *, batch: int
) -> NetworkTask:
    """The task of a network with these hidden layers, whose outputs are what `kind` asks of the items.

    Args:
        pairs: the data. kind: as in `classical.data.targets.pairs`. activation: of the hidden layers; the narrowest
            layer of an autoencoder, its code, is linear.
        hidden: (units, None, 1), or (channels, side of a patch, stride) of a convolution.
        batch: items in a batch.
    """
    width = pairs.x.shape[1]
    code = min(units for units, *_ in hidden) if kind == "autoencode" else 0
    layers = [Layer(units, "linear" if units == code else activation, side, step) for units, side, step in hidden]
    inputs = width if not hidden or hidden[0][1] is None else (1, math.isqrt(width), math.isqrt(width))
    network = Network(inputs, (*layers, Layer(pairs.y.shape[1], "linear")), _FAMILIES[kind])
    return NetworkTask(network, pairs.x, pairs.y, pairs.test_x, pairs.test_y, batch=batch)
