"""Gates become operations on one or two wires; whatever is an affine map of bit strings is recognised as such.

Wide Pauli rotations are conjugated to one wire by Hadamards and CNOTs, wide diagonal gates become phases of parities:
CNOTs cost the engine nothing.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex

from ..circuits.circuit import Circuit, Gate, cnot, hadamard, phase, rotation, unitary
from .affine import Affine, recognise

WIDEST = 8  # wires of a controlled or diagonal gate: m wires are 2^m − 1 phases

_PAULI = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}
_FROM_Y = unitary(np.array([[1, -1j], [-1j, 1]]) / np.sqrt(2), 0).matrix  # C with C Y C† = Z


class Kind(NamedTuple):
    """What an operation does, whatever its wires and angle: V(t) = terms[0] + cos(ωt) terms[1] + sin(ωt) terms[2].

    Attributes:
        terms: (3, 2^w, 2^w).
        omega: ω; the derivative is dV/dt = −i G V with the Hermitian `generator` G (2^w, 2^w).
        affine: the map of basis states, if V is fixed and no more than that.
        axes: for every wire a Pauli letter that V commutes with there, or "".
    """

    terms: Complex[np.ndarray, "3 k k"]
    omega: float
    generator: Complex[np.ndarray, "k k"]
    affine: Affine | None
    axes: tuple[str, ...]


class Op(NamedTuple):
    """One operation: its kind, its wires (the first the most significant) and its angle's index, −1 for none."""

    kind: Kind
    wires: tuple[int, ...]
    angle: int


def _axis(terms: np.ndarray, wire: int, width: int) -> str:
    for letter, matrix in _PAULI.items():
        on_wire = functools.reduce(np.kron, [matrix if w == wire else np.eye(2) for w in range(width)])
        if np.allclose(terms @ on_wire, on_wire @ terms):
            return letter
    return ""


@functools.cache
def _kind(gate: Gate, scale: float) -> Kind:
    """The kind of a gate on its own wires, controls first; its angle is `scale` times the parameter."""
    if gate.kind == "fixed":
        matrix = np.array(gate.matrix)
        terms, omega, generator = np.stack([matrix, 0 * matrix, 0 * matrix]), 0.0, 0 * matrix
    else:
        size = 2 ** (len(gate.wires) + len(gate.controls))
        acts = np.zeros((size, size), complex)  # P on the controlled subspace, or the projector of a phase
        if gate.kind == "phase":
            acts[-1, -1] = 1
            square, omega = acts, scale
            terms = np.stack([np.eye(size) - acts, acts, 1j * acts])
        else:
            pauli = functools.reduce(np.kron, [_PAULI[letter] for letter in gate.pauli])
            acts[-len(pauli) :, -len(pauli) :] = pauli
            square, omega = acts @ acts, scale / 2
            terms = np.stack([np.eye(size) - square, square, -1j * acts])
        generator = omega * (-acts if gate.kind == "phase" else acts)
    width = len(terms[0]).bit_length() - 1
    affine = recognise(terms[0]) if gate.kind == "fixed" else None
    return Kind(terms, omega, generator, affine, tuple(_axis(terms, wire, width) for wire in range(width)))


def _op(gate: Gate, angle: int, scale: float) -> Op:
    wires = gate.controls + gate.wires
    places = tuple(range(len(wires)))
    local = gate._replace(wires=places[len(gate.controls) :], controls=places[: len(gate.controls)])
    return Op(_kind(local, scale), wires, angle)


def _to_one_wire(gate: Gate) -> tuple[list[Gate], int, str, int]:
    """Real Cliffords C, a wire w, a letter L and a sign with C P C† = sign L_w; L is Y where P is imaginary, else Z."""
    letters, steps, sign = dict(zip(gate.wires, gate.pauli, strict=True)), [], 1
    ys = [wire for wire in letters if letters[wire] == "Y"]
    for a, b in zip(ys[0::2], ys[1::2], strict=False):  # CNOT turns Y Y into −X Z
        steps.append(cnot(a, b))
        letters[a], letters[b], sign = "X", "Z", -sign
    steps += [hadamard(wire) for wire in letters if letters[wire] == "X"]
    last = ys[-1] if len(ys) % 2 else gate.wires[-1]
    steps += [cnot(wire, last) for wire in letters if wire != last]  # and Z L into L on the target
    return steps, last, "Y" if len(ys) % 2 else "Z", sign


