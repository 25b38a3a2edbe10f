"""Models with the parameters that training found; `qnat.experiment.Run.model` makes them from a run."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qnat.experiment.bounds import check_draws
from qnat.geometry.families import Categorical, Normal
from qnat.geometry.spin_families import BoltzmannMachine
from qnat.geometry.spins import bits_of

from .helmholtz import HelmholtzMachine, Params
from .network import Network, Weights

_COPIES = 4
"""Numbers of a bit that are there while it is drawn, about: a uniform one, its feature, its logit, itself."""


class TrainedNetwork(eqx.Module):
    """A network with its weights.

    Attributes:
        network: the model of y given x. weights: a matrix a layer.
    """

    network: Network
    weights: Weights

    @eqx.filter_jit
    def predict(self, x: Float[ArrayLike, "N D"]) -> Float[Array, "N K"]:
        """The mean of the target of every item: probabilities of classes or of bits, or the value of a regression.

        Raises:
            ValueError: items of another width than those that it was trained on.
        """
        x = jnp.asarray(x)
        if x.ndim != 2 or x.shape[1] != self.network.width:
            raise ValueError(f"Items are rows of {self.network.width} values; got an array of shape {x.shape}.")
        return jax.vmap(self.network.family.to_dual)(self.network(self.weights, x))

    def evaluate(self, x: Float[ArrayLike, "N D"], y: ArrayLike) -> dict[str, float]:
        """The loss, −log p(y|x) in nats, and for classes the accuracy, for a regression the root mean square error.

        Args:
            x: items in rows.
            y: a target a row; for classes one-hot rows, or the numbers of the classes.

        Raises:
            ValueError: targets that the network does not have.
        """
        predicted, outputs = np.asarray(self.predict(x)), self.network.layers[-1].units
        targets = np.asarray(y)
        if isinstance(self.network.family, Categorical) and targets.ndim == 1:
            if not np.isin(targets, np.arange(outputs)).all():
                raise ValueError(f"Classes go from 0 to {outputs - 1}; got one that is {targets.max()}.")
            targets = np.eye(outputs)[targets.astype(int)]
        targets = targets[:, None] if targets.ndim == 1 else targets
        if targets.shape != predicted.shape:
            raise ValueError(
                f"Targets are rows of {outputs} values, one an item; got an array of shape {targets.shape}."
            )
        found = {"loss": float(_loss(self, jnp.asarray(x), jnp.asarray(targets, predicted.dtype)))}
        if isinstance(self.network.family, Categorical):
            found["accuracy"] = float(np.mean(np.argmax(predicted, axis=1) == np.argmax(targets, axis=1)))
        if isinstance(self.network.family, Normal):
            found["rmse"] = float(np.sqrt(np.mean((predicted - targets) ** 2)))
        return found


@eqx.filter_jit
def _loss(trained: TrainedNetwork, x: Float[Array, "N D"], y: Float[Array, "N K"]) -> Float[Array, ""]:
    return trained.network.loss(trained.weights, x, y)


class TrainedMachine(eqx.Module):
    """A Helmholtz machine with its parameters.

    Attributes:
        machine: the model. params: of its two networks.
    """

    machine: HelmholtzMachine
    params: Params

    def sample(self, count: int, *, key: PRNGKeyArray) -> Float[Array, "count n"]:
        """Bits of the visible units, from the generator.

        Raises:
            ValueError: count is no whole number of at least 1, or more than fit into memory.
        """
        check_draws(_COPIES * sum(self.machine.sizes), count=count)
        return self.machine.dream(self.params["generator"], count, key=key)[0]

    def log_prob(
        self, x: Float[ArrayLike, "N n"], *, samples: int = 500, key: PRNGKeyArray | None = None
    ) -> Float[Array, " N"]:
        """log p(x) of rows of bits, in nats: exact where the hidden states can be summed over.

        Elsewhere it is the importance-weighted bound from so many draws of the recogniser, too small on average, which
        needs a key.

        Raises:
            ValueError: rows of another length, or of what are no bits; there is no key, and sampling needs one; or
                samples is no whole number of at least 1, or more than fit into memory.
        """
        x = jnp.asarray(_rows_of_bits(x, self.machine.sizes[0]), self.params["generator"][0].dtype)
        if self.machine.is_enumerable:
            return self.machine.log_likelihood(self.params["generator"], x)
        if key is None:
            raise ValueError("The hidden states are too many to sum over, so that log p(x) is sampled; pass key=.")
        check_draws(len(x), samples=samples)
        return self.machine.importance_log_likelihood(self.params, x, samples, key=key)


class SpinDistribution(eqx.Module):
    """A Boltzmann machine with its parameters.

    Attributes:
        machine: the family. theta: (P,) of its interactions.
    """

    machine: BoltzmannMachine
    theta: Float[Array, " P"]

    def sample(self, count: int, *, key: PRNGKeyArray) -> Float[Array, "count n"]:
        """Rows of bits, exactly and independently.

        Raises:
            ValueError: count is no whole number of at least 1, or more than fit into memory.
        """
        check_draws(_COPIES * self.machine.n, count=count)
        log_p = _log_probs(self)
        # by the cumulative sum: `categorical` would take a number for every state of every draw
        places = jax.random.choice(key, log_p.size, (count,), p=jnp.exp(log_p))
        return bits_of(places, self.machine.n).astype(log_p.dtype)

    def log_prob(self, x: Float[ArrayLike, "N n"]) -> Float[Array, " N"]:
        """log p(x) of rows of bits, in nats.

        Raises:
            ValueError: rows of another length, or of what are no bits.
        """
        bits = _rows_of_bits(x, self.machine.n)
        places = (bits @ 2.0 ** np.arange(self.machine.n)[::-1]).astype(int)
        return _log_probs(self)[places]


def _rows_of_bits(x: ArrayLike, n: int) -> Float[np.ndarray, "N n"]:
    bits = np.asarray(x)
    if bits.ndim != 2 or bits.shape[1] != n or not np.isin(bits, (0, 1)).all():
        raise ValueError(f"Items are rows of {n} bits; got an array of shape {bits.shape}.")
    return bits


@eqx.filter_jit
def _log_probs(trained: SpinDistribution) -> Float[Array, " states"]:
    return trained.machine.log_probs(trained.theta)
