"""A thermal state that was trained, ready for measurements and for other programs."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact, Int, PRNGKeyArray, PyTree

from qnat.experiment.bounds import check_draws

from ..backends.openqasm import to_openqasm
from ..measure.counts import outcome_probabilities
from ..models import GibbsFamily, LatentGibbs
from ..operators.pauli import PauliSum
from .observables import thermal_observables


class ThermalState(eqx.Module):
    """ρ of a model with its parameters, meant as exp(−βH)/Z; `qnat.experiment.Run.model` makes it from a run.

    Wire 0 is the leftmost Kronecker factor, bit 0 has spin +1.

    Attributes:
        model: a LatentGibbs or a GibbsFamily. params: its parameters.
        log_p: (d,) log-eigenvalues of ρ. basis: (d, d) its eigenvectors, columns.
        hamiltonian: (d, d) H. beta: inverse temperature, in inverse units of energy.
    """

    model: LatentGibbs | GibbsFamily
    params: PyTree[Array]
    log_p: Float[Array, " d"]
    basis: Inexact[Array, "d d"]
    hamiltonian: Inexact[Array, "d d"]
    beta: Float[Array, ""]

    def __init__(
        self,
        model: LatentGibbs | GibbsFamily,
        params: PyTree[Array],
        hamiltonian: Inexact[Array, "d d"] | None = None,
        beta: float | Float[Array, ""] = 1.0,
    ) -> None:
        """The state of these parameters; without a Hamiltonian it has the one that it is thermal for, −log ρ/β."""
        self.model, self.params = model, params
        self.log_p, self.basis = _spectrum(model, params)
        if hamiltonian is None:
            hamiltonian = (self.basis * -self.log_p) @ self.basis.conj().T / beta
        self.hamiltonian, self.beta = hamiltonian, jnp.asarray(beta, self.log_p.dtype)

    @property
    def n(self) -> int:
        """How many qubits there are."""
        return self.log_p.size.bit_length() - 1

    @eqx.filter_jit
    def state(self) -> Inexact[Array, "d d"]:
        """The density matrix ρ."""
        return (self.basis * jnp.exp(self.log_p)) @ self.basis.conj().T

    @eqx.filter_jit
    def expectation(self, observable: PauliSum) -> Float[Array, ""]:
        """Tr ρO, in the units of the observable.

        Raises:
            ValueError: the observable acts on another number of qubits.
        """
        if observable.n != self.n:
            raise ValueError(f"The observable acts on {observable.n} qubits and the state has {self.n}; pad it with I.")
        return jnp.exp(self.log_p) @ jnp.sum((self.basis.conj() * observable.apply(self.basis)).real, axis=0)

    @eqx.filter_jit
    def observables(self) -> dict[str, Array]:
        """Energy and magnetisation densities, responses, correlations and local marginals: `thermal_observables`."""
        return thermal_observables(self.log_p, self.basis, self.hamiltonian, self.beta)

    def sample(self, shots: int, *, key: PRNGKeyArray, axes: str | None = None) -> Int[Array, "shots n"]:
        """Outcomes of measuring every qubit of so many copies, 0 for the eigenvalue +1.

        Args:
            shots: how many copies. key: of the random numbers.
            axes: a letter X, Y or Z a qubit, along which it is measured; by default all along Z.

        Raises:
            ValueError: shots is no whole number of at least 1, or more than fit into memory; or unknown axes.
        """
        axes = "Z" * self.n if axes is None else axes
        if len(axes) != self.n or not set(axes) <= set("XYZ"):
            raise ValueError(f"axes is '{axes}'; give a letter X, Y or Z for each of the {self.n} qubits.")
        return self._drawn(jnp.asarray(outcome_probabilities(np.asarray(self.state()), axes)), shots, key)

    def latent(self, shots: int, *, key: PRNGKeyArray) -> Int[Array, "shots n"]:
        """Bitstrings of the latent distribution: run through the circuit, they are copies of ρ.

        Raises:
            ValueError: the model has no circuit; or as `sample` of shots.
        """
        self._with_circuit()
        return self._drawn(jnp.exp(self.log_p), shots, key)

    def _drawn(self, p: Float[Array, " d"], shots: int, key: PRNGKeyArray) -> Int[Array, "shots n"]:
        check_draws(2 * self.n, shots=shots)
        index = jax.random.choice(key, p.size, (shots,), p=p)
        return index[:, None] >> jnp.arange(self.n)[::-1] & 1

    def _with_circuit(self) -> LatentGibbs:
        if not isinstance(self.model, LatentGibbs):
            raise ValueError("An exponential family has no circuit; train model qhbm for one.")
        return self.model

    def to_pennylane(self) -> Callable[..., None]:
        """A PennyLane quantum function that prepares ρ on the wires 0, 1, …

        Without arguments it sets a device of mixed states, such as default.mixed, to ρ. With one of the bitstrings of
        `latent` it starts from that basis state and applies the circuit, on any device: averaged over them that is ρ.
        """
        from ..backends.pennylane_gates import preparation

        if not isinstance(self.model, LatentGibbs):
            return preparation(np.asarray(self.state()))
        return preparation(np.asarray(self.state()), self.model.circuit, np.asarray(self.params["angles"]))

    def to_openqasm(self) -> str:
        """An OpenQASM 3 program of the circuit; its input is a bitstring of `latent`, averaged over which it makes ρ.

        Raises:
            ValueError: the model has no circuit, or a gate of it has no counterpart.
        """
        return to_openqasm(self._with_circuit().circuit, np.asarray(self.params["angles"]))


@eqx.filter_jit
def _spectrum(
    model: LatentGibbs | GibbsFamily, params: PyTree[Array]
) -> tuple[Float[Array, " d"], Inexact[Array, "d d"]]:
    return model.spectrum(params)
