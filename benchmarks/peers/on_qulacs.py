"""qulacs: C++ kernels, one pass a gate. Its rotations are exp(+i t P/2) and its wire 0 is the least significant bit."""

import numpy as np
import qulacs

from . import neutral
from .job import Job
from .neutral import Spec

_FIXED = {name: getattr(qulacs.gate, name) for name in neutral.FIXED}
_LETTER = {"X": 1, "Y": 2, "Z": 3}


def _controlled(gate: neutral.Gate, wires: list[int], angle: float) -> object:
    """qulacs has no parametric controlled gate, so these are matrices made once, outside the timing: in its favour."""
    turn = {"CP": lambda: qulacs.gate.U1(wires[1], angle)}.get(
        gate.name, lambda: getattr(qulacs.gate, gate.name[1:])(wires[1], -angle)
    )
    matrix = qulacs.gate.to_matrix_gate(turn())
    matrix.add_control_qubit(wires[0], 1)
    return matrix


def build(spec: Spec) -> tuple[qulacs.ParametricQuantumCircuit, list[float]]:
    """(circuit, its parameters, which are minus the angles)."""
    n, angles = spec["n"], neutral.angles(spec)
    circuit, parameters = qulacs.ParametricQuantumCircuit(n), []
    for gate in neutral.gates(spec):
        wires = [n - 1 - wire for wire in gate.wires]
        if gate.angle is None:
            circuit.add_gate(_FIXED[gate.name](*wires))
        elif gate.name.startswith("C"):
            circuit.add_gate(_controlled(gate, wires, angles[gate.angle]))
        else:
            parameters.append(-float(angles[gate.angle]))
            _add_rotation(circuit, gate.name[1:], wires, parameters[-1])
    return circuit, parameters


def _add_rotation(circuit: qulacs.ParametricQuantumCircuit, letters: str, wires: list[int], parameter: float) -> None:
    if len(wires) == 1:
        getattr(circuit, f"add_parametric_R{letters}_gate")(wires[0], parameter)
    else:
        circuit.add_parametric_multi_Pauli_rotation_gate(wires, [_LETTER[letter] for letter in letters], parameter)


def _set(circuit: qulacs.ParametricQuantumCircuit, parameters: list[float]) -> None:
    for position, value in enumerate(parameters):
        circuit.set_parameter(position, value)


def evaluation(spec: Spec) -> Job:
    """Sets the parameters and runs the circuit; the result stays in qulacs' memory."""
    circuit, parameters = build(spec)
    state = qulacs.QuantumState(spec["n"])

    def run() -> qulacs.QuantumState:
        _set(circuit, parameters)
        state.set_zero_state()
        circuit.update_quantum_state(state)
        return state

    return Job(run, lambda final: neutral.state_numbers(final.get_vector()))


def gradient(spec: Spec) -> Job:
    """All derivatives of the energy by backpropagation; the energy itself is not asked for."""
    circuit, parameters = build(spec)
    observable = qulacs.Observable(spec["n"])
    for string in neutral.tfim_strings(spec["n"]):
        letters = [f"{letter} {spec['n'] - 1 - wire}" for wire, letter in enumerate(string) if letter != "I"]
        observable.add_operator(-1.0, " ".join(letters))

    def run() -> list[float]:
        _set(circuit, parameters)
        return circuit.backprop(observable)

    return Job(run, lambda slopes: neutral.array_numbers(-np.array(slopes)))


def batch(spec: Spec) -> Job:
    """A loop over basis states; parameters are set once."""
    circuit, parameters = build(spec)
    starts = neutral.basis_states(spec).tolist()
    states = [qulacs.QuantumState(spec["n"]) for _ in starts]

    def run() -> list[qulacs.QuantumState]:
        _set(circuit, parameters)
        for state, start in zip(states, starts):
            state.set_computational_basis(start)
            circuit.update_quantum_state(state)
        return states

    return Job(run, lambda finals: neutral.batch_numbers(np.stack([final.get_vector() for final in finals])))


TASKS = {"evaluation": evaluation, "gradient": gradient, "batch": batch}
