"""A circuit as PennyLane gates."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pennylane as qml
from jaxtyping import Float, Inexact

from ..circuits.circuit import Circuit, Gate, cnot, cz, hadamard, pauli, swap

Labels = Sequence[Any] | Mapping[int, Any]


@functools.cache
def _names() -> dict[tuple[tuple[complex, ...], ...], Callable[[Any], Any]]:
    """PennyLane's names of matrices."""
    gates: list[tuple[Gate, Callable[[Any], Any]]] = [
        (hadamard(0), qml.Hadamard),
        *((pauli(letter, 0), getattr(qml, letter)) for letter in "XYZ"),
        (cnot(0, 1), qml.CNOT),
        (cz(0, 1), qml.CZ),
        (swap(0, 1), qml.SWAP),
    ]
    return {gate.matrix: make for gate, make in gates}


def operations(gate: Gate, angle: Any, labels: Labels) -> list[Any]:
    """One gate as PennyLane operations, made (and so queued) in order; one, except for wide controlled rotations."""
    wires, controls = [labels[w] for w in gate.wires], [labels[w] for w in gate.controls]
    if gate.kind == "fixed":
        named = _names().get(gate.matrix)
        return [named(wires) if named else qml.QubitUnitary(np.array(gate.matrix), wires)]
    if gate.kind == "phase":
        if len(wires) == 2:
            return [qml.ControlledPhaseShift(angle, wires)]
        return [qml.ctrl(qml.PhaseShift(angle, wires[-1]), wires[:-1]) if wires[1:] else qml.PhaseShift(angle, wires)]
    if len(wires) > 1:
        return _wide_controlled(gate.pauli, angle, wires, controls) if controls else [_wide(gate.pauli, angle, wires)]
    one = {"X": qml.RX, "Y": qml.RY, "Z": qml.RZ}[gate.pauli]
    return [qml.ctrl(one(angle, wires), controls) if controls else one(angle, wires)]


def _wide(letters: str, angle: Any, wires: list[Any]) -> Any:
    named = {"XX": qml.IsingXX, "YY": qml.IsingYY}.get(letters)
    if named:
        return named(angle, wires)
    return qml.MultiRZ(angle, wires) if set(letters) == {"Z"} else qml.PauliRot(angle, letters, wires)


def _wide_controlled(letters: str, angle: Any, wires: list[Any], controls: list[Any]) -> list[Any]:
    """A controlled RZ between basis changes: PennyLane cannot differentiate a controlled PauliRot by shifts."""

    def turn(*, back: bool) -> list[Any]:
        ops = []
        for letter, wire in zip(letters, wires, strict=True):
            if letter == "X":
                ops.append(qml.Hadamard(wire))
            elif letter == "Y":
                ops += [qml.Hadamard(wire), qml.S(wire)] if back else [qml.adjoint(qml.S(wire)), qml.Hadamard(wire)]
        return ops

    def ladder() -> list[Any]:
        return [qml.CNOT([wire, wires[-1]]) for wire in wires[:-1]]

    middle = [*turn(back=False), *ladder(), qml.ctrl(qml.RZ(angle, wires[-1]), controls)]
    return [*middle, *ladder(), *turn(back=True)]


def from_circuit(circuit: Circuit, angles: Float[Any, " P"], wires: Sequence[Any] | None = None) -> list[Any]:
    """The PennyLane operations of U(angles); called inside a quantum function, it applies them.

    Args:
        circuit: U. angles: (P,) radians, of any package that PennyLane can follow.
        wires: labels in the order of our wires; 0, 1, … by default.
    """
    labels = tuple(range(circuit.n)) if wires is None else tuple(wires)
    if len(labels) < circuit.n:
        raise ValueError(f"The circuit has {circuit.n} wires; got the labels {list(labels)}.")
    made: list[Any] = []
    k = 0
    for _ in range(circuit.layers):
        for gate in circuit.block:
            made += operations(gate, angles[k] if gate.parametrised else None, labels)
            k += gate.parametrised
    return made


def preparation(
    rho: Inexact[np.ndarray, "d d"], circuit: Circuit | None = None, angles: Float[np.ndarray, " P"] | None = None
) -> Callable[..., None]:
    """A quantum function that prepares ρ: as it is, or as what the circuit makes of a bitstring that it is given."""
    wires = range(len(rho).bit_length() - 1)

    def prepare(bits: Sequence[int] | None = None) -> None:
        if bits is None:
            qml.QubitDensityMatrix(rho, wires=wires)
        elif circuit is None or angles is None:
            raise ValueError("The state has no circuit that a bitstring could enter; call it without bits.")
        else:
            qml.BasisState(np.asarray(bits, int), wires=wires)
            from_circuit(circuit, angles)

    return prepare
