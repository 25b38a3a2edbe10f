"""PennyLane: its operators, its molecules, and every device of its as a backend, through NumPy only.

Wire 0, the leftmost Kronecker factor, is the first of PennyLane's labels in the order that is given or shown. No metric
is ever taken from PennyLane: its metric tensor of a noisy circuit is wrong, and that of a JAX circuit fails.
"""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
from jaxtyping import Array, ArrayLike, Complex, Float, Int, PRNGKeyArray

from ..circuits.circuit import Circuit
from ..operators.pauli import PauliSum
from .base import AbstractBackend
from .pennylane_circuits import order_of
from .pennylane_gates import from_circuit
from .pennylane_traced import to_circuit

__all__ = ["MOLECULES", "PennyLane", "from_circuit", "from_pauli_sum", "molecule", "to_circuit", "to_pauli_sum"]


def to_pauli_sum(operator: Any, wires: Sequence[Any] | None = None) -> PauliSum:
    """Any PennyLane operator that is a sum of Pauli words, or has a matrix, as a PauliSum.

    Args:
        operator: a Hamiltonian, a sum, product or multiple of Pauli operators, `qml.Hermitian`, a PauliSentence, …
        wires: labels in the order of our wires; 0, 1, … by default.

    Raises:
        ValueError: the operator is not Hermitian, has no Pauli form, or acts on other wires.
    """
    labels = order_of(operator.wires, wires)
    words = operator if isinstance(operator, qml.pauli.PauliSentence) else operator.pauli_rep
    if words is None:
        if not operator.has_matrix:
            raise ValueError(f"The operator '{operator.name}' has neither a Pauli form nor a matrix.")
        matrix = np.asarray(qml.matrix(operator))
        if not np.allclose(matrix, matrix.conj().T):
            raise ValueError(f"The operator '{operator.name}' is not Hermitian; a Hamiltonian has to be.")
        words = qml.pauli_decompose(matrix, wire_order=operator.wires, pauli=True)
    terms = []
    for word, coefficient in words.items():
        number, string = complex(coefficient), "".join(word.get(label, "I") for label in labels)
        if abs(number.imag) > 1e-12 * max(1.0, abs(number)):
            raise ValueError(f"The coefficient {number} of '{string}' is complex; a Hamiltonian needs real ones.")
        terms.append((string, number.real))
    return PauliSum.from_terms(terms or [("I" * len(labels), 0.0)])


def from_pauli_sum(pauli_sum: PauliSum, wires: Sequence[Any] | None = None) -> Any:
    """The PennyLane Hamiltonian on the given labels, 0, 1, … by default."""
    labels = tuple(range(pauli_sum.n)) if wires is None else tuple(wires)
    if len(labels) != pauli_sum.n:
        raise ValueError(f"The Pauli sum acts on {pauli_sum.n} wires; got the labels {list(labels)}.")
    place = {label: k for k, label in enumerate(labels)}
    words = [qml.pauli.string_to_pauli_word(string, wire_map=place) for string in pauli_sum.strings]
    return qml.Hamiltonian(np.asarray(pauli_sum.coefficients, float), words)


class _Molecule(NamedTuple):
    """symbols of a linear chain of atoms, charge of the whole, default distance of neighbours in bohr."""

    symbols: tuple[str, ...]
    charge: int
    bond_length: float


MOLECULES = {
    "H2": _Molecule(("H", "H"), 0, 1.401),
    "HeH+": _Molecule(("He", "H"), 1, 1.463),
    "H3+": _Molecule(("H", "H", "H"), 1, 1.65),
    "H4": _Molecule(("H",) * 4, 0, 1.8),
}
"""Linear molecules by name, atoms equally spaced; 4, 4, 6 and 8 qubits."""


def molecule(
    symbols: str | Sequence[str],
    coordinates: Float[ArrayLike, "atoms 3"] | None = None,
    *,
    bond_length: float | None = None,
    charge: int = 0,
) -> PauliSum:
    """The electrons of a molecule in the STO-3G basis: Hartree–Fock orbitals, Jordan–Wigner, energies in hartree.

    Hartree–Fock is PennyLane's own. The qubits span the whole Fock space, so a thermal state mixes all numbers of
    electrons: it is grand canonical at chemical potential 0.

    Args:
        symbols: elements, or a name of `MOLECULES`. coordinates: (atoms, 3) in bohr, for elements.
        bond_length: distance of neighbours in bohr, for a name. charge: of the molecule, for elements.
    """
    if isinstance(symbols, str):
        if symbols not in MOLECULES:
            raise ValueError(
                f"Unknown molecule '{symbols}'; use {', '.join(MOLECULES)}, or give elements and coordinates."
            )
        if coordinates is not None:
            raise ValueError(f"'{symbols}' is a chain of known shape; give bond_length=, or elements and coordinates.")
        symbols, charge, default = MOLECULES[symbols]
        length = default if bond_length is None else bond_length
        if not 0 < length < np.inf:
            raise ValueError(f"A bond length is a positive number of bohr; got {length}.")
        coordinates = length * np.outer(np.arange(len(symbols)), [0.0, 0.0, 1.0])
    positions = np.asarray(coordinates, float)
    if positions.shape != (len(symbols), 3):
        raise ValueError(f"{len(symbols)} atoms need coordinates of shape ({len(symbols)}, 3); got {positions.shape}.")
    geometry = qml.qchem.Molecule(list(symbols), positions, charge=charge, unit="bohr")
    hamiltonian, qubits = qml.qchem.molecular_hamiltonian(geometry, method="dhf", mapping="jordan_wigner")
    return to_pauli_sum(hamiltonian, range(qubits))


