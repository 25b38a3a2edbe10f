"""A PennyLane user's circuit as data."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pennylane as qml

from ..circuits.circuit import Gate, pauli, phase, rotation, unitary

_WIDEST = 8  # wires of a controlled, diagonal or phase gate of the statevector engine

_LETTERS = {"RX": "X", "RY": "Y", "RZ": "Z", "IsingXX": "XX", "IsingYY": "YY", "IsingZZ": "ZZ"}
_PRODUCTS: dict[str, Callable[..., list[Any]]] = {
    "Rot": lambda a, b, c, wires: [qml.RZ(a, wires), qml.RY(b, wires), qml.RZ(c, wires)],
    "U2": lambda a, b, wires: [qml.PhaseShift(b, wires), qml.RY(np.pi / 2, wires), qml.PhaseShift(a, wires)],
    "U3": lambda a, b, c, wires: [qml.PhaseShift(c, wires), qml.RY(a, wires), qml.PhaseShift(b, wires)],
    "IsingXY": lambda a, wires: [qml.IsingXX(-a / 2, wires), qml.IsingYY(-a / 2, wires)],
}
_MATRICES = ("QubitUnitary", "DiagonalQubitUnitary", "ControlledQubitUnitary")  # gates given by numbers of the user's
_NOTHING = ("Identity", "Barrier", "Snapshot")


class Step(NamedTuple):
    """A gate and its angle, None for a fixed gate. A phase on no wire is a global one."""

    gate: Gate
    angle: Any


def order_of(found: Iterable[Any], wires: Sequence[Any] | None) -> tuple[Any, ...]:
    """Labels in the order of our wires: the given ones; or else labels 0..n−1, ascending.

    Raises:
        ValueError: a wire that is used is not among the given ones, or the labels have no natural order.
    """
    used = list(found)
    if wires is None:
        if not all(isinstance(label, int | np.integer) and label >= 0 for label in used):
            raise ValueError(f"The wires {used} have no natural order; pass wires= with the leftmost first.")
        return tuple(range(max(used, default=0) + 1))
    missing = [label for label in used if label not in wires]
    if missing:
        raise ValueError(f"The wires {missing} are used but are not among wires={list(wires)}; name all of them.")
    return tuple(wires)


def _refuse(op: Any) -> None:
    """Raises for what is not a unitary gate."""
    kinds = {
        "a mid-circuit measurement": qml.ops.MidMeasure,
        "conditioned on a measurement": qml.ops.Conditional,
        "a state preparation; the basis states a circuit starts from belong to the model": qml.operation.StatePrepBase,
        "a noise channel": qml.operation.Channel,
    }
    for what, kind in kinds.items():
        if isinstance(op, kind):
            raise ValueError(f"'{op.name}' on wires {op.wires.tolist()} is {what}; a circuit takes unitary gates only.")
    if op.batch_size is not None:
        raise ValueError(f"'{op.name}' on wires {op.wires.tolist()} has a batch of parameters; give one of each.")


def _parts(op: Any) -> list[Any]:
    """PennyLane's own decomposition."""
    if not op.has_decomposition:
        raise ValueError(
            f"The gate '{op.name}' on wires {op.wires.tolist()} has no counterpart and no decomposition in PennyLane; "
            "write it as a product of Pauli rotations, phase shifts and fixed gates on one or two wires."
        )
    with qml.QueuingManager.stop_recording():
        return list(op.decomposition())


def fixed_gate(op: Any, place: dict[Any, int]) -> list[Gate]:
    """A gate of known numbers as matrices on one or two wires, or diagonal ones."""
    if op.name in (*_NOTHING, "GlobalPhase"):
        return []
    wires = [place[label] for label in op.wires]
    if len(wires) <= _WIDEST and op.has_matrix:
        matrix = np.asarray(qml.matrix(op, wire_order=op.wires), complex)
        if len(wires) <= 2 or np.count_nonzero(matrix - np.diag(np.diag(matrix))) == 0:
            return [unitary(matrix, *wires)]
    return [gate for part in _parts(op) for gate in fixed_gate(part, place)]


def _native(op: Any, place: dict[Any, int]) -> list[Step] | None:
    """The steps of a parametrised gate that has a counterpart; None for any other gate."""
    if op.name in _PRODUCTS:
        with qml.QueuingManager.stop_recording():
            return all_of(_PRODUCTS[op.name](*op.parameters, op.wires), place)
    if op.name == "GlobalPhase":
        return [Step(phase(), -op.parameters[0])]
    wires = [place[label] for label in op.wires]
    if op.name in ("PhaseShift", "U1"):
        return [Step(phase(*wires), op.parameters[0])]
    letters = {"PauliRot": op.hyperparameters.get("pauli_word", ""), "MultiRZ": "Z" * len(wires)} | _LETTERS
    if op.name not in letters:
        return None
    acts = [(letter, wire) for letter, wire in zip(letters[op.name], wires, strict=True) if letter != "I"]
    if not acts:
        return [Step(phase(), -op.parameters[0] / 2)]
    return [Step(rotation("".join(letter for letter, _ in acts), *(wire for _, wire in acts)), op.parameters[0])]


def _controlled(op: Any, place: dict[Any, int]) -> list[Step] | None:
    """A parametrised gate under controls, each 0 or 1; None if the gate has no counterpart."""
    base = _native(op.base, place)
    if base is None:
        return None
    controls = tuple(place[label] for label in op.control_wires)
    flips = [Step(pauli("X", c), None) for c, on in zip(controls, op.control_values, strict=True) if not on]
    steps = []
    for gate, angle in base:
        if gate.kind == "phase":
            steps.append(Step(phase(*controls, *gate.wires), angle))
        else:
            steps.append(Step(gate._replace(controls=controls + gate.controls), angle))
    return [*flips, *steps, *flips]


def _steps(op: Any, place: dict[Any, int]) -> list[Step]:
    """A PennyLane operation as gates; the same ones whether its parameters are numbers or traced."""
    _refuse(op)
    if op.name in _NOTHING:
        return []
    if (found := _native(op, place)) is not None:
        return found
    if isinstance(op, qml.ops.Adjoint):
        return [
            Step(unitary(np.conj(gate.matrix).T, *gate.wires), None) if angle is None else Step(gate, -angle)
            for gate, angle in reversed(_steps(op.base, place))
        ]
    if isinstance(op, qml.ops.Controlled) and op.num_params and (found := _controlled(op, place)) is not None:
        return found
    if op.name in _MATRICES and is_traced(op.parameters):
        raise ValueError(
            f"The matrix of '{op.name}' on wires {op.wires.tolist()} depends on parameters; use rotations."
        )
    if op.name in _MATRICES or (op.num_params == 0 and op.has_matrix):
        return [Step(gate, None) for gate in fixed_gate(op, place)]
    return all_of(_parts(op), place)


def all_of(ops: Iterable[Any], place: dict[Any, int]) -> list[Step]:
    """The steps of many operations."""
    return [step for op in ops for step in _steps(op, place)]


def is_traced(parameters: Iterable[Any]) -> bool:
    """Whether JAX is tracing one of the parameters."""
    return any(isinstance(parameter, jax.core.Tracer) for parameter in parameters)
