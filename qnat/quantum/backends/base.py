"""What a backend promises."""

import abc

import equinox as eqx
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from ..circuits.circuit import Circuit
from ..operators.pauli import PauliSum


class AbstractBackend(eqx.Module):
    """Runs circuits on computational basis states.

    Angles are (P,) in radians, `bits` is (n,) of 0 and 1 with wire 0 first; bit 0 is spin +1. A backend of your own
    passes `qnat.quantum.backends.laws.check_backend`.
    """

    traceable: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def state(self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"]) -> Complex[Array, " d"]:
        """U(t)|b⟩, d = 2^n amplitudes, wire 0 the most significant bit."""

    @abc.abstractmethod
    def expectation(
        self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"], observable: PauliSum
    ) -> Float[Array, ""]:
        """⟨b|U† O U|b⟩ in the units of the observable."""

    @abc.abstractmethod
    def sample(
        self,
        circuit: Circuit,
        angles: Float[Array, " P"],
        bits: Int[Array, " n"],
        *,
        shots: int,
        key: PRNGKeyArray,
    ) -> Int[Array, "shots n"]:
        """Outcomes of measuring every wire of U|b⟩ in the computational basis."""
