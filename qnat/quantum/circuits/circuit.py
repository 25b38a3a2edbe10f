"""Circuits as data: a block of gates on n wires, repeated. Backends give them meaning."""

from typing import NamedTuple

import equinox as eqx
import numpy as np
from numpy.typing import ArrayLike

Matrix = tuple[tuple[complex, ...], ...]


class Gate(NamedTuple):
    """One gate. Make it with `rotation`, `phase`, `unitary` or one of their named cases below.

    Attributes:
        kind: "rotation" exp(−i t P/2), "phase" diag(1, …, 1, e^{it}), or "fixed" (a given matrix, no angle).
        wires: the wires that P, the phase or the matrix acts on, the first the most significant.
        pauli: the letters of P on those wires, for a rotation.
        controls: further wires; a rotation acts where all of them are 1.
        matrix: rows of the (2^w, 2^w) unitary of a fixed gate.
    """

    kind: str
    wires: tuple[int, ...]
    pauli: str = ""
    controls: tuple[int, ...] = ()
    matrix: Matrix = ()

    @property
    def parametrised(self) -> bool:
        """Whether the gate takes an angle."""
        return self.kind != "fixed"


def rotation(pauli: str, *wires: int, controls: tuple[int, ...] = ()) -> Gate:
    """exp(−i t P/2) with the Pauli string P on the wires: RX, RY, RZ, PauliRot; where all controls are 1: CRX, …"""
    if len(pauli) != len(wires) or not wires or not set(pauli) <= set("XYZ"):
        raise ValueError(f"A rotation needs one letter X, Y or Z per wire; got '{pauli}' on wires {wires}.")
    return Gate("rotation", wires, pauli, tuple(controls))


def phase(*wires: int) -> Gate:
    """diag(1, …, 1, e^{it}) on the wires: PhaseShift, ControlledPhaseShift, …; CZ^a is that of two wires at t = πa."""
    return Gate("phase", wires)


def unitary(matrix: ArrayLike, *wires: int) -> Gate:
    """A fixed gate: the (2^w, 2^w) unitary `matrix` on w wires, the first the most significant."""
    array = np.asarray(matrix, complex)
    if (
        not wires
        or array.shape != (2 ** len(wires),) * 2
        or not np.allclose(array @ array.conj().T, np.eye(len(array)))
    ):
        raise ValueError(
            f"A gate on the {len(wires)} wires {wires} needs a unitary (2^w, 2^w) matrix; got {array.shape}."
        )
    return Gate("fixed", wires, matrix=tuple(map(tuple, array.tolist())))


def pauli(letter: str, wire: int) -> Gate:
    """The Pauli gate X, Y or Z."""
    matrices: dict[str, ArrayLike] = {"X": [[0, 1], [1, 0]], "Y": [[0, -1j], [1j, 0]], "Z": [[1, 0], [0, -1]]}
    return unitary(matrices[letter], wire)


def hadamard(wire: int) -> Gate:
    """(X + Z)/√2."""
    return unitary(np.array([[1, 1], [1, -1]]) / np.sqrt(2), wire)


def cnot(control: int, target: int) -> Gate:
    """The controlled NOT."""
    return unitary(np.eye(4)[[0, 1, 3, 2]], control, target)


def cz(first: int, second: int) -> Gate:
    """The controlled Z."""
    return unitary(np.diag([1, 1, 1, -1]), first, second)


def swap(first: int, second: int) -> Gate:
    """The exchange of two wires."""
    return unitary(np.eye(4)[[0, 2, 1, 3]], first, second)


class Circuit(eqx.Module):
    """U(t) = B(t_L) … B(t_1), where the block B applies `block` from left to right.

    Attributes:
        n: number of wires; wire 0 is the leftmost Kronecker factor.
        block: gates of one layer.
        layers: L, how often the block stands; 0 is the identity.
    """

    n: int = eqx.field(static=True)
    block: tuple[Gate, ...] = eqx.field(static=True)
    layers: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        for gate in self.block:
            wires = gate.wires + gate.controls
            if len(set(wires)) != len(wires) or not all(0 <= wire < self.n for wire in wires):
                raise ValueError(f"Gate {gate} needs distinct wires in 0..{self.n - 1}.")
        if self.n < 1 or self.layers < 0:
            raise ValueError(f"A circuit needs n >= 1 and layers >= 0; got n={self.n}, layers={self.layers}.")

    @property
    def angles_per_layer(self) -> int:
        """Number of parametrised gates of the block."""
        return sum(gate.parametrised for gate in self.block)

    @property
    def num_angles(self) -> int:
        """P, the number of angles in radians, ordered layer by layer, gate by gate."""
        return self.layers * self.angles_per_layer
