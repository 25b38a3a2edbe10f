"""Restricted Boltzmann machines: a sum over the smaller layer."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .newton import invert_gradient
from .spin_families import LAYER, AbstractSpinFamily
from .spins import all_bits


class RestrictedBoltzmannMachine(AbstractSpinFamily):
    """A Boltzmann machine of visible and hidden units with couplings only between the two, one bias a unit.

    As an exponential family it is the joint distribution of (v, h). Parameters are one vector: biases of the visible
    units, then of the hidden ones, then the couplings (visible, hidden) row by row. Either layer, given the other, is
    independent, so that its spins are summed over in closed form; the potential is a sum over the smaller layer.

    Attributes:
        visible, hidden: units. n, interactions: of both layers together.

    Reference: G. Hinton, Neural Comput. 14, 1771 (2002).
    """

    n: int = eqx.field(static=True)
    interactions: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    visible: int = eqx.field(static=True)
    hidden: int = eqx.field(static=True)

    def __init__(self, visible: int, hidden: int) -> None:
        if min(visible, hidden) < 1:
            raise ValueError(f"A restricted machine has visible and hidden units; got {visible} and {hidden}.")
        self.visible, self.hidden, self.n = visible, hidden, visible + hidden
        pairs = itertools.product(range(visible), range(visible, visible + hidden))
        self.interactions = (*((unit,) for unit in range(self.n)), *pairs)

    def split(self, theta: Float[Array, " T"]) -> tuple[Array, Array, Array]:
        """(visible biases, hidden biases, couplings (visible, hidden))."""
        below, above, couplings = jnp.split(theta, [self.visible, self.n])
        return below, above, couplings.reshape(self.visible, self.hidden)

    def potential(self, theta: Float[Array, " T"]) -> Float[Array, ""]:
        below, above, couplings = self.split(theta)
        if self.hidden < self.visible:
            below, above, couplings = above, below, couplings.T
        if below.size > LAYER:
            raise ValueError(f"A layer of {below.size} units has too many states to sum over; at most {LAYER} are.")
        return jax.nn.logsumexp(-_free_energy(below, above, couplings, jnp.asarray(all_bits(below.size))))

    def to_primal(self, eta: Float[Array, " T"]) -> Float[Array, " T"]:
        return invert_gradient(self.potential, self.hessian, eta)

    def free_energy(self, theta: Float[Array, " T"], v: Float[Array, "*s visible"]) -> Float[Array, "*s"]:
        """−log Σ_h exp(θ·t(v, h)), so that p(v) = exp(−free energy − A)."""
        return _free_energy(*self.split(theta), v)

    def log_likelihood(self, theta: Float[Array, " T"], v: Float[Array, "*s visible"]) -> Float[Array, "*s"]:
        """log p(v), exactly."""
        return -self.free_energy(theta, v) - self.potential(theta)

    def gibbs_sweep(
        self, theta: Float[Array, " T"], v: Float[Array, "*s visible"], *, key: PRNGKeyArray
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
