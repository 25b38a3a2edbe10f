"""Noisy circuits: density matrices that have no logarithm in closed form, and their metrics."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact, PRNGKeyArray

from qnat.geometry.hermitian import dot
from qnat.geometry.metric import PullbackMetric
from qnat.geometry.monotone import Kind
from qnat.geometry.state_metrics import petz_density

from ..backends.statevector import unitary
from ..circuits.circuit import Circuit
from ..operators.pauli import PauliSum
from .channels import Channel
from .latent import all_interactions

Params = dict[str, Float[Array, " _"]]


class NoisyState(eqx.Module):
    """ρ(φ), or ρ(θ, φ): circuits and channels in turn, acting on |0…0⟩ or on a latent distribution.

    Dense: d² numbers for the state, d = 2^n, and d³ operations a step; meant for n up to about 6. Parameters are
    {"angles": (P,)} in radians, those of the circuits one after the other; with order > 0 also {"latent": (T,)}, the
    energies of a `LatentGibbs` of that order. Noise mixes the two: unlike there, their metric has no block structure.

    Attributes:
        steps: circuits on n wires, and channels on some of them. order: of the latent energy; 0 for |0…0⟩.
    """

    steps: tuple[Circuit | Channel, ...]
    order: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        sizes = {step.n for step in self.steps if isinstance(step, Circuit)}
        if len(sizes) != 1:
            raise ValueError(f"A noisy state needs circuits, all on the same number of wires; got {sorted(sizes)}.")
        n = sizes.pop()
        for step in self.steps:
            if isinstance(step, Channel) and not all(0 <= wire < n for wire in step.wires):
                raise ValueError(f"A channel on the wires {step.wires} does not fit circuits on {n} wires.")
        if not 0 <= self.order <= n:
            raise ValueError(f"The order of the latent energy must lie in 0..{n}; got {self.order}.")

    @classmethod
    def layered(cls, circuit: Circuit, *channels: Channel, order: int = 0) -> Self:
        """A circuit with the channels after each of its layers."""
        layer: tuple[Circuit | Channel, ...] = (Circuit(circuit.n, circuit.block), *channels)
        return cls(layer * circuit.layers, order)

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        """The steps without noise."""
        return tuple(step for step in self.steps if isinstance(step, Circuit))

    @property
    def n(self) -> int:
        """Number of wires."""
        return self.circuits[0].n

    @property
    def num_angles(self) -> int:
        """P, the number of angles."""
        return sum(circuit.num_angles for circuit in self.circuits)

    def init(self, key: PRNGKeyArray, *, scale: float = 0.1) -> Params:
        """Normal parameters of standard deviation `scale` (latent) and π·`scale` (angles)."""
        latent_key, angle_key = jax.random.split(key)
        params = {"angles": scale * jnp.pi * jax.random.normal(angle_key, (self.num_angles,))}
        if self.order:
            params["latent"] = all_interactions(self.n, self.order).init(latent_key, scale=scale)
        return params

    def density_matrix(self, params: Params) -> Inexact[Array, "d d"]:
        """ρ, differentiable in either mode."""
        angles, taken = params["angles"], 0
        rho = jnp.diag(self._start(params)).astype(angles.dtype)
        for step in self.steps:
            if isinstance(step, Channel):
                rho = step(rho)
                continue
            # metrics push tangents forward through this map
            U = unitary(step, angles[taken : taken + step.num_angles], mode="forward")
            rho, taken = dot(dot(U, rho), U.conj().T), taken + step.num_angles
        return rho

    def _start(self, params: Params) -> Float[Array, " d"]:
        """The distribution over bit strings before the first step."""
        if not self.order:
            return jnp.zeros(2**self.n).at[0].set(1)
        return jnp.exp(all_interactions(self.n, self.order).log_probs(-params["latent"]))

    def energy(self, params: Params, hamiltonian: PauliSum) -> Float[Array, ""]:
        """Tr ρH."""
        return jnp.trace(hamiltonian.apply(self.density_matrix(params))).real

    def metric(self, kind: Kind = "sld") -> PullbackMetric:
        """The monotone metric of ρ; for a state of deficient rank "sld" or "wigner_yanase"."""
        return PullbackMetric(self.density_matrix, petz_density(kind))
