"""Boltzmann machines: exponential families of products of spins, exact while the states can be enumerated."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.geometry.families import AbstractExponentialFamily
from qnat.geometry.mirror import LogPartition
from qnat.geometry.spins import all_bits

_ENUMERABLE = 20
"""Units whose states are still summed over."""


class BoltzmannMachine(AbstractExponentialFamily):
    """p(x) = exp(Σ_S θ_S Π_{i∈S} sᵢ − A(θ)) on bits x, with the spins s = 1 − 2x.

    It is the classical exponential family of `LogPartition`, the mean parameters being the correlations ⟨Π sᵢ⟩. With
    Pauli strings of Z in place of the products it is a quantum one on diagonal states, with the same numbers.

    Attributes:
        n: units. interactions: the sets S of units, a parameter each; see `subsets`.

    Reference: D. Ackley, G. Hinton, T. Sejnowski, Cogn. Sci. 9, 147 (1985).
    """

    n: int = eqx.field(static=True)
    interactions: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not self.interactions or not all(set(each) <= set(range(self.n)) and each for each in self.interactions):
            raise ValueError(f"Interactions are sets of units 0 … {self.n - 1}; got {self.interactions}.")

    def init(self, key: PRNGKeyArray, *, scale: float = 0.1) -> Float[Array, " P"]:
        """Normal parameters of standard deviation `scale`."""
        return scale * jax.random.normal(key, (len(self.interactions),))

    @property
    def exponential_family(self) -> LogPartition:
        """The same family by the table of its statistics, (P, 2^n)."""
        if self.n > _ENUMERABLE:
            raise ValueError(f"{self.n} units have too many states to sum over; at most {_ENUMERABLE} are enumerated.")
        return LogPartition(self._statistics(jnp.asarray(all_bits(self.n))).T)

    def _statistics(self, bits: Float[Array, "*s n"]) -> Float[Array, "*s P"]:
        spins = 1 - 2 * bits
        return jnp.stack([jnp.prod(spins[..., list(each)], axis=-1) for each in self.interactions], axis=-1)

    def potential(self, theta: Float[Array, " P"]) -> Float[Array, ""]:
        return self.exponential_family.potential(theta)

    def to_primal(self, eta: Float[Array, " P"]) -> Float[Array, " P"]:
        return self.exponential_family.to_primal(eta)

    def statistic(self, x: Float[Array, " n"]) -> Float[Array, " P"]:
        return self._statistics(x)

    def log_base(self, x: Array) -> Float[Array, ""]:
        return jnp.zeros(())

    def moments(self, x: Float[Array, "N n"]) -> Float[Array, " P"]:
        """Means of the statistics over data: what a maximum-likelihood machine has for mean parameters."""
        return jnp.mean(self._statistics(x), axis=0)

    def log_probs(self, theta: Float[Array, " P"]) -> Float[Array, " states"]:
        """log p of every state, in the order of `all_bits`."""
        return jax.nn.log_softmax(theta @ self.exponential_family.statistics)

    def sample(self, theta: Float[Array, " P"], *, key: PRNGKeyArray) -> Float[Array, " n"]:
        state = jax.random.categorical(key, self.log_probs(theta))
        return jnp.asarray(all_bits(self.n), theta.dtype)[state]


class RestrictedBoltzmannMachine(BoltzmannMachine):
    """A Boltzmann machine of visible and hidden units with couplings only between the two, one bias a unit.

    As an exponential family it is the joint distribution of (v, h). Parameters are one vector: biases of the visible
    units, then of the hidden ones, then the couplings (visible, hidden) row by row. Either layer, given the other, is
    independent, so that its spins are summed over in closed form.

    Attributes:
        visible, hidden: units.

    Reference: G. Hinton, Neural Comput. 14, 1771 (2002).
    """

    visible: int = eqx.field(static=True)
    hidden: int = eqx.field(static=True)

    def __init__(self, visible: int, hidden: int) -> None:
        self.visible, self.hidden, self.n = visible, hidden, visible + hidden
        pairs = itertools.product(range(visible), range(visible, visible + hidden))
        self.interactions = (*((unit,) for unit in range(self.n)), *pairs)

    def split(self, theta: Float[Array, " P"]) -> tuple[Array, Array, Array]:
        """(visible biases, hidden biases, couplings (visible, hidden))."""
        below, above, couplings = jnp.split(theta, [self.visible, self.n])
        return below, above, couplings.reshape(self.visible, self.hidden)

    def potential(self, theta: Float[Array, " P"]) -> Float[Array, ""]:
        """A(θ), a sum over the states of the smaller layer."""
        below, above, couplings = self.split(theta)
        if self.hidden < self.visible:
            below, above, couplings = above, below, couplings.T
        if below.size > _ENUMERABLE:
            raise ValueError(f"A layer of {below.size} units has too many states to sum over.")
        return jax.nn.logsumexp(-_free_energy(below, above, couplings, jnp.asarray(all_bits(below.size))))

    def free_energy(self, theta: Float[Array, " P"], v: Float[Array, "*s visible"]) -> Float[Array, "*s"]:
        """−log Σ_h exp(θ·t(v, h)), so that p(v) = exp(−free energy − A)."""
        return _free_energy(*self.split(theta), v)

    def log_likelihood(self, theta: Float[Array, " P"], v: Float[Array, "*s visible"]) -> Float[Array, "*s"]:
        """log p(v), exactly."""
        return -self.free_energy(theta, v) - self.potential(theta)

    def gibbs_sweep(
        self, theta: Float[Array, " P"], v: Float[Array, "*s visible"], *, key: PRNGKeyArray
    ) -> Float[Array, "*s visible"]:
        """One sweep of block Gibbs sampling, v → h → v, which leaves p(v) as it is."""
        below, above, couplings = self.split(theta)
        up, down = jax.random.split(key)
        h = _draw(above + (1 - 2 * v) @ couplings, up)
        return _draw(below + (1 - 2 * h) @ couplings.T, down)


def _free_energy(
    below: Float[Array, " n"], above: Float[Array, " m"], couplings: Float[Array, "n m"], bits: Float[Array, "*s n"]
) -> Float[Array, "*s"]:
    spins = 1 - 2 * bits
    fields = above + spins @ couplings
    return -spins @ below - jnp.sum(jnp.logaddexp(fields, -fields), axis=-1)  # log 2cosh


def _draw(fields: Float[Array, "*s n"], key: PRNGKeyArray) -> Float[Array, "*s n"]:
    """Bits with p(s) ∝ exp(field · s)."""
    return jax.random.bernoulli(key, jax.nn.sigmoid(-2 * fields)).astype(fields.dtype)
