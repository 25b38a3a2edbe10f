"""Families of bits, exact while their states are summed over: products of spins, and Boltzmann machines of them."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .families import AbstractExponentialFamily
from .mirror import LogPartition
from .newton import invert_gradient
from .spin_covariance import SpinCovariance
from .spins import all_bits, bits_of, masks, walsh

_ENUMERABLE = 24
"""Units whose states are still summed over: a vector of 2^24 numbers takes 134 MB."""
LAYER = 20
"""Units whose states are still listed, with their statistics or with the fields on another layer."""


class AbstractBitFamily(eqx.Module):
    """Distributions p_θ(x) ∝ exp f_θ(x) of n bits x, all 2^n states at once, in the order of `all_bits`.

    Attributes:
        n: bits.
    """

    n: eqx.AbstractVar[int]

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, *, scale: float = 0.1) -> Float[Array, " T"]:
        """Random parameters whose exponents are of the order of `scale`."""

    @abc.abstractmethod
    def exponents(self, theta: Float[Array, " T"]) -> Float[Array, " states"]:
        """f_θ of every state."""

    @abc.abstractmethod
    def covariance(self, theta: Float[Array, " T"], p: Float[Array, " states"]) -> lx.AbstractLinearOperator:
        """Of ∂f_θ/∂θ under any distribution p over all states: the Fisher metric where p is p_θ."""

    @abc.abstractmethod
    def scaled(self, theta: Float[Array, " T"], factor: float | Float[Array, ""]) -> Float[Array, " T"]:
        """The parameters whose exponents are `factor` times as large: p_θ to that power, normalised."""

    def log_probs(self, theta: Float[Array, " T"]) -> Float[Array, " states"]:
        """log p of every state; final."""
        return jax.nn.log_softmax(self.exponents(theta))

    def sample(self, theta: Float[Array, " T"], *, key: PRNGKeyArray) -> Float[Array, " n"]:
        """One x from p_θ; final."""
        log_p = self.log_probs(theta)
        return bits_of(jax.random.categorical(key, log_p), self.n).astype(log_p.dtype)


class AbstractSpinFamily(AbstractBitFamily, AbstractExponentialFamily):
    """p(x) = exp(Σ_S θ_S Π_{i∈S} sᵢ − A(θ)) on bits x, with the spins s = 1 − 2x.

    The mean parameters are the correlations ⟨Π sᵢ⟩. With Pauli strings of Z in place of the products it is a quantum
    exponential family on diagonal states, with the same numbers. Sums over all states are Walsh–Hadamard transforms;
    there is no table of statistics. Correlations of no distribution are found out by solving, so that they are NaN in
    natural parameters outside jit as well.

    Attributes:
        n: units. interactions: different sets S of units, a parameter each; see `subsets`.
    """

    interactions: eqx.AbstractVar[tuple[tuple[int, ...], ...]]

    def init(self, key: PRNGKeyArray, *, scale: float = 0.1) -> Float[Array, " T"]:
        """Normal parameters of standard deviation `scale`."""
        return scale * jax.random.normal(key, (len(self.interactions),))

    @property
    def names(self) -> tuple[str, ...]:
        """What each interaction is called: its units, with hyphens between them."""
        return tuple("-".join(map(str, each)) for each in self.interactions)

    @property
    def masks(self) -> Int[np.ndarray, " T"]:
        """The interactions as numbers of states; see `spins.masks`.

        Raises:
            ValueError: there are too many states to sum over.
        """
        if self.n > _ENUMERABLE:
            raise ValueError(f"{self.n} units have too many states to sum over; at most {_ENUMERABLE} are enumerated.")
        return masks(self.n, self.interactions)

    @property
    def exponential_family(self) -> LogPartition:
        """The same family by the table of its statistics, (T, 2^n)."""
        if self.n > LAYER:
            raise ValueError(f"{self.n} units have too many states to list; at most {LAYER} are.")
        return LogPartition(self._statistics(jnp.asarray(all_bits(self.n))).T)

    def _statistics(self, bits: Float[Array, "*s n"]) -> Float[Array, "*s T"]:
        spins = 1 - 2 * bits
        return jnp.stack([jnp.prod(spins[..., list(each)], axis=-1) for each in self.interactions], axis=-1)

    def statistic(self, x: Float[Array, " n"]) -> Float[Array, " T"]:
        return self._statistics(x)

    def log_base(self, x: Array) -> Float[Array, ""]:
        return jnp.zeros(())

    def mean_log_base(self, theta: Float[Array, " T"]) -> Float[Array, ""]:
        return jnp.zeros(())

    def moments(self, x: Float[Array, "N n"]) -> Float[Array, " T"]:
        """Means of the statistics over data: what a machine of maximum likelihood has for mean parameters."""
        return jnp.mean(self._statistics(x), axis=0)

    def means(self, p: Float[Array, " states"]) -> Float[Array, " T"]:
        """Means of the statistics under any distribution over all states, in the order of `all_bits`."""
        return walsh(p)[self.masks]

    def exponents(self, theta: Float[Array, " T"]) -> Float[Array, " states"]:
        theta = jnp.asarray(theta)
        return walsh(jnp.zeros(2**self.n, theta.dtype).at[self.masks].set(theta))

    def covariance(self, theta: Float[Array, " T"], p: Float[Array, " states"]) -> SpinCovariance:
        return SpinCovariance(p, self.interactions)

    def scaled(self, theta: Float[Array, " T"], factor: float | Float[Array, ""]) -> Float[Array, " T"]:
        return factor * theta


class BoltzmannMachine(AbstractSpinFamily):
    """The machine all of whose units are visible, for up to 24 of them.

    Its potential, its means and products with its Fisher matrix each take one or two transforms. With all 2^n − 1
    interactions, order n, it is any distribution; then both ways between the charts are transforms, and so is the
    damped natural gradient.

    Attributes:
        n: units. interactions: different sets S of units, a parameter each; see `subsets`.

    Reference: D. Ackley, G. Hinton, T. Sejnowski, Cogn. Sci. 9, 147 (1985).
    """

    n: int = eqx.field(static=True)
    interactions: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        units = {frozenset(each) for each in self.interactions}
        once = sum(map(len, units)) == sum(map(len, self.interactions))
        if not units or not once or not all(each and each <= set(range(self.n)) for each in units):
            raise ValueError(f"Interactions are different sets of units 0 … {self.n - 1}; got {self.interactions}.")

    def potential(self, theta: Float[Array, " T"]) -> Float[Array, ""]:
        return jax.nn.logsumexp(self.exponents(theta))

    def hessian(self, theta: Float[Array, " T"]) -> SpinCovariance:
        return self.covariance(theta, jnp.exp(self.log_probs(theta)))

    def to_primal(self, eta: Float[Array, " T"]) -> Float[Array, " T"]:
        eta = jnp.asarray(eta)
        if len(self.interactions) < 2**self.n - 1:
            return invert_gradient(self.potential, self.hessian, eta)
        p = walsh(jnp.zeros(2**self.n, eta.dtype).at[self.masks].set(eta).at[0].set(1)) / 2**self.n
        inside = jnp.all(p > 0)
        theta = walsh(jnp.log(jnp.where(inside, p, 1)))[self.masks] / 2**self.n
        return jnp.where(inside, theta, jnp.nan)
