"""Wake–sleep gradients of Helmholtz machines, and the exact block-diagonal Fisher metric of both their networks."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.geometry.metric import AbstractMetric
from qnat.geometry.operators import BlockDiagonal
from qnat.geometry.structured import UnitBlocks

from ..models.helmholtz import HelmholtzMachine, Params, States, Weights

Algorithm = Literal["ws", "rws", "bihm"]


class Draws(NamedTuple):
    """wake: (samples, B) states with data below, from the recogniser. sleep: (samples · B,) from the generator."""

    wake: States
    sleep: States


def draws(
    machine: HelmholtzMachine, params: Params, x: Float[Array, "B n"], samples: int, *, key: PRNGKeyArray
) -> Draws:
    """Wake states of every item and as many dreams."""
    wake_key, sleep_key = jax.random.split(key)
    repeated = jnp.broadcast_to(x, (samples, *x.shape))
    wake = machine.recognise(params["recogniser"], repeated, key=wake_key)
    return Draws(wake, machine.dream(params["generator"], samples * len(x), key=sleep_key))


def score(
    machine: HelmholtzMachine, weights: Weights, states: States, part: str, importance: Float[Array, "*s"]
) -> Weights:
    """Σ importance · ∇ log p over states: of a unit with probability s, (u − s) φ."""
    layers = zip(weights, machine.units(states, part), machine.parents(states, part), strict=True)
    found = []
    for w, bits, phi in layers:
        errors = importance[..., None] * (bits - jax.nn.sigmoid(phi @ w.T))
        found.append(errors.reshape(-1, len(w)).T @ phi.reshape(-1, phi.shape[-1]))
    return found


def value_and_grad(
    machine: HelmholtzMachine,
    params: Params,
    x: Float[Array, "B n"],
    *,
    algorithm: Algorithm,
    samples: int,
    key: PRNGKeyArray,
) -> tuple[Float[Array, ""], Params]:
    """An estimate of −log p(x), the mean over items in nats, and the (negative) direction of the algorithm.

    The generator follows its score under importance weights ∝ p/q ("rws") or √(p/q) ("bihm") of the wake states. The
    recogniser follows the score of dreams ("ws"), half of it and half of its score under the weights less their mean
    ("rws"), or the latter alone ("bihm", whose value is an upper bound of −log p up to sampling). These are not the
    gradients of one loss.

    Args:
        machine: the model. params, x: where.
        algorithm: "ws" takes samples = 1.
        samples: K_s ≥ 1, draws of the hidden units an item.
        key: for the draws.

    Reference: G. Hinton et al., Science 268, 1158 (1995); J. Bornschein, Y. Bengio, arXiv:1406.2751;
    J. Bornschein et al., arXiv:1506.03877.
    """
    if samples < 1 or (algorithm == "ws" and samples != 1):
        raise ValueError(f"{algorithm} draws {'one sample' if algorithm == 'ws' else 'at least one'}; got {samples}.")
    wake, sleep = draws(machine, params, x, samples, key=key)
    power = 0.5 if algorithm == "bihm" else 1.0
    log_ratios = power * machine.log_ratio(params, wake)
    importance = jax.nn.softmax(log_ratios, axis=0) / len(x)
    value = -jnp.mean(jax.nn.logsumexp(log_ratios, axis=0) - jnp.log(samples)) / power
    generator = score(machine, params["generator"], wake, "generator", importance)
    baseline = 1 / (samples * len(x))  # the score has mean zero: this takes away variance only
    awake = score(machine, params["recogniser"], wake, "recogniser", importance - baseline)
    if algorithm == "bihm":
        recogniser = awake
    else:
        even = jnp.full(len(sleep[0]), 1 / len(sleep[0]), x.dtype)
        asleep = score(machine, params["recogniser"], sleep, "recogniser", even)
        recogniser = asleep if algorithm == "ws" else [(a + b) / 2 for a, b in zip(awake, asleep, strict=True)]
    return value, jax.tree.map(jnp.negative, {"generator": generator, "recogniser": recogniser})


class HelmholtzFisher(AbstractMetric):
    """The Fisher metric of p(x, h) and of q(h|x) on data: a block Σ s(1 − s) φφᵀ a unit, and nothing between units.

    The structure is exact; the means are over dreams for the generator and over wake states for the recogniser. It is
    the metric of the joint distribution, not of the marginal p(x).

    Attributes:
        machine: the model; `at` wants a batch (B, n) of visible bits and a key.
        items: B. samples: draws of the hidden units an item.

    Reference: C. Várady et al., arXiv:2008.06687.
    """

    machine: HelmholtzMachine
    items: int = eqx.field(static=True)
    samples: int = eqx.field(static=True, default=10)

    def start(self, params: Params) -> BlockDiagonal:
        """The operator with zeros in it, for `scale_by_running_metric`."""
        count = self.items * self.samples

        def zeros(weights: Weights) -> list[UnitBlocks]:
            return [
                UnitBlocks(jnp.zeros((count, w.shape[1]), w.dtype), jnp.zeros((len(w), count), w.dtype))
                for w in weights
            ]

        return BlockDiagonal({part: zeros(weights) for part, weights in params.items()})

    def passes(self, batch: Any = None) -> float:
        """None: the probabilities of the units, which forward passes give, are all it needs."""
        return 0.0

    def at(self, params: Params, batch: Any = None, *, key: PRNGKeyArray | None = None) -> BlockDiagonal:
        if key is None:
            raise ValueError("The Fisher metric of a Helmholtz machine is a mean over draws; pass key=.")
        if len(batch) != self.items:
            raise ValueError(f"The metric was made for batches of {self.items} items; got {len(batch)}.")
        wake, sleep = draws(self.machine, params, batch, self.samples, key=key)
        return BlockDiagonal(
            {
                "generator": self._blocks(params["generator"], sleep, "generator"),
                "recogniser": self._blocks(params["recogniser"], wake, "recogniser"),
            }
        )

    def _blocks(self, weights: Weights, states: States, part: str) -> list[UnitBlocks]:
        found = []
        for w, phi in zip(weights, self.machine.parents(states, part), strict=True):
            features = phi.reshape(-1, phi.shape[-1])
            s = jax.nn.sigmoid(w @ features.T)
            found.append(UnitBlocks(features, s * (1 - s) / len(features)))
        return found
