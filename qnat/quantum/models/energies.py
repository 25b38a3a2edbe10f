"""An energy of bit strings that is a neural network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.geometry.spin_families import AbstractBitFamily
from qnat.geometry.spins import all_bits


class NetworkEnergy(AbstractBitFamily):
    """p(b) ∝ exp(−E(b)), E(b) = v · tanh(W s + c) with the spins s = 1 − 2b: one hidden layer, no bias of the output.

    A constant would change no probability and make the metric singular. The parameters are W and c row by row, then v;
    with the opposite sign they are the same energy.

    Attributes:
        n: bits. hidden: units ≥ 1 of the hidden layer.
    """

    n: int = eqx.field(static=True)
    hidden: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.hidden < 1:
            raise ValueError(f"The latent energy needs at least one hidden unit; got {self.hidden}.")

    def init(self, key: PRNGKeyArray, *, scale: float = 0.1) -> Float[Array, " T"]:
        """Normal weights, those of the output of standard deviation `scale`."""
        inner, outer = jax.random.split(key)
        first = jax.random.normal(inner, (self.hidden, self.n + 1)) / jnp.sqrt(self.n + 1)
        return jnp.concatenate([first.ravel(), scale * jax.random.normal(outer, (self.hidden,))])

    def exponents(self, theta: Float[Array, " T"]) -> Float[Array, " d"]:
        first, last = theta[: -self.hidden].reshape(self.hidden, self.n + 1), theta[-self.hidden :]
        spins = jnp.asarray(1 - 2 * all_bits(self.n), theta.dtype)
        return -jnp.tanh(spins @ first[:, : self.n].T + first[:, self.n]) @ last

    def covariance(self, theta: Float[Array, " T"], p: Float[Array, " d"]) -> lx.MatrixLinearOperator:
        slopes = jax.jacrev(self.exponents)(theta)
        centred = slopes - p @ slopes
        return lx.MatrixLinearOperator((p * centred.T) @ centred, lx.positive_semidefinite_tag)

    def scaled(self, theta: Float[Array, " T"], factor: float | Float[Array, ""]) -> Float[Array, " T"]:
        return theta.at[-self.hidden :].multiply(factor)
