"""Exact thermal data from a spectrum."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qnat.geometry.matrices import vectors


class Thermal(NamedTuple):
    """The Gibbs state exp(−βH)/Z in numbers; energies in the units of H, entropies in nats.

    Attributes:
        log_z: log Tr exp(−βH). energy: ⟨H⟩. entropy: S = β⟨H⟩ + log Z. variance: ⟨H²⟩ − ⟨H⟩².
        log_p: (d,) log-eigenvalues, for the energies in ascending order.
    """

    log_z: Float[Array, ""]
    energy: Float[Array, ""]
    entropy: Float[Array, ""]
    variance: Float[Array, ""]
    log_p: Float[Array, " d"]


@jax.jit
def thermal(energies: Float[Array, " d"], beta: float | Float[Array, ""]) -> Thermal:
    """Thermal data from one spectrum of H at inverse temperature β ≥ 0; never overflows, nor loses a small entropy."""
    (energies,) = vectors(energies=energies)
    # from the ground state up: the rounding of a large βE would else be an error of the normalisation
    ground = jnp.min(energies)
    excess = energies - ground
    log_z = jnp.log1p(jnp.sum(jnp.exp(-beta * excess).at[jnp.argmin(energies)].set(0)))
    log_p = -beta * excess - log_z
    p = jnp.exp(log_p)
    mean = p @ excess
    return Thermal(log_z - beta * ground, ground + mean, log_z + beta * mean, p @ (excess - mean) ** 2, log_p)