def _parities(wires: tuple[int, ...], angle: int, scale: float) -> list[Op]:
    """diag(1, …, 1, e^{i·scale·t}): a product of bits is a sum of parities, Π b = 2^{1−m} Σ_S (−1)^{|S|+1} ⊕_S b."""
    ops: list[Op] = []
    for size in range(1, len(wires) + 1):
        for subset in itertools.combinations(wires, size):
            fan = [_op(cnot(wire, subset[-1]), -1, 1.0) for wire in subset[:-1]]
            weight = -scale * (-1) ** size * 2.0 ** (1 - len(wires))
            ops += [*fan, _op(phase(subset[-1]), angle, weight), *reversed(fan)]
    return ops


def _wide_diagonal(gate: Gate) -> list[Op]:
    """A fixed diagonal as phases of parities, by the Walsh transform of its angles."""
    width, ops = len(gate.wires), []
    angles = np.angle(np.diag(np.array(gate.matrix)))
    for size in range(width + 1):
        for subset in itertools.combinations(range(width), size):
            parity = np.array([sum(x >> (width - 1 - q) & 1 for q in subset) % 2 for x in range(2**width)])
            walsh = np.mean(angles * (-1.0) ** parity)
            on = [gate.wires[q] for q in subset] or [gate.wires[0]]
            flip = np.exp(1j * walsh * np.array([1, -1] if subset else [1, 1]))
            fan = [_op(cnot(wire, on[-1]), -1, 1.0) for wire in on[:-1]]
            ops += [*fan, _op(unitary(np.diag(flip), on[-1]), -1, 1.0), *reversed(fan)]
    return ops


def _lower_fixed(gate: Gate) -> list[Op]:
    matrix = np.array(gate.matrix)
    if len(gate.wires) <= 2 or recognise(matrix) is not None:
        return [_op(gate, -1, 1.0)]
    if np.count_nonzero(matrix - np.diag(np.diag(matrix))) == 0:
        return _wide_diagonal(gate)
    raise ValueError(
        f"A fixed gate on the {len(gate.wires)} wires {gate.wires} is neither diagonal nor an affine permutation of "
        "basis states; write it as a product of gates on one or two wires and of those."
    )


def _lower(gate: Gate, angle: int) -> list[Op]:
    if gate.kind == "fixed":
        return _lower_fixed(gate)
    wires = gate.controls + gate.wires
    if len(wires) <= 2:
        return [_op(gate, angle, 1.0)]
    if (gate.kind == "phase" or gate.controls) and len(wires) > WIDEST:
        raise ValueError(f"A phase or controlled rotation acts on at most {WIDEST} wires; got {len(wires)}: {gate}.")
    if gate.kind == "phase":
        return _parities(wires, angle, 1.0)
    steps, wire, letter, sign = _to_one_wire(gate)
    if len(gate.controls) <= 1:
        middle = [_op(rotation(letter, wire, controls=gate.controls), angle, sign)]
    else:
        if letter == "Y":
            steps.append(Gate("fixed", (wire,), matrix=_FROM_Y))
        # a controlled RZ is a phase of the controls and one of the controls and the wire
        middle = _parities(gate.controls, angle, -sign / 2) + _parities((*gate.controls, wire), angle, sign)
    forward = [_op(step, -1, 1.0) for step in steps]
    adjoint = [unitary(np.array(step.matrix).conj().T, *step.wires) for step in reversed(steps)]
    return [*forward, *middle, *(_op(step, -1, 1.0) for step in adjoint)]


def lower(circuit: Circuit) -> list[Op]:
    """The circuit as operations on one or two wires (affine maps on any number), in order."""
    block: list[Op] = []
    angle = 0
    for gate in circuit.block:
        block += _lower(gate, angle if gate.parametrised else -1)
        angle += gate.parametrised
    return [
        op._replace(angle=op.angle + layer * angle) if op.angle >= 0 else op
        for layer in range(circuit.layers)
        for op in block
    ]


def is_real(circuit: Circuit) -> bool:
    """Whether every operation is a real matrix, so that amplitudes are real numbers."""
    return not any(op.kind.terms.imag.any() for op in lower(Circuit(circuit.n, circuit.block, min(circuit.layers, 1))))