@functools.lru_cache(maxsize=8)
def _named_device(name: str, n: int) -> Any:
    return qml.device(name, wires=n)


class PennyLane(AbstractBackend):
    """A PennyLane device as a backend.

    Attributes:
        device: its name ("default.qubit", "lightning.qubit", "default.mixed", …), and one with as many wires as the
            circuit is made; or a device of your own, whose wires are used in their order.
        shots: measurements per expectation; None for exact ones. Their randomness is the device's own: give one made
            with a seed to repeat a run.
    """

    traceable: ClassVar[bool] = False
    device: Any = eqx.field(static=True, default="default.qubit")
    shots: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.shots is not None and self.shots < 1:
            raise ValueError(f"shots must be at least 1, or None for exact expectations; got {self.shots}.")

    def _device(self, n: int) -> tuple[Any, tuple[Any, ...]]:
        """(device, labels of our wires on it)."""
        device = _named_device(self.device, n) if isinstance(self.device, str) else self.device
        labels = tuple(range(n)) if device.wires is None else tuple(device.wires)
        if len(labels) < n:
            raise ValueError(f"The circuit has {n} wires, the device {device.name} only {len(labels)}: {list(labels)}.")
        return device, labels[:n]

    def _run(
        self,
        device: Any,
        labels: tuple[Any, ...],
        circuit: Circuit,
        angles: Any,
        bits: Int[Array, " n"],
        measurement: Any,
        shots: int | None = None,
        **options: Any,
    ) -> Any:
        start = [qml.X(label) for label, bit in zip(labels, np.asarray(bits).tolist(), strict=True) if bit]
        tape = qml.tape.QuantumScript([*start, *from_circuit(circuit, angles, labels)], [measurement], shots=shots)
        return qml.execute([tape], device, **({"diff_method": None} | options))[0]

    def state(self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"]) -> Complex[Array, " d"]:
        device, labels = self._device(circuit.n)
        amplitudes = np.asarray(self._run(device, labels, circuit, np.asarray(angles), bits, qml.state()))
        if amplitudes.ndim != 1:
            raise ValueError(f"The device {device.name} has density matrices, no amplitudes; use expectation.")
        return jnp.asarray(amplitudes.reshape(2**circuit.n, -1)[:, 0])  # wires beyond the circuit's stay 0

    def expectation(
        self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"], observable: PauliSum
    ) -> Float[Array, ""]:
        device, labels = self._device(circuit.n)
        energy = qml.expval(from_pauli_sum(observable, labels))
        return jnp.asarray(self._run(device, labels, circuit, np.asarray(angles), bits, energy, self.shots), float)

    def expectation_and_grad(
        self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"], observable: PauliSum
    ) -> tuple[Float[Array, ""], Float[Array, " P"]]:
        """⟨b|U† O U|b⟩ and its gradient by the adjoint method where the device has it, else by parameter shifts."""
        if circuit.num_angles == 0:
            return self.expectation(circuit, angles, bits, observable), jnp.zeros(0)
        device, labels = self._device(circuit.n)
        energy = qml.expval(from_pauli_sum(observable, labels))

        adjoint = qml.devices.ExecutionConfig(gradient_method="adjoint")
        exact = self.shots is None and device.supports_derivatives(adjoint)
        options = {"diff_method": "adjoint" if exact else "parameter-shift", "interface": "autograd"}

        def value(angles: Any) -> Any:
            return self._run(device, labels, circuit, angles, bits, energy, self.shots, **options)

        slope = qml.grad(value)
        gradient = slope(qml.numpy.array(angles, requires_grad=True))
        return jnp.asarray(slope.forward, float), jnp.asarray(np.asarray(gradient), float)

    def sample(
        self,
        circuit: Circuit,
        angles: Float[Array, " P"],
        bits: Int[Array, " n"],
        *,
        shots: int,
        key: PRNGKeyArray,
    ) -> Int[Array, "shots n"]:
        """As in the contract; the key seeds a device given by name, one of your own draws from its own generator."""
        device, labels = self._device(circuit.n)
        if isinstance(self.device, str):
            device = qml.device(self.device, wires=circuit.n, seed=int(jax.random.randint(key, (), 0, 2**31 - 1)))
        outcomes = self._run(device, labels, circuit, np.asarray(angles), bits, qml.sample(wires=labels), shots)
        return jnp.asarray(np.asarray(outcomes).reshape(shots, circuit.n), int)
