"""Pure states of a circuit, and their metric."""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from qnat.geometry.metric import AbstractMetric, check_real
from qnat.geometry.operators import BlockDiagonal

from ..backends.statevector import Statevector
from ..circuits.circuit import Circuit
from ..engine import tangent_gram
from ..operators.pauli import PauliSum

Params = dict[str, Float[Array, " _"]]

_FISHER = 4  # the quantum Fisher information of pure states is four times Fubini–Study


class PureState(eqx.Module):
    """|ψ(φ)⟩ = U(φ)|b⟩. Parameters are {"angles": (P,)} in radians, as those of a `LatentGibbs` without its latent.

    Attributes:
        circuit: U on n wires with P angles.
        bits: b, wire 0 first; empty for |0…0⟩.
    """

    circuit: Circuit
    bits: tuple[int, ...] = eqx.field(static=True, default=())

    def __check_init__(self) -> None:
        if self.bits and (len(self.bits) != self.circuit.n or not set(self.bits) <= {0, 1}):
            raise ValueError(f"A state of {self.circuit.n} wires starts from as many bits, 0 or 1; got {self.bits}.")

    @property
    def basis(self) -> int:
        """b as an integer, wire 0 its most significant bit."""
        return sum(bit << place for place, bit in enumerate(reversed(self.bits)))

    def init(self, key: PRNGKeyArray, *, scale: float = 0.1) -> Params:
        """Normal angles of standard deviation π·`scale`."""
        return {"angles": scale * jnp.pi * jax.random.normal(key, (self.circuit.num_angles,))}

    def state(self, params: Params) -> Complex[Array, " d"]:
        """Amplitudes, wire 0 the most significant bit."""
        return Statevector().state(self.circuit, params["angles"], self._start)

    def energy(self, params: Params, hamiltonian: PauliSum) -> Float[Array, ""]:
        """⟨ψ|H|ψ⟩, with gradients by the adjoint method."""
        return Statevector().expectation(self.circuit, params["angles"], self._start, hamiltonian)

    def infidelity(self, params: Params, reference: Params) -> Float[Array, ""]:
        """1 − |⟨ψ(reference)|ψ(params)⟩|², whose Hessian where the two coincide is half the `PureMetric`."""
        psi, phi = self.state(params), self.state(reference)
        rest = psi - phi * jnp.vdot(phi, psi)  # its square, where 1 − |⟨φ|ψ⟩|² would cancel and might be negative
        return jnp.vdot(rest, rest).real

    @property
    def _start(self) -> Array:
        return jnp.asarray(self.bits or (0,) * self.circuit.n)


class PureMetric(AbstractMetric):
    """The quantum Fisher information of a PureState, dense, from one sweep: the limit of SLD, 4 × Fubini–Study.

    G = 4 Re(⟨∂ₖψ|∂ₗψ⟩ − ⟨∂ₖψ|ψ⟩⟨ψ|∂ₗψ⟩), Fisher-normalised as every metric here; `fubini_study` is a quarter of it.

    Attributes:
        model: the model.
    """

    model: PureState

    def at(self, params: Params, batch: None = None, *, key: PRNGKeyArray | None = None) -> BlockDiagonal:
        check_real(self, params)
        gram = tangent_gram(self.model.circuit, params["angles"], self.model.basis)
        return BlockDiagonal({"angles": lx.MatrixLinearOperator(_FISHER * gram, lx.positive_semidefinite_tag)})
