"""Learning a Boltzmann machine: the relative entropy from a distribution, exactly."""

import types
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qnat.experiment.measures import ERROR, EXACT, Artifact, Measure, Panel
from qnat.experiment.task import Reference, Task
from qnat.geometry import AbstractMetric, EuclideanMetric, HessianMetric, kl
from qnat.geometry.spin_families import BoltzmannMachine
from qnat.geometry.spins import subsets

from ..models.trained import SpinDistribution

_NAMED = 6
"""Most units whose states are named by their bits."""
_SMALLEST_VARIANCE = 1e-10
"""Of a combination of statistics; where it is smaller, θ has run away to infinity."""


class BoltzmannTask(Task):
    """Minimise KL(p‖p_θ), p a distribution over all states of the machine: that of a model, or of data.

    It is convex in θ, its gradient the mean parameters less those of p, its Hessian the Fisher metric. The task
    "learning" of the quantum branch is the same problem with generators that need not commute.

    Attributes:
        machine: the model. log_p: (2^n,) log p, −∞ where p is zero. moments: (P,) its mean parameters.
        theta_true: (P,) the θ of p if it is known. least: the relative entropy at maximum likelihood.
        items: how many items p was counted from; None if it is a distribution by itself.
    """

    name = "boltzmann"
    measures = (Measure("relative_entropy", "nats", exact=True),)
    units = types.MappingProxyType({"loss": "nats", "parameter_error": "nats"})
    panels = (Panel("points", "theta"),)
    machine: BoltzmannMachine
    log_p: Float[Array, " states"]
    moments: Float[Array, " P"]
    theta_true: Float[Array, " P"] | None
    least: Float[Array, ""]
    items: int | None = eqx.field(static=True)

    def __init__(
        self,
        machine: BoltzmannMachine,
        log_p: Float[ArrayLike, " states"],
        *,
        theta_true: Float[ArrayLike, " P"] | None = None,
        items: int | None = None,
    ) -> None:
        """A task from log-probabilities, of any normalisation; those counted from data say from how many `items`.

        Raises:
            ValueError: no machine has the moments of the distribution.
        """
        self.machine = machine
        self.log_p = jax.nn.log_softmax(jnp.asarray(log_p, float))
        self.items = items
        self.moments = machine.means(jnp.exp(self.log_p))
        self.theta_true = None if theta_true is None else jnp.asarray(theta_true, float)
        self.least = self._loss(_best(machine, self.moments) if self.theta_true is None else self.theta_true)

    def init(self, key: PRNGKeyArray) -> Float[Array, " P"]:
        return self.machine.init(key)

    def value_and_grad(
        self, params: Float[Array, " P"], batch: None = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], Float[Array, " P"]]:
        return jax.value_and_grad(self._loss)(params)

    def _loss(self, theta: Float[Array, " P"]) -> Float[Array, ""]:
        return kl(self.log_p, self.machine.log_probs(theta))

    @property
    def metrics(self) -> Mapping[str, AbstractMetric]:
        """Fisher's metric and the Euclidean one."""
        return {"fisher": HessianMetric(self.machine), "euclidean": EuclideanMetric()}

    @property
    def mirror(self) -> BoltzmannMachine:
        """The mirror map from θ to the moments."""
        return self.machine

    def evaluate(self, params: Float[Array, " P"]) -> dict[str, Float[Array, ""]]:
        """The relative entropy, the smallest eigenvalue of the Fisher matrix, and |θ − θ_true| where it is known."""
        fisher = HessianMetric(self.machine).at(params).as_matrix()
        found = {"relative_entropy": self._loss(params), "fisher_min": jnp.linalg.eigvalsh(fisher)[0]}
        if self.theta_true is not None:
            found["parameter_error"] = jnp.linalg.norm(params - self.theta_true)
        return found

    def trained(self, params: Float[Array, " P"]) -> SpinDistribution:
        """The machine with its parameters, which samples and tells probabilities."""
        return SpinDistribution(self.machine, params)

    def artifacts(self, params: Float[Array, " P"]) -> dict[str, Artifact]:
        """θ and its true value, or its standard errors; the probabilities of all states in the model and in the data.

        The errors are those of maximum likelihood from so many items that fit the machine: the roots of the diagonal of
        F⁻¹/N, F the Fisher matrix.
        """
        n = self.machine.n
        thetas = {"theta": params}
        if self.theta_true is not None:
            thetas[EXACT + "theta"] = self.theta_true
        if self.items is not None:
            fisher = HessianMetric(self.machine).at(params).as_matrix()
            thetas["theta" + ERROR] = jnp.sqrt(jnp.diagonal(jnp.linalg.inv(fisher)) / self.items)
        units = {"interaction": self.machine.names}
        states = {"state": [format(state, f"0{n}b") for state in range(2**n)]} if n <= _NAMED else {}
        both = {"probabilities": jnp.exp(self.machine.log_probs(params)), "data_probabilities": jnp.exp(self.log_p)}
        return {name: Artifact(each, ("interaction",), units, "nats", "θ") for name, each in thetas.items()} | {
            name: Artifact(each, ("state",), states, long_name="probability") for name, each in both.items()
        }

    @property
    def reference(self) -> Mapping[str, Reference]:
        """The least relative entropy that the machine has."""
        return {"loss": Reference(self.least, "maximum likelihood", 1e-12)}


def _best(machine: BoltzmannMachine, moments: Float[Array, " P"]) -> Float[Array, " P"]:
    """The θ of maximum likelihood; moments on the boundary of those that machines have belong to none."""
    best, variance = _solved(machine, moments)
    if not bool(variance > _SMALLEST_VARIANCE):  # NaN: no solution at all
        raise ValueError(
            "No Boltzmann machine has the moments of these data, in which some patterns of interacting units never "
            "occur; give more data, or a machine of lower order."
        )
    return best


@eqx.filter_jit
def _solved(machine: BoltzmannMachine, moments: Float[Array, " P"]) -> tuple[Float[Array, " P"], Float[Array, ""]]:
    """θ of the moments, and the smallest eigenvalue of the Fisher matrix there."""
    best = machine.to_primal(moments)
    return best, jnp.linalg.eigvalsh(HessianMetric(machine).at(best).as_matrix())[0]


def empirical(x: Float[np.ndarray, "N n"]) -> Float[np.ndarray, " states"]:
    """Logarithm of how often every state occurs among the rows of bits, in the order of `all_bits`; −∞ for never."""
    places = (x @ 2.0 ** np.arange(x.shape[1])[::-1]).astype(int)
    with np.errstate(divide="ignore"):
        return np.log(np.bincount(places, minlength=2 ** x.shape[1]) / len(x))


def from_bits(x: Float[np.ndarray, "N n"], order: int) -> BoltzmannTask:
    """The task of bits, for a machine with interactions of at most `order` units."""
    n = x.shape[1]
    return BoltzmannTask(BoltzmannMachine(n, subsets(n, order)), empirical(x), items=len(x))


def from_couplings(n: int, order: int, couplings: Mapping[tuple[int, ...], float]) -> BoltzmannTask:
    """The task of another machine, given by θ of its interactions; its θ is the answer where ours has all of them."""
    machine = BoltzmannMachine(n, subsets(n, order))
    log_p = BoltzmannMachine(n, tuple(couplings)).log_probs(jnp.array(list(couplings.values())))
    theta = np.array([couplings.get(each, 0.0) for each in machine.interactions])
    return BoltzmannTask(machine, log_p, theta_true=theta if set(couplings) <= set(machine.interactions) else None)
